/* tests/runtime/test_sampler.c: each limit of sampling on its own, and the frequencies of a known
 * distribution. Seeds are fixed: a run that passes always passes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/sampler.h"

enum { SEED = 20240817, DRAWS = 20000, MAX_VOCAB = 16 };

static const clm_sampling PLAIN = {.temperature = 1.0, .top_p = 1.0, .repetition_penalty = 1.0};

static clm_sampler *make(size_t vocab, uint64_t seed)
{
    clm_sampler *s = NULL;

    assert_int_equal(clm_sampler_create(vocab, seed, &s, NULL), CLM_OK);
    assert_non_null(s);
    return s;
}

/* One choice from a copy of the logits, which clm_sampler_choose changes. */
static int choose_seen(clm_sampler *s, const clm_sampling *p, const float *logits, size_t n,
                       const int *seen, size_t n_seen)
{
    float copy[MAX_VOCAB];
    int id = -1;

    assert_true(n <= MAX_VOCAB);
    memcpy(copy, logits, n * sizeof *copy);
    assert_int_equal(clm_sampler_choose(s, p, copy, seen, n_seen, &id, NULL), CLM_OK);
    assert_true(id >= 0 && (size_t)id < n);
    return id;
}

static int choose(clm_sampler *s, const clm_sampling *p, const float *logits, size_t n)
{
    return choose_seen(s, p, logits, n, NULL, 0);
}

/* Frequencies of DRAWS choices against probabilities; five standard deviations of room. */
static void expect_frequencies(const clm_sampling *p, const float *logits, size_t n,
                               const double *expected)
{
    clm_sampler *s = make(n, SEED);
    int counts[MAX_VOCAB] = {0};

    for (int i = 0; i < DRAWS; i++) counts[choose(s, p, logits, n)]++;
    for (size_t i = 0; i < n; i++) {
        double got = (double)counts[i] / DRAWS;
        double room = 5.0 * sqrt(expected[i] * (1.0 - expected[i]) / DRAWS);
        if (fabs(got - expected[i]) > room)
            print_error("id %zu: %.4f of the choices, expected %.4f +- %.4f\n", i, got, expected[i],
                        room);
        assert_true(fabs(got - expected[i]) <= room);
    }
    clm_sampler_destroy(s);
}

/* 0.5, 0.25, 0.15, 0.1, in an order that is not theirs */
static const double WEIGHTS[4] = {0.15, 0.5, 0.1, 0.25};

static void known_logits(float logits[4])
{
    for (size_t i = 0; i < 4; i++) logits[i] = (float)(log(WEIGHTS[i]) + 3.0);
}

/* ---- beside the plain way -------------------------------------------------------------------- */

enum { MANY = 3000 };

typedef struct plain {
    int id;
    double p;
} plain;

/* Falling p; equal ones by rising id. */
static int compare_plain(const void *a, const void *b)
{
    const plain *x = a, *y = b;

    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* splitmix64 as the sampler has it: the draw behind `state`. */
static double plain_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

/* Sorts the whole vocabulary and applies one limit after the other, without a penalty. */
static int plain_choice(const clm_sampling *p, const float *logits, uint64_t *state)
{
    static plain c[MANY];
    double sum = 0.0, kept = 0.0, draw;
    size_t n = MANY, left = 0;
    float best = logits[0];

    for (size_t i = 1; i < MANY; i++) best = fmaxf(best, logits[i]);
    for (size_t i = 0; i < MANY; i++)
        c[i] = (plain){(int)i, exp(((double)logits[i] - best) / p->temperature)};
    qsort(c, MANY, sizeof *c, compare_plain);
    if (p->top_k > 0 && p->top_k < n) n = p->top_k;
    for (size_t i = 0; i < n; i++) sum += c[i].p;
    for (; left < n; left++) {
        if (left > 0 && (kept >= p->top_p || c[left].p < p->min_p * c[0].p)) break;
        kept += c[left].p / sum;
    }
    draw = plain_random(state) * kept;
    for (size_t i = 0; i < left; i++) {
        draw -= c[i].p / sum;
        if (draw < 0.0) return c[i].id;
    }
    return c[left - 1].id;
}

/* The same ids as the plain way, for logits that differ little and much, with ties. */
static void test_large_vocabulary(void **state)
{
    static const clm_sampling cases[] = {
        {.temperature = 1.0, .top_p = 1.0},
        {.temperature = 0.35, .top_p = 0.95},
        {.temperature = 5.0, .top_p = 0.95},
        {.temperature = 1.0, .top_p = 0.001},
        {.temperature = 1.0, .top_p = 1.0, .top_k = 40},
        {.temperature = 2.0, .top_p = 0.7, .top_k = 700},
        {.temperature = 2.0, .top_p = 1.0, .top_k = MANY},
        {.temperature = 0.8, .top_p = 1.0, .min_p = 0.05},
        {.temperature = 3.0, .top_p = 0.9, .top_k = 1000, .min_p = 0.001},
        {.temperature = 100.0, .top_p = 0.5},
    };
    static float logits[MANY], copy[MANY];
    uint64_t noise = 5;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t draws = SEED;
        clm_sampler *s = make(MANY, SEED);
        clm_sampling p = cases[i];

        p.repetition_penalty = 1.0;
        for (int round = 0; round < 200; round++) {
            int id = -1;

            /* Quarters, so that many are equal. */
            for (size_t k = 0; k < MANY; k++)
                logits[k] = (float)floor(80.0 * pow(plain_random(&noise), 1 + round % 8)) / 4;
            memcpy(copy, logits, sizeof copy);
            assert_int_equal(clm_sampler_choose(s, &p, copy, NULL, 0, &id, NULL), CLM_OK);
            assert_int_equal(id, plain_choice(&p, logits, &draws));
        }
        clm_sampler_destroy(s);
    }
}

