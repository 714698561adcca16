/* runtime/sampler.c: see runtime/sampler.h. */
#include "runtime/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

typedef struct candidate {
    int id;
    float logit;
    double p;
} candidate;

struct clm_sampler {
    size_t vocab;
    uint64_t state;
    candidate *candidates; /* [vocab] */
    unsigned char *marked; /* [vocab]: already lowered by the penalty */
};

clm_status clm_sampler_create(size_t vocab, uint64_t seed, clm_sampler **out, clm_err *err)
{
    clm_sampler *s = calloc(1, sizeof *s);

    *out = NULL;
    if (s != NULL) {
        s->vocab = vocab;
        s->state = seed;
        s->candidates = calloc(vocab, sizeof *s->candidates);
        s->marked = calloc(vocab, 1);
    }
    if (s == NULL || s->candidates == NULL || s->marked == NULL) {
        clm_sampler_destroy(s);
        return clm_fail(err, CLM_E_NOMEM, "sampler: no memory");
    }
    *out = s;
    return CLM_OK;
}

void clm_sampler_destroy(clm_sampler *s)
{
    if (s == NULL) return;
    free(s->candidates);
    free(s->marked);
    free(s);
}

bool clm_sampling_is_argmax(const clm_sampling *p)
{
    return p->temperature == 0.0 && p->repetition_penalty == 1.0;
}

/* splitmix64 (Steele, Lea, Flood 2014), to a double in [0, 1). */
static double next_random(clm_sampler *s)
{
    uint64_t z = s->state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

/* Keskar et al. 2019 (CTRL): positive logits are divided, negative ones multiplied, once per id. */
static void apply_penalty(clm_sampler *s, double penalty, float *logits, const int *seen,
                          size_t n_seen)
{
    memset(s->marked, 0, s->vocab);
    for (size_t i = 0; i < n_seen; i++) {
        int id = seen[i];
        if (id < 0 || (size_t)id >= s->vocab || s->marked[id]) continue;
        s->marked[id] = 1;
        logits[id] = (float)(logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty);
    }
}

/* Falling logits; equal ones by rising id, so that the order does not depend on the sort. */
static int compare_candidates(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* All ids whose logit is a number, +inf counted as the largest float. Returns how many. */
static size_t collect(clm_sampler *s, const float *logits)
{
    size_t n = 0;

    for (size_t id = 0; id < s->vocab; id++) {
        float logit = logits[id];
        if (isnan(logit) || logit == -INFINITY) continue;
        if (logit == INFINITY) logit = 3.4e38f;
        s->candidates[n++] = (candidate){(int)id, logit, 0.0};
    }
    return n;
}

static const candidate *largest(const candidate *c, size_t n)
{
    const candidate *best = c;

    for (size_t i = 1; i < n; i++)
        if (c[i].logit > best->logit) best = &c[i];
    return best;
}

/* Softmax over the n sorted candidates; returns how many remain after top_p and min_p. */
static size_t cut_tail(candidate *c, size_t n, const clm_sampling *p)
{
    double sum = 0.0, cumulated = 0.0, kept = 0.0;
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        sum += c[i].p = exp(((double)c[i].logit - c[0].logit) / p->temperature);
    for (size_t i = 0; i < n; i++) {
        c[i].p /= sum;
        /* The candidate that reaches top_p stays, so one always does. */
        if (i > 0 && (cumulated >= p->top_p || c[i].p < p->min_p * c[0].p)) break;
        cumulated += c[i].p;
        left = i + 1;
    }
    for (size_t i = 0; i < left; i++) kept += c[i].p;
    for (size_t i = 0; i < left; i++) c[i].p /= kept;
    return left;
}

clm_status clm_sampler_choose(clm_sampler *s, const clm_sampling *p, float *logits, const int *seen,
                              size_t n_seen, int *id, clm_err *err)
{
    candidate *c = s->candidates;
    double draw;
    size_t n;

    *id = 0;
    if (p->repetition_penalty != 1.0) apply_penalty(s, p->repetition_penalty, logits, seen, n_seen);
    n = collect(s, logits);
    if (n == 0)
        return clm_fail(err, CLM_E_MODEL,
                        "the model gives no number for any next token: its weights are damaged");
    if (p->temperature == 0.0) {
        *id = largest(c, n)->id;
        return CLM_OK;
    }
    qsort(c, n, sizeof *c, compare_candidates);
    if (p->top_k > 0 && p->top_k < n) n = p->top_k;
    n = cut_tail(c, n, p);
    draw = next_random(s);
    for (size_t i = 0; i < n; i++) {
        *id = c[i].id;
        draw -= c[i].p;
        if (draw < 0.0) break;
    }
    return CLM_OK;
}

uint64_t clm_seed_from_system(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed || seed == 0)
        seed = (uint64_t)time(NULL) | 1u;
    return seed;
}
