/* tests/ops/test_op_rmsnorm.c: cl/rmsnorm.cl against clm_ref_rmsnorm(). */
#include <math.h>
#include "runtime/ops/op_rmsnorm.h"
#include "runtime/ops/ref.h"
#include "tests/ops/act_out_tests.h"

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

/* Both orders of panels; every row of a factor 1. */
static void rounded(clm_device *dev, void *user)
{
    clm_err err;

    (void)user;
    for (int out = CLM_ACT_OUT_BF16; out <= CLM_ACT_OUT_SHUFFLED; out++) {
        clm_case c = {.shape = {.v = {ROUNDED_ROWS, ROUNDED_COLUMNS, 0, out}}};
        float *x, *w;

        assert_int_equal(clm_op_rmsnorm.fill(&c, 3, &err), CLM_OK);
        x = c.bufs[0].data;
        w = c.bufs[1].data;
        for (int i = 0; i < ROUNDED_ROWS * ROUNDED_COLUMNS; i++) x[i] = i % 2 == 0 ? 1.0f : -1.0f;
        for (int i = 0; i < ROUNDED_COLUMNS; i++) w[i] = rounded_factor(i);
        check_rounded(&clm_op_rmsnorm, dev, &c, 2, out, 0x3F80, 0xBF81);
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
