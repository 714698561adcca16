/* tests/ops/test_op_rmsnorm.c: cl/rmsnorm.cl against clm_ref_rmsnorm(). */
#include <math.h>
#include "runtime/ops/act.h"
#include "runtime/ops/op_rmsnorm.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

/* The reference against values by hand: x = (3, 4), mean of squares 12.5. */
static void reference_by_hand(void **state)
{
    clm_case c = {.shape = {.v = {1, 2}, .f = {0.0f}}};
    clm_err err;
    float *x, *w, *y;

    (void)state;
    assert_int_equal(clm_op_rmsnorm.fill(&c, 1, &err), CLM_OK);
    x = c.bufs[0].data;
    w = c.bufs[1].data;
    y = c.bufs[2].expected;
    x[0] = 3.0f;
    x[1] = 4.0f;
    w[0] = 1.0f;
    w[1] = 2.0f;
    clm_ref_rmsnorm(&c);
    assert_true(fabs((double)y[0] - 3.0 / sqrt(12.5)) < 1e-7);
    assert_true(fabs((double)y[1] - 8.0 / sqrt(12.5)) < 2e-7);
    c.shape.f[0] = 3.5f; /* epsilon is added under the root */
    clm_ref_rmsnorm(&c);
    assert_true(fabs((double)y[0] - 0.75) < 1e-7);
    clm_case_clear(&c);
}

/* A row of zeros is finite thanks to epsilon, and a large epsilon matters on the device too. */
static void zeros_and_epsilon(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {3, 33}, .f = {2.5f}}};
    clm_err err;
    float *x;

    (void)user;
    assert_int_equal(clm_op_rmsnorm.fill(&c, 2, &err), CLM_OK);
    x = c.bufs[0].data;
    for (int i = 0; i < 33; i++) x[33 + i] = 0.0f;
    clm_ref_rmsnorm(&c);
    assert_true(((float *)c.bufs[2].expected)[33] == 0.0f);
    clm_op_test_case(&clm_op_rmsnorm, dev, &c);
    clm_case_clear(&c);
}

/* Numbers that round up and down, near the middle of two steps, in both orders of panels; every row of a factor 1. */
static void rounded(clm_device *dev, void *user)
{
    enum { ROWS = 33, DIM = 32, ROUNDED = 64 * DIM };
    const float up = 1.0f + 0x1p-8f + 0x1p-12f, down = 1.0f + 0x1p-8f - 0x1p-12f;
    clm_err err;

    (void)user;
    for (int out = CLM_ACT_OUT_BF16; out <= CLM_ACT_OUT_SHUFFLED; out++) {
        clm_case c = {.shape = {.v = {ROWS, DIM, 0, out}}};
        float *x, *w;
        const uint16_t *y;

        assert_int_equal(clm_op_rmsnorm.fill(&c, 3, &err), CLM_OK);
        assert_int_equal(c.bufs[2].count, ROUNDED);
        x = c.bufs[0].data;
        w = c.bufs[1].data;
        for (int i = 0; i < ROWS * DIM; i++) x[i] = i % 2 == 0 ? 1.0f : -1.0f;
        for (int i = 0; i < DIM; i++) w[i] = i % 8 == 1 ? up : down;
        clm_ref_rmsnorm(&c);
        y = c.bufs[2].expected;
        assert_int_equal(y[0], 0x3F80);
        assert_int_equal(y[out == CLM_ACT_OUT_SHUFFLED ? 4 : 1], 0xBF81);
        assert_int_equal(y[32 * DIM], 0x3F80); /* token 32: the next panel */
        assert_int_equal(y[33 * DIM], 0);
        c.bufs[2].rtol = 1e-5f; /* no step to the other side */
        clm_op_test_case(&clm_op_rmsnorm, dev, &c);
        clm_case_clear(&c);
    }
}

static void rounded_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(rounded, NULL);
}

static void zeros_and_epsilon_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(zeros_and_epsilon, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_by_hand),
        cmocka_unit_test(zeros_and_epsilon_on_devices),
        cmocka_unit_test(rounded_on_devices),
    };

    return clm_op_test_main(&clm_op_rmsnorm, tests, 3);
}
