/* test_encode.c: blocks against what they decode to, against an exhaustive search over the scales and
 * minima that fp16 has, and against plain rounding as ggml does it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/quantize/encode.h"

static const clm_qtype types[] = {CLM_QTYPE_INT4, CLM_QTYPE_Q4_0, CLM_QTYPE_Q4_1,
                                  CLM_QTYPE_Q8_0, CLM_QTYPE_F16,  CLM_QTYPE_F32};
enum { N_TYPES = sizeof types / sizeof types[0] };

/* ---- values ---------------------------------------------------------------------------------- */

static uint32_t random_state;

static double uniform(void) /* 0..1, neither included */
{
    random_state = random_state * 1664525u + 1013904223u;
    return ((double)random_state + 0.5) / 4294967296.0;
}

static double gauss(void)
{
    const double radius = sqrt(-2.0 * log(uniform()));
    return radius * cos(6.283185307179586 * uniform());
}

static double laplace(void)
{
    const double u = uniform() - 0.5;
    return (u < 0 ? 1.0 : -1.0) * log(1.0 - 2.0 * fabs(u));
}

/* Trained weights lie between the two; outliers are what hurts. */
static void fill(float *x, size_t count, int kind, double scale)
{
    random_state = 1;
    for (size_t i = 0; i < count; i++) {
        double v = kind == 0 ? gauss() : kind == 1 ? laplace() : gauss();

        if (kind == 2 && i % 50 == 0) v *= 5.0;
        x[i] = (float)(scale * v);
    }
}

static double squared_error(clm_qtype type, const float *x, size_t count, const uint8_t *blocks)
{
    float *decoded = malloc(count * sizeof *decoded);
    double sum = 0.0;

    clm_qtype_dequantize(type, blocks, count, decoded);
    for (size_t i = 0; i < count; i++)
        sum += ((double)x[i] - decoded[i]) * ((double)x[i] - decoded[i]);
    free(decoded);
    return sum;
}

/* Encodes into exactly sized memory and checks the error that clm_encode states. */
static double encode(clm_qtype type, const float *x, size_t count)
{
    const size_t bytes = clm_qtype_bytes(type, count);
    uint8_t *blocks = malloc(bytes);
    const double stated = clm_encode(type, x, count, blocks),
                 error = squared_error(type, x, count, blocks);

    free(blocks);
    if (fabs(stated - error) > 1e-5 * error + 1e-30)
        fail_msg("%s: states the error %g, is %g", clm_qtype_name((uint32_t)type), stated, error);
    return error;
}

/* ---- plain rounding, as ggml's reference quantisers ------------------------------------------ */

