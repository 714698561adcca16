/* tests/ops/test_op_attention.c: cl/attention.cl against clm_ref_attention(); slopes of ALiBi. */
#include <math.h>
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_attention.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

static void expect_slopes(size_t n_heads, size_t first, const double *want, size_t count)
{
    float slopes[64];

    clm_alibi_slopes(slopes, n_heads);
    for (size_t i = 0; i < count; i++) {
        if (fabs((double)slopes[first + i] - want[i]) > 1e-7)
            fail_msg("slope %zu of %zu is %.9g, not %.9g", first + i, n_heads,
                     (double)slopes[first + i], want[i]);
    }
}

/* Powers of two by hand; for 6 and 5 heads, the series of 4 and then every second of 8; for 40
 * heads the ends of the series of 32 and, from 32 on, powers of 2^(-1/8). */
static void alibi_slopes(void **state)
{
    (void)state;
    expect_slopes(1, 0, (const double[]){1.0 / 256}, 1);
    expect_slopes(2, 0, (const double[]){1.0 / 16, 1.0 / 256}, 2);
    expect_slopes(5, 0, (const double[]){0.25, 0.0625, 1.0 / 64, 1.0 / 256, 0.5}, 5);
    expect_slopes(6, 0, (const double[]){0.25, 0.0625, 1.0 / 64, 1.0 / 256, 0.5, 0.125}, 6);
    expect_slopes(
        8, 0, (const double[]){0.5, 0.25, 0.125, 0.0625, 1.0 / 32, 1.0 / 64, 1.0 / 128, 1.0 / 256},
        8);
    expect_slopes(40, 0, (const double[]){0.8408964152537145, 0.7071067811865476}, 2);
    expect_slopes(40, 31, (const double[]){1.0 / 256, 0.9170040432046712, 0.7711054127039704}, 3);
    expect_slopes(40, 39, (const double[]){0.2726269331663144}, 1);
}

/* Values by hand: equal keys, so the weights are those of the bias alone: 1, e^-s, e^-2s. */
static void reference_by_hand(void **state)
{
    clm_case c = {.shape = {.v = {1, 1, 0, 1, 1, 1, 1, 3, 2, CLM_CACHE_F32}, .f = {1.0f}}};
    const double e1 = exp(-0.75), e2 = exp(-1.5);
    clm_err err;
    float *v;

    (void)state;
    assert_int_equal(clm_op_attention.fill(&c, 1, &err), CLM_OK);
    v = c.bufs[2].data;
    for (int j = 0; j < 3; j++) {
        ((float *)c.bufs[1].data)[j] = 0.5f;
        v[j] = (float)(1 << (2 * j)); /* 1, 4, 16; the last is the newest */
    }
    ((float *)c.bufs[6].data)[0] = 0.75f;
    clm_ref_attention(&c);
    assert_true(fabs((double)((float *)c.bufs[7].expected)[0] -
                     (e2 + 4.0 * e1 + 16.0) / (e2 + e1 + 1.0)) < 1e-6);
    clm_case_clear(&c);
}

/* Scores of +-20000, far beyond exp's range: the softmax becomes a choice, without infinities. */
static void huge_scores(clm_device *dev, void *user)
{
    clm_case c = {
        .shape = {.v = {2, 3 * 32, 0, 32, 2, 2, 16, 140, 130, CLM_CACHE_F32}, .f = {1.0f}}};
    clm_err err;

    (void)user;
    assert_int_equal(clm_op_attention.fill(&c, 3, &err), CLM_OK);
    for (size_t i = 0; i < c.bufs[0].count; i++) ((float *)c.bufs[0].data)[i] *= 4096.0f;
    clm_ref_attention(&c);
    for (size_t i = 0; i < c.bufs[7].count; i++)
        assert_true(isfinite(((float *)c.bufs[7].expected)[i]));
    clm_op_test_case(&clm_op_attention, dev, &c);
    clm_case_clear(&c);
}

/* Scores that fall, and scores that rise, from chunk to chunk: the rescaling in both directions. */
static void drifting_scores(clm_device *dev, void *user)
{
    (void)user;
    for (int sign = -1; sign <= 1; sign += 2) {
        clm_case c = {.shape = {.v = {1, 48, 0, 16, 1, 1, 16, 257, 256, CLM_CACHE_F32}}};
        clm_err err;
        float *q, *k;

        assert_int_equal(clm_op_attention.fill(&c, 4, &err), CLM_OK);
        q = c.bufs[0].data;
        k = c.bufs[1].data;
        q[0] = 4.0f;
        for (int j = 0; j < 257; j++) {
            k[clm_kv_k_at(0, 16, 257, (size_t)j, 0)] = (float)(sign * (j - 128)) * 0.02f;
            ((float *)c.bufs[5].data)[j / CLM_KV_BLOCK] = 5.0f; /* no key is longer */
        }
        clm_ref_attention(&c);
        clm_op_test_case(&clm_op_attention, dev, &c);
        clm_case_clear(&c);
    }
}

