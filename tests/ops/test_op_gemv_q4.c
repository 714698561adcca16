/* tests/ops/test_op_gemv_q4.c: cl/gemv_q4.cl against its reference, and the layout by hand. */
#include "tests/ops/gemv_tests.h"

static void illegal_shapes_are_refused(void **state)
{
    /* M, N, K, LDY, Y_OFF, FORMAT, GROUP, HAS_MIN */
    const clm_shape legal = {.v = {1, 16, 192, 20, 4, CLM_FORMAT_Q4, 64, 0}};
    const clm_shape bad[] = {
        {.v = {1, 16, 192, 20, 4, CLM_FORMAT_Q8, 64, 0}},
        {.v = {1, 16, 96, 20, 4, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 16, 160, 20, 4, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 16, 192, 20, 4, CLM_FORMAT_Q4, 128, 0}},
        {.v = {1, 16, 48, 20, 4, CLM_FORMAT_Q4, 16, 0}},
        {.v = {1, 16, 192, 20, 4, CLM_FORMAT_Q4, 48, 0}},
        {.v = {1, 16, 192, 20, 4, CLM_FORMAT_Q4, 8, 0}},
        {.v = {1, 16, 192, 20, 4, CLM_FORMAT_Q4, -1, 0}},
        {.v = {1, 16, 192, 20, 4, CLM_FORMAT_Q4, 64, 3}},
        {.v = {1, 16, 192, 19, 4, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 16, 192, 20, -1, CLM_FORMAT_Q4, 64, 0}},
        {.v = {0, 16, 192, 20, 4, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 0, 192, 20, 4, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 16, 0, 20, 4, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 2147483647, 192, 2147483647, 0, CLM_FORMAT_Q4, 64, 0}},
    };

    (void)state;
    assert_true(gemv_takes(&clm_op_gemv_q4, &legal));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (gemv_takes(&clm_op_gemv_q4, &bad[i])) fail_msg("illegal shape %zu was taken", i);
    }
}

static void illegal_configurations_are_refused(void **state)
{
    const clm_shape *shape = &clm_op_gemv_q4.test_shapes[0];
    const int bad[][3] = {{0, 4, 1}, {1, 4, 2}, {2, 4, 1}, {1, 1, 1}, {1, 16, 1}};
    const int good[] = {1, 8, 1};
    clm_caps caps = gemv_roomy_caps();

    (void)state;
    caps.max_group_size = 128;
    assert_true(clm_op_gemv_q4.valid(good, shape, &caps));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(clm_op_gemv_q4.valid(bad[i], shape, &caps));
}

/* One nibble set (8 is taken from every level) by the description in weight.h: column 55 is block 1, slice 2 (k 16 to 23), byte
 * 3, high nibble; row 21 is row 5 of tile 1. The tile has 3 blocks. */
static void check_layout(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {1, 32, 96, 32, 0, CLM_FORMAT_Q4, 32, 1}}};
    float *want;

    (void)user;
    gemv_unit_case(&clm_op_gemv_q4, &c, 55);
    ((unsigned char *)c.bufs[0].data)[(3 + 1) * 256 + 2 * 64 + 5 * 4 + 3] = 0xD0;
    want = c.bufs[4].expected;
    clm_op_gemv_q4.reference(&c);
    for (int n = 0; n < 32; n++) assert_true(want[n] == (n == 21 ? 5.0f : -8.0f));
    clm_op_test_case(&clm_op_gemv_q4, dev, &c);
    clm_case_clear(&c);
}

/* The same without minimums. */
static void check_centre(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {1, 16, 32, 16, 0, CLM_FORMAT_Q4, 0, 0}}};
    float *want;

    (void)user;
    gemv_unit_case(&clm_op_gemv_q4, &c, 8);
    ((unsigned char *)c.bufs[0].data)[64 + 15 * 4] = 0xFB;
    want = c.bufs[4].expected;
    clm_op_gemv_q4.reference(&c);
    for (int n = 0; n < 16; n++) assert_true(want[n] == (n == 15 ? 3.0f : -8.0f));
    clm_op_test_case(&clm_op_gemv_q4, dev, &c);
    clm_case_clear(&c);
}

static void layout_is_as_described(void **state)
{
    (void)state;
    clm_op_test_devices(check_layout, NULL);
    clm_op_test_devices(check_centre, NULL);
}

int main(void)
{
    const struct CMUnitTest extra[] = {
        cmocka_unit_test(illegal_shapes_are_refused),
        cmocka_unit_test(illegal_configurations_are_refused),
        cmocka_unit_test(layout_is_as_described),
    };

    return clm_op_test_main(&clm_op_gemv_q4, extra, sizeof extra / sizeof extra[0]);
}
