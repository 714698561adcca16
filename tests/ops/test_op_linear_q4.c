/* tests/ops/test_op_linear_q4.c: cl/linear_q4.cl against its reference, and the largest sums by hand. */
#include "tests/ops/q4_extremes.h"

static void largest_sums(clm_device *dev, void *user)
{
    (void)user;
    for (int way = 0; way < Q4_EXTREME_WAYS; way++) {
        clm_case c = {.shape = {.v = {16, Q4_EXTREME_COLUMNS, 0, 0, CLM_FORMAT_Q4, 32, 0, 1, 0, 0,
                                      CLM_LINEAR_STORE}}};
        const float half = 127.0f * Q4_EXTREME_COLUMNS / 2.0f;
        clm_err err = {{0}};

        if (clm_op_linear_q4.fill(&c, CLM_TEST_SEED, &err) != CLM_OK) fail_msg("%s", err.text);
        q4_extreme_fill(&c, 1, way);
        clm_op_linear_q4.reference(&c);
        if (way == 2)
            assert_true(((const float *)c.bufs[CLM_LINEAR_Y].expected)[2] == half * (7.0f + 8.0f));
        clm_op_test_case(&clm_op_linear_q4, dev, &c);
        clm_case_clear(&c);
    }
}

static void largest_sums_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(largest_sums, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(largest_sums_on_devices)};

    return clm_op_test_main(&clm_op_linear_q4, tests, 1);
}