/* Makes NaN of every 64 positions that the bound allows to leave out, seen from the newest key's score;
 * returns how many blocks of 16 these are. */
static size_t poison_what_vanishes(clm_case *c, const clm_kv_dims *dims, size_t pos)
{
    const float *q = c->bufs[0].data, *slopes = c->bufs[6].data;
    size_t count = 0;

    for (size_t h = 0; h < dims->kv_heads; h++) {
        const float *kmax = (const float *)c->bufs[5].data + h * clm_kv_padded(dims->ctx) / 16;
        const double scale = 1.0 / sqrt((double)dims->head_dim);
        double square = 0.0, own = 0.0;

        for (size_t d = 0; d < dims->head_dim; d++) {
            const double e = (double)q[h * dims->head_dim + d] * scale;
            square += e * e;
            own += e * clm_kv_case_key(&c->bufs[1], dims, h, pos, d);
        }
        for (size_t first = 0; first + 64 <= pos; first += 64) {
            double longest = 0.0;

            for (size_t b = 0; b < 4; b++) longest = fmax(longest, (double)kmax[first / 16 + b]);
            if (sqrt(square) * longest * 1.001 - (double)slopes[h] * (double)(pos - first - 63) +
                    log((double)pos + 1.0) >
                own - 16.7)
                continue;
            for (size_t b = 0; b < 4; b++) clm_kv_case_poison(&c->bufs[1], dims, h, first / 16 + b);
            count += 4;
        }
    }
    return count;
}

/* Far keys of heads with a steep slope are not read, and the result is that of all keys. */
static void windows_skip_blocks(clm_device *dev, void *user)
{
    const clm_kv_dims dims = {8, 16, 1024, CLM_CACHE_F16};
    clm_case c = {
        .shape = {.v = {1, 3 * 128, 0, 128, 8, 8, 16, 1024, 1000, CLM_CACHE_F16}, .f = {1.0f}}};
    clm_err err;
    size_t skipped;

    (void)user;
    assert_int_equal(clm_op_attention.fill(&c, 7, &err), CLM_OK);
    clm_ref_attention(&c);
    skipped = poison_what_vanishes(&c, &dims, 1000);
    print_message("windows: %zu of %d blocks need not be read\n", skipped, 8 * 63);
    assert_true(skipped >= 8 * 63 / 4);
    clm_op_test_case(&clm_op_attention, dev, &c);
    clm_case_clear(&c);
}

/* The smallest and the largest head, with the default configurations only: they build slowly. */
static void extreme_heads(clm_device *dev, void *user)
{
    static const clm_shape shapes[] = {
        {.v = {1, 3 * 512, 512, 512, 1, 1, 512, 65, 64, CLM_CACHE_F16}},
        {.v = {2, 6, 0, 2, 2, 2, 1, 5, 3, CLM_CACHE_F32}},
    };

    (void)user;
    for (size_t i = 0; i < 2; i++) {
        clm_case c = {.shape = shapes[i]};
        clm_err err;

        assert_int_equal(clm_op_attention.fill(&c, 6, &err), CLM_OK);
        clm_ref_attention(&c);
        clm_op_test_case(&clm_op_attention, dev, &c);
        clm_case_clear(&c);
    }
}

/* NaN in a query must come out as NaN in that row and head, and nowhere else; nothing hangs. */
static void nan_stays_in_its_head(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {2, 3 * 32, 0, 32, 2, 2, 16, 64, 40, CLM_CACHE_F16}, .f = {1.0f}}};
    const float *out;
    clm_err err;

    (void)user;
    assert_int_equal(clm_op_attention.fill(&c, 5, &err), CLM_OK);
    ((float *)c.bufs[0].data)[3] = NAN;
    clm_ref_attention(&c);
    out = c.bufs[7].expected;
    for (int i = 0; i < 64; i++) assert_int_equal(isnan(out[i]) != 0, i < 16);
    clm_op_test_case(&clm_op_attention, dev, &c);
    clm_case_clear(&c);
}

static void special_cases_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(huge_scores, NULL);
    clm_op_test_devices(drifting_scores, NULL);
    clm_op_test_devices(nan_stays_in_its_head, NULL);
    clm_op_test_devices(windows_skip_blocks, NULL);
    clm_op_test_devices(extreme_heads, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alibi_slopes),
        cmocka_unit_test(reference_by_hand),
        cmocka_unit_test(special_cases_on_devices),
    };

    return clm_op_test_main(&clm_op_attention, tests, 3);
}
