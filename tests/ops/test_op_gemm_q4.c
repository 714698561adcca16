/* tests/ops/test_op_gemm_q4.c: cl/gemm_q4.cl against its reference, the largest sums by hand, and the panels of kinds
 * of devices. */
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

/* Few tokens take a panel of few, on GPUs up to three of them; each number of tokens has one. */
static void panels(void **state)
{
    static const struct {
        clm_device_type type;
        clm_dot dot;
        int tokens, panel;
    } want[] = {
        {CLM_DEVICE_GPU, CLM_DOT_PTX, 2, 4},    {CLM_DEVICE_GPU, CLM_DOT_PTX, 4, 4},
        {CLM_DEVICE_GPU, CLM_DOT_PTX, 5, 8},    {CLM_DEVICE_GPU, CLM_DOT_PTX, 9, 8},
        {CLM_DEVICE_GPU, CLM_DOT_AMD, 40, 8},   {CLM_DEVICE_GPU, CLM_DOT_PTX, 41, 32},
        {CLM_DEVICE_GPU, CLM_DOT_KHR, 512, 32}, {CLM_DEVICE_CPU, CLM_DOT_VNNI, 4, 4},
        {CLM_DEVICE_CPU, CLM_DOT_VNNI, 2, 2},   {CLM_DEVICE_CPU, CLM_DOT_VNNI, 5, 8},
        {CLM_DEVICE_CPU, CLM_DOT_VNNI, 9, 12},  {CLM_DEVICE_CPU, CLM_DOT_VNNI, 13, 8},
        {CLM_DEVICE_CPU, CLM_DOT_VNNI, 17, 12}, {CLM_DEVICE_CPU, CLM_DOT_VNNI, 512, 12},
        {CLM_DEVICE_CPU, CLM_DOT_AVX2, 2, 2},   {CLM_DEVICE_CPU, CLM_DOT_PLAIN, 3, 4},
    };

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const clm_caps caps = {.type = want[i].type, .dot = want[i].dot};

        assert_int_equal(clm_gemm_panel_for(&caps, (size_t)want[i].tokens), want[i].panel);
        assert_true(clm_gemm_largest_panel(&caps) >= want[i].panel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(largest_sums_on_devices),
                                       cmocka_unit_test(panels)};

    return clm_op_test_main(&clm_op_gemm_q4, tests, sizeof tests / sizeof *tests);
}
