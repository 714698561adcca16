/* runtime/sampler.c: see runtime/sampler.h. */
#include "runtime/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "host/vectorise.h"

/* exp(-37) is less than 2^-53, the step of a draw: what is so much less likely than the best is never drawn. */
static const double DRAW_STEP = 37.0;

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

/* Falling logits; equal ones by rising id, so that the order depends on nothing else. */
static bool is_before(const candidate *a, const candidate *b)
{
    return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

/* Restores a heap of n, which has the candidate at its root that comes behind all others, where element i may have
 * to sink. */
static void sink(candidate *c, size_t n, size_t i)
{
    const candidate moved = c[i];

    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(&c[child], &c[child + 1])) child++;
        if (is_before(&c[child], &moved)) break;
        c[i] = c[child];
    }
    c[i] = moved;
}

/* The largest logit, +inf counted as the largest float; -inf where none is a number above it. In lanes, as otherwise
 * each comparison waits for the one before it. */
CLM_VECTORISED static float largest_logit(const float *logits, size_t n)
{
    enum { LANES = 32 };
    float lane[LANES], best = -INFINITY;
    size_t i = 0;

    for (size_t j = 0; j < LANES; j++) lane[j] = -INFINITY;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) /* never a NaN */
            lane[j] = logits[i + j] > lane[j] ? logits[i + j] : lane[j];
    }
    for (; i < n; i++) best = logits[i] > best ? logits[i] : best;
    for (size_t j = 0; j < LANES; j++) best = lane[j] > best ? lane[j] : best;
    return best == INFINITY ? FLT_MAX : best;
}

/* Ids whose logit is a number of at least `least`, and of these the `most` first ones. Returns how many. */
static size_t collect(clm_sampler *s, const float *logits, float least, size_t most)
{
    candidate *c = s->candidates;
    size_t n = 0;

    for (size_t id = 0; id < s->vocab; id++) {
        const float logit = logits[id] == INFINITY ? FLT_MAX : logits[id];
        const candidate next = {(int)id, logit, 0.0};

        if (!(logit >= least)) continue; /* a NaN too */
        if (n < most) {
            c[n++] = next;
            for (size_t i = n / 2; n == most && i-- > 0;) sink(c, n, i);
        } else if (is_before(&next, &c[0])) {
            c[0] = next;
            sink(c, n, 0);
        }
    }
    return n;
}

/* Softmax over n candidates, and away with those that min_p or top_p cannot leave: if each is less than its share of
 * 1 - top_p, all of them together are less than that. Half of it allows for rounding. Returns how many are left. */
static size_t weigh(candidate *c, size_t n, float best, const clm_sampling *p)
{
    const double share = 0.5 * (1.0 - p->top_p) / (double)n;
    double sum = 0.0, least;
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        sum += c[i].p = exp(((double)c[i].logit - best) / p->temperature);
    least = fmax(share * sum, p->min_p); /* the best has exp(0) */
    for (size_t i = 0; i < n; i++) {
        if (c[i].p < least) continue;
        c[left] = c[i];
        c[left++].p /= sum;
    }
    return left;
}

static void swap(candidate *a, candidate *b)
{
    const candidate kept = *a;

    *a = *b;
    *b = kept;
}

/* Puts those of c[low .. high - 1] that come before the middle one of three of them in front of it. Returns where it
 * is then, and what those in front of it have together in `*weight`. */
static size_t partition(candidate *c, size_t low, size_t high, double *weight)
{
    candidate *first = &c[low], *middle = &c[low + (high - low) / 2], *last = &c[high - 1];
    size_t to = low;

    if (is_before(middle, first)) swap(middle, first);
    if (is_before(last, middle)) swap(last, middle);
    if (is_before(middle, first)) swap(middle, first);
    swap(middle, last);
    *weight = 0.0;
    for (size_t i = low; i + 1 < high; i++) {
        if (!is_before(&c[i], last)) continue;
        *weight += c[i].p;
        swap(&c[i], &c[to++]);
    }
    swap(last, &c[to]);
    return to;
}

/* Which of n candidates, in their order, is the one whose probability, added to those before it, is more than `sum`; the
 * last one if none is. Those before it are in front of it then, in any order; `*before` is what they have together.
 * Hoare's selection, by weights: sorting all of 64,000 takes 10 ms. */
static size_t find_sum(candidate *c, size_t n, double sum, double *before)
{
    size_t low = 0, high = n;

    *before = 0.0;
    while (high - low > 1) {
        double weight;
        const size_t at = partition(c, low, high, &weight);

        if (*before + weight > sum) {
            high = at;
            continue;
        }
        *before += weight;
        if (*before + c[at].p > sum || at + 1 == high) return at;
        *before += c[at].p;
        low = at + 1;
    }
    return low;
}

/* One of n candidates, by the sampler's next draw. */
static int draw_one(clm_sampler *s, size_t n, const clm_sampling *p)
{
    candidate *c = s->candidates;
    double before = 0.0, kept = 0.0;
    size_t last = n - 1;

    if (p->top_p < 1.0) {
        /* The candidate that reaches top_p stays, so one always does. */
        last = find_sum(c, n, nextafter(p->top_p, 0.0), &before);
        kept = before + c[last].p;
    } else {
        for (size_t i = 0; i < n; i++) kept += c[i].p;
    }
    return c[find_sum(c, last + 1, next_random(s) * kept, &before)].id;
}

clm_status clm_sampler_choose(clm_sampler *s, const clm_sampling *p, float *logits, const int *seen,
                              size_t n_seen, int *id, clm_err *err)
{
    const bool greedy = p->temperature == 0.0;
    float best, least;
    size_t n;

    *id = 0;
    if (p->repetition_penalty != 1.0) apply_penalty(s, p->repetition_penalty, logits, seen, n_seen);
    best = largest_logit(logits, s->vocab);
    if (best == -INFINITY)
        return clm_fail(err, CLM_E_MODEL,
                        "the model gives no number for any next token: its weights are damaged");
    least = greedy ? best : (float)((double)best - DRAW_STEP * p->temperature);
    n = collect(s, logits, fmaxf(least, -FLT_MAX), greedy ? 1 : p->top_k > 0 ? p->top_k : SIZE_MAX);
    *id = greedy ? s->candidates[0].id : draw_one(s, weigh(s->candidates, n, best, p), p);
    return CLM_OK;
}

uint64_t clm_seed_from_system(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed || seed == 0)
        seed = (uint64_t)time(NULL) | 1u;
    return seed;
}
