/* tests/ops/test_op_swiglu.c: cl/swiglu.cl against clm_ref_swiglu(). */
#include "runtime/ops/op_swiglu.h"
#include "tests/ops/act_out_tests.h"

/* Both orders of panels: silu(128) is 128. */
static void rounded(clm_device *dev, void *user)
{
    enum { LD = 2 * ROUNDED_COLUMNS };
    clm_err err;

    (void)user;
    for (int out = CLM_ACT_OUT_BF16; out <= CLM_ACT_OUT_SHUFFLED; out++) {
        clm_case c = {
            .shape = {.v = {ROUNDED_ROWS, LD, 0, ROUNDED_COLUMNS, ROUNDED_COLUMNS, 0, out}}};

        assert_int_equal(clm_op_swiglu.fill(&c, 3, &err), CLM_OK);
        for (int i = 0; i < ROUNDED_ROWS * ROUNDED_COLUMNS; i++) {
            const int column = i % ROUNDED_COLUMNS;
            float *gate = (float *)c.bufs[0].data + i / ROUNDED_COLUMNS * LD + column;

            gate[0] = 128.0f;
            gate[ROUNDED_COLUMNS] = rounded_factor(column);
        }
        check_rounded(&clm_op_swiglu, dev, &c, 1, out, 0x4300, 0x4301);
        clm_case_clear(&c);
    }
}

static void rounded_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(rounded, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rounded_on_devices)};

    return clm_op_test_main(&clm_op_swiglu, tests, 1);
}
