/* tests/ops/test_op_gemm_q4.c: cl/gemm_q4.cl against its reference, and the largest sums by hand. */
#include "tests/ops/q4_extremes.h"

static void largest_sums(clm_device *dev, void *user)
{
    enum { TOKENS = Q4_EXTREME_WAYS, ROWS = 16 };

    (void)user;
    for (int min = 0; min <= 1; min++) {
        clm_case c = {.shape = {.v = {TOKENS, ROWS, Q4_EXTREME_COLUMNS, ROWS, 0, TOKENS,
                                      CLM_FORMAT_Q4, 32, min}}};
        const float all = 127.0f * Q4_EXTREME_COLUMNS, level = min ? 7.5f : 7.0f;
        const float *y;
        clm_err err = {{0}};

        if (clm_op_gemm_q4.fill(&c, CLM_TEST_SEED, &err) != CLM_OK) fail_msg("%s", err.text);
        q4_extreme_fill(&c, TOKENS, 0);
        clm_op_gemm_q4.reference(&c);
        y = c.bufs[CLM_GEMM_Y].expected;
        assert_true(y[0] == all * level && y[ROWS] == -all * level);
        assert_true(y[1] == all * (level - 15.0f) && y[2 * ROWS + 2] == all * 7.5f);
        clm_op_test_case(&clm_op_gemm_q4, dev, &c);
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

    return clm_op_test_main(&clm_op_gemm_q4, tests, 1);
}