static double plain_affine(const float *x, size_t n)
{
    float low = x[0], high = x[0];
    double error = 0.0;

    for (size_t i = 0; i < n; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    const float scale = (high - low) / 15.0f;
    for (size_t i = 0; i < n; i++) {
        const float q = fminf(15.0f, floorf((x[i] - low) / scale + 0.5f));
        const double d = x[i] - ((double)clm_half_to_float(clm_float_to_half(scale)) * q +
                                 clm_half_to_float(clm_float_to_half(low)));
        error += d * d;
    }
    return error;
}

static double plain_q4_0(const float *x)
{
    float peak = 0.0f;
    double error = 0.0;

    for (size_t i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(peak)) peak = x[i];
    const float scale = peak / -8.0f;
    for (size_t i = 0; i < 32; i++) {
        const float q = fminf(15.0f, floorf(x[i] / scale + 8.5f));
        const double d = x[i] - (double)clm_half_to_float(clm_float_to_half(scale)) * (q - 8.0f);
        error += d * d;
    }
    return error;
}

static double plain_q8_0(const float *x)
{
    float peak = 0.0f;
    double error = 0.0;

    for (size_t i = 0; i < 32; i++) peak = fmaxf(peak, fabsf(x[i]));
    const float scale = peak / 127.0f;
    for (size_t i = 0; i < 32; i++) {
        const double d = x[i] - (double)clm_half_to_float(clm_float_to_half(scale)) *
                                    (double)roundf(x[i] / scale);
        error += d * d;
    }
    return error;
}

static void beats_plain_rounding(void **state)
{
    enum { COUNT = 64 * 2048 };
    static float x[COUNT];

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        double q4_0 = 0.0, q4_1 = 0.0, q8_0 = 0.0, int4 = 0.0;

        fill(x, COUNT, kind, 0.02);
        for (size_t i = 0; i < COUNT; i += 64) int4 += plain_affine(x + i, 64);
        for (size_t i = 0; i < COUNT; i += 32) {
            q4_0 += plain_q4_0(x + i);
            q4_1 += plain_affine(x + i, 32);
            q8_0 += plain_q8_0(x + i);
        }
        const double got[] = {encode(CLM_QTYPE_INT4, x, COUNT), encode(CLM_QTYPE_Q4_0, x, COUNT),
                              encode(CLM_QTYPE_Q4_1, x, COUNT), encode(CLM_QTYPE_Q8_0, x, COUNT)};

        printf("distribution %d, searched / plain: int4 %.3f, q4_0 %.3f, q4_1 %.3f, q8_0 %.3f; "
               "int4 / plain q4_0 %.3f\n",
               kind, got[0] / int4, got[1] / q4_0, got[2] / q4_1, got[3] / q8_0, got[0] / q4_0);
        assert_true(got[0] < 0.86 * int4);
        assert_true(got[1] < 0.96 * q4_0);
        assert_true(got[2] < 0.83 * q4_1);
        assert_true(got[3] <= 1.0001 * q8_0);
        assert_true(got[0] < 0.92 * q4_0);
    }
}

/* ---- exhaustive search ----------------------------------------------------------------------- */

/* What the search minimises: the error of each value weighs 1 + |x| / sigma. */
typedef struct weighed {
    const float *x;
    size_t n;
    double weight[64];
} weighed;

