/* tests/ops/test_op_swiglu.c: cl/swiglu.cl against clm_ref_swiglu(). */
#include "runtime/ops/act.h"
#include "runtime/ops/op_swiglu.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

/* Numbers that round up and down, near the middle of two steps, in both orders of panels: silu(128) is 128. */
static void rounded(clm_device *dev, void *user)
{
    enum { ROWS = 33, FFN = 32, LD = 2 * FFN, ROUNDED = 64 * FFN };
    const float up = 1.0f + 0x1p-8f + 0x1p-12f, down = 1.0f + 0x1p-8f - 0x1p-12f;
    clm_err err;

    (void)user;
    for (int out = CLM_ACT_OUT_BF16; out <= CLM_ACT_OUT_SHUFFLED; out++) {
        clm_case c = {.shape = {.v = {ROWS, LD, 0, FFN, FFN, 0, out}}};
        const uint16_t *y;

        assert_int_equal(clm_op_swiglu.fill(&c, 3, &err), CLM_OK);
        assert_int_equal(c.bufs[1].count, ROUNDED);
        for (int i = 0; i < ROWS * FFN; i++) {
            float *gate = (float *)c.bufs[0].data + i / FFN * LD + i % FFN;

            gate[0] = 128.0f;
            gate[FFN] = i % 8 == 1 ? up : down;
        }
        clm_ref_swiglu(&c);
        y = c.bufs[1].expected;
        assert_int_equal(y[0], 0x4300);
        assert_int_equal(y[out == CLM_ACT_OUT_SHUFFLED ? 4 : 1], 0x4301);
        assert_int_equal(y[32 * FFN], 0x4300); /* token 32: the next panel */
        assert_int_equal(y[33 * FFN], 0);
        c.bufs[1].rtol = 1e-5f; /* no step to the other side */
        clm_op_test_case(&clm_op_swiglu, dev, &c);
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
