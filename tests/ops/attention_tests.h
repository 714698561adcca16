/* tests/ops/attention_tests.h: what the tests of attention by matrix units share: a few rows behind a context,
 * with special numbers.
 */
#ifndef CLM_TESTS_OPS_ATTENTION_TESTS_H
#define CLM_TESTS_OPS_ATTENTION_TESTS_H

#include <math.h>

#include "runtime/ops/attention_case.h"
#include "runtime/ops/kv_case.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

enum { ROWS = 3, HEADS = 2, DIM = 32, CTX = 300, POS0 = 250, STRIDE = 3 * HEADS * DIM };

static float
    g_value_rounding; /* cmocka's and devices' functions take one argument, which is the operator */

static const clm_kv_dims k_dims = {HEADS, DIM, CTX, CLM_CACHE_F16};

/* A few rows behind a context, of two heads: one that looks back far and one that does not. */
static void fill_rows(const clm_op_desc *op, clm_case *c, uint32_t seed)
{
    clm_err err;

    c->shape = (clm_shape){
        .v = {ROWS, STRIDE, 0, HEADS * DIM, HEADS, HEADS, DIM, CTX, POS0, CLM_CACHE_F16}};
    assert_int_equal(op->fill(c, seed, &err), CLM_OK);
    ((float *)c->bufs[6].data)[0] = 0.5f;
    ((float *)c->bufs[6].data)[1] = 1.0f / 256.0f;
}

/* Scores far beyond what exp takes, of which each row has its own largest, so that it changes from chunk to
 * chunk: the softmax becomes a choice, without infinities. */
static void huge_scores(clm_device *dev, void *user)
{
    const clm_op_desc *op = user;
    clm_case c = {.n_bufs = 0};

    fill_rows(op, &c, 3);
    for (size_t i = 0; i < c.bufs[0].count; i++) ((float *)c.bufs[0].data)[i] *= 1024.0f;
    op->reference(&c);
    for (size_t i = 0; i < c.bufs[7].count; i++)
        assert_true(isfinite(((float *)c.bufs[7].expected)[i]));
    clm_op_test_case(op, dev, &c);
    clm_case_clear(&c);
}

/* NaN in a query is NaN in that row and head and nowhere else. */
static void nan_stays_in_its_row(clm_device *dev, void *user)
{
    const size_t row = 1, head = 1;
    const clm_op_desc *op = user;
    clm_case c = {.n_bufs = 0};

    fill_rows(op, &c, 5);
    ((float *)c.bufs[0].data)[row * STRIDE + head * DIM + 7] = NAN;
    op->reference(&c);
    for (size_t i = 0; i < c.bufs[7].count; i++)
        assert_int_equal(isnan(((float *)c.bufs[7].expected)[i]) != 0,
                         i / DIM == row * HEADS + head);
    clm_op_test_case(op, dev, &c);
    clm_case_clear(&c);
}

/* The first head does not read old keys, where NaN changes nothing: its scores differ by less than 24, and 24
 * units of log(2) are 17, which a slope of 1/2 makes of 82 positions. */
static void old_keys_are_not_read(clm_device *dev, void *user)
{
    const clm_op_desc *op = user;
    clm_case c = {.n_bufs = 0};

    fill_rows(op, &c, 7);
    op->reference(&c);
    for (size_t block = 0; block < (POS0 - 82 - 64) / CLM_KV_BLOCK; block++)
        clm_kv_case_poison(&c.bufs[1], &k_dims, 0, block);
    clm_op_test_case(op, dev, &c);
    clm_case_clear(&c);
}

/* ... but a key that is long enough is, wherever it is: the oldest, as long as the bias demands. */
static void long_keys_are_found(clm_device *dev, void *user)
{
    const clm_op_desc *op = user;
    const float rounding = g_value_rounding;
    clm_case c = {.n_bufs = 0};
    float *out, without;

    fill_rows(op, &c, 9);
    for (size_t m = 0; m < ROWS; m++) ((float *)c.bufs[0].data)[m * STRIDE] = 6.0f; /* element 0 */
    op->reference(&c);
    out = c.bufs[7].expected;
    without = out[0];
    ((uint16_t *)c.bufs[1].data)[clm_kv_k_at(0, DIM, CTX, 0, 0)] = clm_ref_float_to_half(200.0f);
    ((float *)c.bufs[5].data)[0] = 201.0f;
    op->reference(&c);
    /* The rows of the first head attend to that position alone. */
    assert_true(fabsf(out[0] - (float)clm_kv_case_value(&c.bufs[1], &k_dims, 0, 0, 0)) < rounding);
    assert_true(fabsf(out[0] - without) > 1e-2f);
    clm_op_test_case(op, dev, &c);
    clm_case_clear(&c);
}

/* Runs all of the above on the devices under test. `rounding`: by how much the operator rounds a value of about 1/2. */
static void attention_special_cases(const clm_op_desc *op, float rounding)
{
    g_value_rounding = rounding;
    clm_op_test_devices(huge_scores, (void *)op);
    clm_op_test_devices(nan_stays_in_its_row, (void *)op);
    clm_op_test_devices(old_keys_are_not_read, (void *)op);
    clm_op_test_devices(long_keys_are_found, (void *)op);
}

#endif
