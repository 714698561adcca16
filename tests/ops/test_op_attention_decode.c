/* tests/ops/test_op_attention_decode.c: cl/attention_decode.cl against its reference; a token's way
 * through it and attention_combine against plain attention; blocks that are not read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/ops/kv_case.h"
#include "runtime/ops/attention_case.h"
#include "runtime/ops/op_attention_combine.h"
#include "runtime/ops/op_attention_decode.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

enum { HEADS = 8, DIM = 16, CONTEXT = 1024, POSITION = 1000, SPLITS = 2 };

static const clm_kv_dims k_dims = {HEADS, DIM, CONTEXT, CLM_CACHE_F16};

static void make_case(clm_case *c)
{
    clm_err err = {{0}};

    c->shape = (clm_shape){.v = {0, HEADS * DIM, 2 * HEADS * DIM, HEADS, HEADS, DIM, CONTEXT,
                                 CLM_CACHE_F16, 0, SPLITS, POSITION},
                           .f = {1.0f}};
    if (clm_op_attention_decode.fill(c, 7, &err) != CLM_OK) fail_msg("%s", err.text);
    clm_ref_attention_decode(c);
}

/* The reference's partial results, combined by its other half, are the reference of attention over the
 * cache that the token has entered. */
static void splits_make_a_whole(void **state)
{
    clm_case c = {.n_bufs = 0};
    clm_case whole = {.shape = {.v = {1, 3 * HEADS * DIM, 0, HEADS * DIM, HEADS, HEADS, DIM,
                                      CONTEXT, POSITION, CLM_CACHE_F16}}};
    float out[HEADS * DIM];

    (void)state;
    make_case(&c);
    whole.bufs[0] = c.bufs[0];
    for (size_t i = 1; i <= 5; i++) {
        whole.bufs[i] = c.bufs[i + 1];
        if (c.bufs[i + 1].expected != NULL) whole.bufs[i].data = c.bufs[i + 1].expected;
    }
    whole.bufs[6] = c.bufs[7];
    whole.bufs[7] = (clm_case_buffer){
        .type = CLM_ELEM_F32, .count = HEADS * DIM, .role = CLM_CASE_OUT, .expected = out};
    clm_ref_attention(&whole);
    for (size_t i = 0; i < HEADS * DIM; i++) {
        const float *part = (const float *)c.bufs[9].expected + i / DIM * SPLITS * (DIM + 2);
        const double got = clm_ref_attention_combined(part, SPLITS, DIM, i % DIM);

        assert_true(fabs(got - (double)out[i]) < 1e-5);
    }
    clm_case_clear(&c);
}

/* Makes NaN of every 64 positions that the bound allows to leave out, seen from the newest key's score;
 * returns how many blocks of 16 these are. */
static size_t poison_what_vanishes(clm_case *c)
{
    const float *x = c->bufs[0].data, *slopes = c->bufs[7].data, *kmax = c->bufs[6].data;
    size_t count = 0;

    for (size_t h = 0; h < HEADS; h++) {
        const float *q = x + h * DIM, *key = x + HEADS * DIM + h * DIM;
        double square = 0.0, own = 0.0;

        for (size_t d = 0; d < DIM; d++) {
            square += pow((double)q[d], 2.0) / DIM;
            own += (double)q[d] * (double)clm_ref_half_to_float(clm_ref_float_to_half(key[d]));
        }
        for (size_t first = 0; first + 64 <= POSITION; first += 64) {
            const float *of = kmax + (h * CONTEXT + first) / CLM_KV_BLOCK;
            const double longest = (double)fmaxf(fmaxf(of[0], of[1]), fmaxf(of[2], of[3]));

            if (sqrt(square) * longest * 1.001 -
                    (double)slopes[h] * (double)(POSITION - first - 63) + log(POSITION + 1.0) >
                own / sqrt((double)DIM) - 16.7)
                continue;
            for (size_t b = 0; b < 4; b++)
                clm_kv_case_poison(&c->bufs[2], &k_dims, h, first / CLM_KV_BLOCK + b);
            count += 4;
        }
    }
    return count;
}

/* Far keys of heads with a steep slope are not read, and the result is that of all keys. */
static void windows_skip_blocks(clm_device *dev, void *user)
{
    clm_case c = {.n_bufs = 0}, clean = {.n_bufs = 0};
    size_t skipped;

    (void)user;
    make_case(&clean);
    make_case(&c);
    skipped = poison_what_vanishes(&c);
    print_message("windows: %zu of %d blocks need not be read\n", skipped, HEADS * POSITION / 16);
    assert_true(skipped >= HEADS * POSITION / 16 / 4);
    clm_ref_attention_decode(&c); /* the caches with what was poisoned, to compare with */
    memcpy(c.bufs[9].expected, clean.bufs[9].expected, c.bufs[9].count * sizeof(float));
    clm_op_test_case(&clm_op_attention_decode, dev, &c);
    clm_case_clear(&c);
    clm_case_clear(&clean);
}

static void windows_skip_blocks_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(windows_skip_blocks, NULL);
}

static void splits_suit_the_device(void **state)
{
    const clm_caps cpu = {.compute_units = 2}, gpu = {.compute_units = 132},
                   one = {.compute_units = 1};

    (void)state;
    assert_int_equal(clm_attention_splits(&one, 40, 4096), 1);
    assert_int_equal(clm_attention_splits(&cpu, 40, 4096), 1);
    assert_int_equal(clm_attention_splits(&cpu, 2, 4096), 4);
    assert_int_equal(clm_attention_splits(&cpu, 2, 64), 1);
    assert_int_equal(clm_attention_splits(&gpu, 40, 4096), 16);
    assert_int_equal(clm_attention_splits(&gpu, 40, 256), 4);
    assert_int_equal(clm_attention_splits(&gpu, 1, 1 << 20), CLM_DECODE_MAX_SPLITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_make_a_whole),
        cmocka_unit_test(splits_suit_the_device),
        cmocka_unit_test(windows_skip_blocks_on_devices),
    };

    return clm_op_test_main(&clm_op_attention_decode, tests, 3);
}