static weighed weigh(const float *x, size_t n)
{
    weighed group = {.x = x, .n = n};
    double squares = 0.0;

    for (size_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        group.weight[i] = 1.0 + fabs((double)x[i]) / sqrt(squares / (double)n);
    return group;
}

static double encode_weighed(clm_qtype type, const weighed *group)
{
    uint8_t block[64];
    float decoded[64];
    double error = 0.0;

    clm_encode(type, group->x, group->n, block);
    clm_qtype_dequantize(type, block, group->n, decoded);
    for (size_t i = 0; i < group->n; i++) {
        const double d = (double)group->x[i] - decoded[i];
        error += group->weight[i] * d * d;
    }
    return error;
}

/* Error of a group for a scale and a minimum, each value to its nearest q. */
static double error_of(const weighed *group, double scale, double min, double low, double high)
{
    double error = 0.0;

    for (size_t i = 0; i < group->n; i++) {
        const double x = group->x[i];
        double q = scale != 0.0 ? nearbyint((x - min) / scale) : 0.0;

        q = fmax(low, fmin(high, q));
        error += group->weight[i] * (x - min - scale * q) * (x - min - scale * q);
    }
    return error;
}

/* The least error of all fp16 scales between a and b (bits of positive numbers), either sign. */
static double best_scale(const weighed *group, double a, double b, double low, double high)
{
    double best = HUGE_VAL;

    for (unsigned h = clm_float_to_half((float)a); h <= clm_float_to_half((float)b); h++)
        for (int sign = -1; sign <= 1; sign += 2)
            best = fmin(best, error_of(group, sign * (double)clm_half_to_float((uint16_t)h), 0.0,
                                       low, high));
    return best;
}

/* The same over a fine grid of scales and minima; fp16 is much finer than the grid needs to be. */
static double best_affine(const weighed *group, double low)
{
    double from = group->x[0], to = from, best = HUGE_VAL;

    for (size_t i = 0; i < group->n; i++) {
        /* fmin and fmax in such loops crash GCC 12 for AArch64. */
        if ((double)group->x[i] < from) from = (double)group->x[i];
        if ((double)group->x[i] > to) to = (double)group->x[i];
    }
    const double full = (to - from) / 15.0;
    for (double scale = 0.6 * full; scale <= 1.03 * full; scale += 0.004 * full)
        for (double start = from - 0.3 * full; start <= from + 5.0 * full; start += 0.04 * full)
            best = fmin(best, error_of(group, scale, start - low * scale, low, low + 15.0));
    return best;
}

static void close_to_the_best_there_is(void **state)
{
    enum { GROUPS = 24, COUNT = 64 * GROUPS };
    static const double enough[] = {1.03, 1.055, 1.005};
    static float x[COUNT];

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        double best[3] = {0.0}, got[3] = {0.0}, worst[3] = {0.0};

        fill(x, COUNT, kind, 0.02);
        for (size_t g = 0; g < GROUPS; g++) {
            const weighed group = weigh(x + 64 * g, 64), half = weigh(x + 64 * g, 32);
            double peak = 0.0;

            for (size_t i = 0; i < 32; i++)
                if (fabs((double)half.x[i]) > peak) peak = fabs((double)half.x[i]);
            const double least[] = {best_affine(&group, -8.0), best_affine(&half, 0.0),
                                    best_scale(&half, peak / 10.0, peak / 5.0, -8.0, 7.0)};
            const double mine[] = {encode_weighed(CLM_QTYPE_INT4, &group),
                                   encode_weighed(CLM_QTYPE_Q4_1, &half),
                                   encode_weighed(CLM_QTYPE_Q4_0, &half)};
            for (size_t i = 0; i < 3; i++) {
                best[i] += least[i];
                got[i] += mine[i];
                worst[i] = fmax(worst[i], mine[i] / least[i]);
            }
        }
        printf("distribution %d, found / best: int4 %.3f, q4_1 %.3f, q4_0 %.3f; worst group %.2f, "
               "%.2f, %.2f\n",
               kind, got[0] / best[0], got[1] / best[1], got[2] / best[2], worst[0], worst[1],
               worst[2]);
        for (size_t i = 0; i < 3; i++) {
            assert_true(got[i] < enough[i] * best[i]);
            assert_true(worst[i] < 1.5);
        }
    }
}

/* In 8 bits no scale is much better than that of the largest value: the search is a short one. */
static void eight_bits_are_close_too(void **state)
{
    float x[32];
    double best = 0.0, got = 0.0;

    (void)state;
    random_state = 5;
    for (int n = 0; n < 100; n++) {
        double peak = 0.0;

        for (size_t i = 0; i < 32; i++) {
            x[i] = (float)(0.02 * gauss());
            peak = fmax(peak, fabs((double)x[i]));
        }
        const weighed group = weigh(x, 32);
        got += encode_weighed(CLM_QTYPE_Q8_0, &group);
        best += best_scale(&group, peak / 129.0, peak / 125.0, -127.0, 127.0);
    }
    printf("found / best: q8_0 %.3f\n", got / best);
    assert_true(got < 1.4 * best);
}

/* ---- special values -------------------------------------------------------------------------- */

static void grids_come_back_exactly(void **state)
{
    float x[64];

    (void)state;
    random_state = 9;
    for (int n = 0; n < 200; n++) {
        const float scale = clm_half_to_float((uint16_t)(0x1000 + n * 57)),
                    min = clm_half_to_float((uint16_t)(0x1200 + n * 31)) - 3.0f * scale;
        const float half_min = clm_half_to_float(clm_float_to_half(min));

        for (size_t i = 0; i < 64; i++) /* all of the range occurs, as in any group of 64 */
            x[i] = scale * (float)((int)(i < 16 ? i : 16.0 * uniform()) - 8) + half_min;
        assert_true(encode(CLM_QTYPE_INT4, x, 64) == 0.0);
        for (size_t i = 0; i < 64; i++) x[i] = scale * (float)((int)(i % 16) - 8);
        assert_true(encode(CLM_QTYPE_Q4_0, x, 64) == 0.0);
        for (size_t i = 0; i < 64; i++) x[i] = scale * (float)((int)(i % 32) * 8 - 127);
        assert_true(encode(CLM_QTYPE_Q8_0, x, 64) == 0.0);
    }
}