static void test_argmax(void **state)
{
    const float logits[6] = {-5.0f, 1.0f, 7.0f, NAN, 7.0f, -INFINITY};
    const float infinite[3] = {3e38f, INFINITY, -INFINITY};
    clm_sampling p = PLAIN;
    clm_sampler *s = make(6, SEED), *small = make(3, SEED);

    (void)state;
    p.temperature = 0.0;
    assert_true(clm_sampling_is_argmax(&p));
    for (int i = 0; i < 100; i++)
        assert_int_equal(choose(s, &p, logits, 6), 2); /* lowest of ties */
    assert_int_equal(choose(small, &p, infinite, 3), 1);
    p.repetition_penalty = 1.1;
    assert_false(clm_sampling_is_argmax(&p));
    assert_false(clm_sampling_is_argmax(&PLAIN));
    clm_sampler_destroy(s);
    clm_sampler_destroy(small);
}

static void test_nan(void **state)
{
    const float logits[5] = {NAN, 0.0f, NAN, -80.0f, NAN};
    const float one[5] = {NAN, NAN, NAN, -3e38f, -NAN};
    clm_sampling p = PLAIN;
    clm_sampler *s = make(5, SEED);

    (void)state;
    p.repetition_penalty = 2.0;
    for (int hot = 0; hot < 2; hot++) {
        const int seen[2] = {0, 2};
        p.temperature = hot ? 100.0 : 0.0;
        for (int i = 0; i < 1000; i++) {
            int id = choose_seen(s, &p, logits, 5, seen, 2);
            assert_true(id == 1 || (hot && id == 3));
            assert_int_equal(choose_seen(s, &p, one, 5, seen, 2), 3);
        }
    }
    clm_sampler_destroy(s);
}

static void test_no_number(void **state)
{
    clm_sampling p = PLAIN;
    clm_sampler *s = make(3, SEED);

    (void)state;
    for (int hot = 0; hot < 2; hot++) {
        float logits[3] = {NAN, NAN, -NAN};
        clm_err err = {""};
        int id = -1;
        p.temperature = hot ? 1.0 : 0.0;
        assert_int_equal(clm_sampler_choose(s, &p, logits, NULL, 0, &id, &err), CLM_E_MODEL);
        assert_true(strlen(err.text) > 0);
        assert_int_equal(id, 0);
    }
    clm_sampler_destroy(s);
}

static void test_frequencies(void **state)
{
    clm_sampling p = PLAIN;
    double squares[4], sum = 0.0;
    float logits[4];

    (void)state;
    known_logits(logits);
    expect_frequencies(&p, logits, 4, WEIGHTS);
    for (size_t i = 0; i < 4; i++) sum += squares[i] = WEIGHTS[i] * WEIGHTS[i];
    for (size_t i = 0; i < 4; i++) squares[i] /= sum;
    p.temperature = 0.5; /* squares the probabilities */
    expect_frequencies(&p, logits, 4, squares);
    p.top_k = 4; /* no limit: all there are */
    expect_frequencies(&p, logits, 4, squares);
    p.top_k = 400;
    expect_frequencies(&p, logits, 4, squares);
}

