/* tests/ops/test_op_attention_combine.c: cl/attention_combine.cl against its reference. */
#include <math.h>
#include "runtime/ops/op_attention_combine.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

/* Two splits by hand: weights 1 and e^-1. */
static void reference_by_hand(void **state)
{
    const float part[] = {3.0f, 2.0f, 8.0f, 2.0f, 1.0f, 5.0f};
    const double w = exp(-1.0);

    (void)state;
    assert_true(fabs(clm_ref_attention_combined(part, 2, 1, 0) - (8.0 + 5.0 * w) / (2.0 + w)) <
                1e-12);
}

/* An element that is no number spoils its group of 32, and no other. */
static void no_number(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {2, 32, 2, 1}}};
    const float *scales;
    clm_err err;

    (void)user;
    assert_int_equal(clm_op_attention_combine.fill(&c, 1, &err), CLM_OK);
    ((float *)c.bufs[0].data)[2 + 7] = NAN;
    clm_ref_attention_combine(&c);
    clm_op_test_case(&clm_op_attention_combine, dev, &c);
    scales = c.bufs[3].expected;
    assert_true(isnan(scales[0]));
    assert_false(isnan(scales[1]));
    clm_case_clear(&c);
}

static void no_number_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(no_number, NULL);
}

/* Heads that groups of 32 do not divide cannot become int8. */
static void odd_heads(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {2, 16, 2, 0}}};
    int params[CLM_MAX_AXES] = {0};
    clm_program *prog;
    clm_kernel *kernel;
    clm_range range;
    clm_buffer *bufs[5] = {NULL};
    clm_err err = {{0}};

    (void)user;
    clm_op_attention_combine.defaults(&c.shape, clm_device_caps(dev), params);
    assert_int_equal(
        clm_op_build(&clm_op_attention_combine, dev, &c.shape, params, &prog, &kernel, &err),
        CLM_OK);
    c.shape.v[CLM_ATTENTION_COMBINE_QUANT_OUT] = 1;
    assert_int_equal(clm_op_attention_combine.bind(kernel, &c.shape, params, bufs, &range, &err),
                     CLM_E_INTERNAL);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
}

static void odd_heads_are_refused(void **state)
{
    (void)state;
    clm_op_test_devices(odd_heads, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_by_hand),
        cmocka_unit_test(no_number_on_devices),
        cmocka_unit_test(odd_heads_are_refused),
    };

    return clm_op_test_main(&clm_op_attention_combine, tests, 3);
}
