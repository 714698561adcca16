/* tests/ops/test_op_gemv_q8.c: cl/gemv_q8.cl against its reference, and the layout by hand. */
#include "tests/ops/gemv_tests.h"

static void illegal_shapes_are_refused(void **state)
{
    /* M, N, K, LDY, Y_OFF, FORMAT, GROUP, HAS_MIN */
    const clm_shape legal = {.v = {1, 16, 128, 20, 4, CLM_FORMAT_Q8, 0, 1}};
    const clm_shape bad[] = {
        {.v = {1, 16, 128, 20, 4, CLM_FORMAT_Q4, 32, 0}},
        {.v = {1, 16, 160, 20, 4, CLM_FORMAT_Q8, 64, 0}},
        {.v = {1, 16, 33, 20, 4, CLM_FORMAT_Q8, 0, 0}},
        {.v = {1, 16, 128, 20, 5, CLM_FORMAT_Q8, 32, 0}},
        {.v = {-1, 16, 128, 20, 4, CLM_FORMAT_Q8, 32, 0}},
    };

    (void)state;
    assert_true(gemv_takes(&clm_op_gemv_q8, &legal));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (gemv_takes(&clm_op_gemv_q8, &bad[i])) fail_msg("illegal shape %zu was taken", i);
    }
}

/* One byte set by the description in weight.h: column 55 is block 1, slice 5 (k 20 to 23), byte 3;
 * row 21 is row 5 of tile 1. The tile has 3 blocks. */
static void check_layout(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {1, 32, 96, 32, 0, CLM_FORMAT_Q8, 16, 0}}};
    float *want;

    (void)user;
    gemv_unit_case(&clm_op_gemv_q8, &c, 55);
    ((unsigned char *)c.bufs[0].data)[(3 + 1) * 512 + 5 * 64 + 5 * 4 + 3] = 0x80;
    want = c.bufs[4].expected;
    clm_op_gemv_q8.reference(&c);
    for (int n = 0; n < 32; n++) assert_true(want[n] == (n == 21 ? -128.0f : 0.0f));
    clm_op_test_case(&clm_op_gemv_q8, dev, &c);
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

    return clm_op_test_main(&clm_op_gemv_q8, extra, sizeof extra / sizeof extra[0]);
}