static void test_top_k(void **state)
{
    static const double two[4] = {0.0, 2.0 / 3.0, 0.0, 1.0 / 3.0}, one[4] = {0.0, 1.0, 0.0, 0.0};
    clm_sampling p = PLAIN;
    float logits[4];

    (void)state;
    known_logits(logits);
    p.top_k = 2;
    expect_frequencies(&p, logits, 4, two);
    p.top_k = 1;
    p.temperature = 50.0;
    expect_frequencies(&p, logits, 4, one);
}

static void test_top_p(void **state)
{
    static const double one[4] = {0.0, 1.0, 0.0, 0.0}, two[4] = {0.0, 2.0 / 3.0, 0.0, 1.0 / 3.0};
    static const double three[4] = {0.15 / 0.9, 0.5 / 0.9, 0.0, 0.25 / 0.9};
    clm_sampling p = PLAIN;
    float logits[4];

    (void)state;
    known_logits(logits);
    p.top_p = 1e-9;
    expect_frequencies(&p, logits, 4, one);
    p.top_p = 0.45;
    expect_frequencies(&p, logits, 4, one);
    p.top_p = 0.7; /* the one that reaches it stays */
    expect_frequencies(&p, logits, 4, two);
    p.top_p = 0.85;
    expect_frequencies(&p, logits, 4, three);
}

static void test_min_p(void **state)
{
    static const double one[4] = {0.0, 1.0, 0.0, 0.0}, two[4] = {0.0, 2.0 / 3.0, 0.0, 1.0 / 3.0};
    static const double three[4] = {0.15 / 0.9, 0.5 / 0.9, 0.0, 0.25 / 0.9};
    clm_sampling p = PLAIN;
    float logits[4];

    (void)state;
    known_logits(logits);
    p.min_p = 0.25; /* of the largest: 0.125 */
    expect_frequencies(&p, logits, 4, three);
    p.min_p = 0.4;
    expect_frequencies(&p, logits, 4, two);
    p.min_p = 1.0;
    expect_frequencies(&p, logits, 4, one);
}

static void test_penalty(void **state)
{
    const int seen[9] = {1, 1, -1, 3, 4, 1000000, INT32_MIN, INT32_MAX, 1};
    float logits[4] = {1.0f, 6.0f, -2.0f, -4.0f};
    const float close[2] = {1.0f, 1.5f}, below[2] = {-1.5f, -1.0f};
    const int first[1] = {1};
    clm_sampling p = PLAIN;
    clm_sampler *s = make(4, SEED), *small = make(2, SEED);
    int id = -1;

    (void)state;
    p.temperature = 0.0;
    p.repetition_penalty = 2.0;
    assert_int_equal(clm_sampler_choose(s, &p, logits, seen, 9, &id, NULL), CLM_OK);
    /* Lowered once, however often it was seen: 6/2 = 3 still wins. */
    assert_int_equal(id, 1);
    assert_true(logits[0] == 1.0f && logits[1] == 3.0f && logits[2] == -2.0f && logits[3] == -8.0f);
    assert_int_equal(choose(small, &p, close, 2), 1);
    assert_int_equal(choose_seen(small, &p, close, 2, first, 1), 0);
    assert_int_equal(choose_seen(small, &p, below, 2, first, 1), 0);
    /* What one choice marked does not reach into the next. */
    assert_int_equal(choose(small, &p, close, 2), 1);
    assert_int_equal(choose_seen(small, &p, close, 2, first, 1), 0);
    clm_sampler_destroy(s);
    clm_sampler_destroy(small);
}

static void test_seed(void **state)
{
    clm_sampler *a = make(4, 42), *b = make(4, 42), *c = make(4, 43);
    float logits[4];
    int differ = 0;

    (void)state;
    known_logits(logits);
    for (int i = 0; i < 1000; i++) {
        int id = choose(a, &PLAIN, logits, 4);
        assert_int_equal(choose(b, &PLAIN, logits, 4), id);
        differ += choose(c, &PLAIN, logits, 4) != id;
    }
    assert_true(differ > 100);
    clm_sampler_destroy(a);
    clm_sampler_destroy(b);
    clm_sampler_destroy(c);
    clm_sampler_destroy(NULL);
    assert_true(clm_seed_from_system() != 0);
    assert_true(clm_seed_from_system() != clm_seed_from_system());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_vocabulary),
        cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_no_number),
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_top_p),
        cmocka_unit_test(test_min_p),
        cmocka_unit_test(test_penalty),
        cmocka_unit_test(test_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
