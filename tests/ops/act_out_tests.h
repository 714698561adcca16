/* tests/ops/act_out_tests.h: what the tests of operators in front of products share: rounding into panels. */
#ifndef CLM_TESTS_OPS_ACT_OUT_TESTS_H
#define CLM_TESTS_OPS_ACT_OUT_TESTS_H

#include "runtime/ops/act.h"
#include "tests/ops/op_harness.h"

/* 33 rows of 32 columns in panels of 64; factors that round up and down, near the middle of two steps. */
enum { ROUNDED_ROWS = 33, ROUNDED_COLUMNS = 32, ROUNDED_COUNT = 64 * ROUNDED_COLUMNS };

static float rounded_factor(int column)
{
    return 1.0f + 0x1p-8f + (column % 8 == 1 ? 0x1p-12f : -0x1p-12f);
}

/* Buffer `y` of a case whose columns 0 and 1 are such factors times what is `down` and `up` in bfloat16 when rounded:
 * in its places, zeros behind the last row, and on the device without a step to the other side. */
static void check_rounded(const clm_op_desc *op, clm_device *dev, clm_case *c, size_t y, int out,
                          uint16_t down, uint16_t up)
{
    const uint16_t *want;

    op->reference(c);
    want = c->bufs[y].expected;
    assert_int_equal(c->bufs[y].count, ROUNDED_COUNT);
    assert_int_equal(want[0], down);
    assert_int_equal(want[out == CLM_ACT_OUT_SHUFFLED ? 4 : 1], up);
    assert_int_equal(want[32 * ROUNDED_COLUMNS], down); /* token 32: the next panel */
    assert_int_equal(want[33 * ROUNDED_COLUMNS], 0);
    c->bufs[y].rtol = 1e-5f;
    clm_op_test_case(op, dev, c);
}

#endif
