/* tests/ops/test_op_act_quant.c: cl/act_quant.cl against its reference. */
#include <math.h>
#include "runtime/ops/op_act_quant.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

/* Two tokens of two groups: what is no number must not become one. */
static void no_numbers(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {2, 64, 64, 0, 1}}};
    const int8_t *q;
    const float *d;
    float *x;
    clm_err err;

    (void)user;
    assert_int_equal(clm_op_act_quant.fill(&c, 1, &err), CLM_OK);
    x = c.bufs[0].data;
    x[3] = NAN;
    x[32 + 31] = INFINITY;
    x[64] = -NAN;
    clm_ref_act_quant(&c);
    clm_op_test_case(&clm_op_act_quant, dev, &c);
    q = c.bufs[1].expected;
    d = c.bufs[2].expected;
    for (int g = 0; g < 4; g++) assert_int_equal(isnan(d[g]) != 0, g < 3);
    for (int k = 0; k < 96; k++) assert_int_equal(q[k], 0);
    clm_case_clear(&c);
}

static void no_numbers_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(no_numbers, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_numbers_on_devices),
    };

    return clm_op_test_main(&clm_op_act_quant, tests, 1);
}
