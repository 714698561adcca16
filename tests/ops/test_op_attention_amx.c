/* tests/ops/test_op_attention_amx.c: cl/attention_amx.cl against its reference, and what a processor with tile
 * instructions would get. */
#include "runtime/ops/op_attention_amx.h"
#include "tests/ops/attention_tests.h"

static const clm_op_desc *const op = &clm_op_attention_amx;

static void tiles_are_used(void **state)
{
    clm_caps cpu = {.type = CLM_DEVICE_CPU, .amx = true, .compute_units = 2};
    int params[CLM_MAX_AXES];

    (void)state;
    assert_true(op->used(&cpu));
    op->defaults(&op->tune_shapes[0], &cpu, params);
    assert_int_equal(clm_op_test_param(op, params, "AMX"), 1);
    assert_int_equal(clm_op_test_param(op, params, "QUERIES"), 128);
    assert_int_equal(clm_op_test_param(op, params, "KEYS"), 64);
    assert_true(op->valid(params, &op->tune_shapes[0], &cpu));
    cpu.compute_units = 64; /* 160 work-items are too few for them */
    op->defaults(&op->tune_shapes[0], &cpu, params);
    assert_int_equal(clm_op_test_param(op, params, "QUERIES"), 64);
    op->defaults(&op->tune_shapes[2], &cpu, params); /* 32 rows: no kernel of their own */
    assert_int_equal(clm_op_test_param(op, params, "QUERIES"), 64);
    params[0] = 1;
    cpu.amx = false;
    assert_false(op->used(&cpu));
    assert_false(op->valid(params, &op->tune_shapes[0], &cpu));
    op->defaults(&op->tune_shapes[0], &cpu, params);
    assert_int_equal(clm_op_test_param(op, params, "AMX"), 0);
}

static void other_heads_are_left_alone(void **state)
{
    (void)state;
    assert_true(clm_attention_amx_takes(32) && clm_attention_amx_takes(96));
    assert_true(clm_attention_amx_takes(128));
    assert_false(clm_attention_amx_takes(0) || clm_attention_amx_takes(16));
    assert_false(clm_attention_amx_takes(80) || clm_attention_amx_takes(160));
}

static void special_cases_on_devices(void **state)
{
    (void)state;
    attention_special_cases(op, 2e-3f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_used),
        cmocka_unit_test(other_heads_are_left_alone),
        cmocka_unit_test(special_cases_on_devices),
    };

    return clm_op_test_main(op, tests, sizeof tests / sizeof *tests);
}
