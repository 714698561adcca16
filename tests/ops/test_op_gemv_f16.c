/* tests/ops/test_op_gemv_f16.c: cl/gemv_f16.cl against its reference, and the layout by hand. */
#include "tests/ops/gemv_tests.h"

static void illegal_shapes_are_refused(void **state)
{
    /* M, N, K, LDY, Y_OFF, FORMAT */
    const clm_shape legal = {.v = {1, 16, 33, 20, 4, CLM_FORMAT_BF16}};
    const clm_shape bad[] = {
        {.v = {1, 16, 32, 20, 4, CLM_FORMAT_Q4}},
        {.v = {1, 16, 32, 20, 4, CLM_FORMAT_Q8}},
        {.v = {1, 16, 32, 20, 4, 3}},
        {.v = {1, 16, 32, 20, 4, -1}},
        {.v = {1, 16, 0, 20, 4, CLM_FORMAT_F16}},
        {.v = {1, 16, 32, 19, 4, CLM_FORMAT_F16}},
    };

    (void)state;
    assert_true(gemv_takes(&clm_op_gemv_f16, &legal));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (gemv_takes(&clm_op_gemv_f16, &bad[i])) fail_msg("illegal shape %zu was taken", i);
    }
}

/* Element [21][4] of 7 columns is element (1 * 7 + 4) * 16 + 5; 0xC100 is -2.5 as a half. */
static void check_layout(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {1, 32, 7, 32, 0, CLM_FORMAT_F16}}};
    float *want;

    (void)user;
    gemv_unit_case(&clm_op_gemv_f16, &c, 4);
    ((uint16_t *)c.bufs[0].data)[(7 + 4) * 16 + 5] = 0xC100;
    want = c.bufs[2].expected;
    clm_op_gemv_f16.reference(&c);
    for (int n = 0; n < 32; n++) assert_true(want[n] == (n == 21 ? -2.5f : 0.0f));
    clm_op_test_case(&clm_op_gemv_f16, dev, &c);
    clm_case_clear(&c);
}

static void layout_is_as_described(void **state)
{
    (void)state;
    clm_op_test_devices(check_layout, NULL);
}

int main(void)
{
    const struct CMUnitTest extra[] = {
        cmocka_unit_test(illegal_shapes_are_refused),
        cmocka_unit_test(layout_is_as_described),
    };

    return clm_op_test_main(&clm_op_gemv_f16, extra, sizeof extra / sizeof extra[0]);
}