static void constants_and_zeros(void **state)
{
    float x[64] = {0};

    (void)state;
    for (size_t t = 0; t < N_TYPES; t++) assert_true(encode(types[t], x, 64) == 0.0);
    for (size_t i = 0; i < 64; i++) x[i] = 0.5f;
    assert_true(encode(CLM_QTYPE_INT4, x, 64) == 0.0);
    assert_true(encode(CLM_QTYPE_Q4_1, x, 64) == 0.0);
    assert_true(encode(CLM_QTYPE_Q4_0, x, 64) < 1e-12);
    for (size_t i = 0; i < 64; i++) x[i] = i == 37 ? -3.0f : 0.0f; /* one outlier stays */
    assert_true(encode(CLM_QTYPE_INT4, x, 64) < 1e-3);
    assert_true(encode(CLM_QTYPE_Q4_0, x, 64) < 1e-3);
}

static void tiny_and_huge(void **state)
{
    static const float magnitudes[] = {1e-40f, 1e-30f, 1e-9f, 1e-7f, 1e-5f, 1.0f, 1e3f, 5e4f};
    float x[64];
    uint8_t blocks[64 * 4];

    (void)state;
    for (size_t m = 0; m < sizeof magnitudes / sizeof magnitudes[0]; m++) {
        double norm = 0.0;

        random_state = 3;
        for (size_t i = 0; i < 64; i++) {
            x[i] = magnitudes[m] * (float)(2.0 * uniform() - 1.0);
            norm += (double)x[i] * x[i];
        }
        for (size_t t = 0; t < N_TYPES; t++)
            assert_true(encode(types[t], x, 64) <= norm * (magnitudes[m] < 1e-6f ? 1.0001 : 0.01));
    }
    for (size_t i = 0; i < 64; i++) x[i] = i % 2 != 0 ? 1e30f : -3e38f;
    for (size_t t = 0; t < N_TYPES; t++)
        assert_true(types[t] == CLM_QTYPE_F32 || isinf(clm_encode(types[t], x, 64, blocks)));
}

static void blocks_do_not_depend_on_neighbours(void **state)
{
    enum { COUNT = 64 * 100 };
    static float x[COUNT];
    static uint8_t whole[COUNT * 4], parts[COUNT * 4];

    (void)state;
    fill(x, COUNT, 1, 0.05);
    for (size_t t = 0; t < N_TYPES; t++) {
        double sum = 0.0;

        clm_encode(types[t], x, COUNT, whole);
        for (size_t at = 0, n = 64; at < COUNT; at += n, n = 64 * (1 + (at / 64) % 7)) {
            if (n > COUNT - at) n = COUNT - at;
            sum += clm_encode(types[t], x + at, n, parts + clm_qtype_bytes(types[t], at));
        }
        assert_memory_equal(whole, parts, clm_qtype_bytes(types[t], COUNT));
        assert_true(sum >= 0.0);
    }
}

static void not_finite_is_found(void **state)
{
    float x[100] = {0};

    (void)state;
    x[3] = 3.4e38f;
    assert_int_equal(clm_find_not_finite(x, 100), 100);
    for (size_t i = 0; i < 100; i += 9) {
        const float bad[] = {NAN, INFINITY, -INFINITY};

        x[i] = bad[i % 3];
        assert_int_equal(clm_find_not_finite(x, 100), i);
        x[i] = 0.0f;
    }
    assert_int_equal(clm_find_not_finite(x, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beats_plain_rounding),
        cmocka_unit_test(close_to_the_best_there_is),
        cmocka_unit_test(eight_bits_are_close_too),
        cmocka_unit_test(grids_come_back_exactly),
        cmocka_unit_test(constants_and_zeros),
        cmocka_unit_test(tiny_and_huge),
        cmocka_unit_test(blocks_do_not_depend_on_neighbours),
        cmocka_unit_test(not_finite_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
