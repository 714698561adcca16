/* tests/ops/test_op_attention_mma.c: cl/attention_mma.cl against its reference, and what a GPU with tensor
 * cores would get, which no other device does. */
#include "runtime/ops/op_attention_mma.h"
#include "tests/ops/attention_tests.h"

static const clm_op_desc *const op = &clm_op_attention_mma;

static void tensor_cores_are_used(void **state)
{
    const int rows[] = {512, 512, 32, 512}, warps[] = {4, 4, 2, 4};
    const clm_caps gpu = clm_op_test_mma_gpu();
    clm_caps none = gpu;

    (void)state;
    none.mma = CLM_MMA_WMMA; /* which it cannot use */
    assert_true(op->used(&gpu));
    assert_false(op->used(&none));
    assert_int_equal(op->n_tune_shapes, 4);
    for (size_t i = 0; i < op->n_tune_shapes; i++) {
        const clm_shape *shape = &op->tune_shapes[i];
        int params[CLM_MAX_AXES];

        assert_int_equal(shape->v[CLM_ATTENTION_M], rows[i]);
        op->defaults(shape, &gpu, params);
        assert_int_equal(clm_op_test_param(op, params, "MMA_PLAIN"), 0);
        assert_int_equal(clm_op_test_param(op, params, "WARPS"), warps[i]);
        assert_int_equal(clm_op_test_param(op, params, "CHUNK"), 64);
        assert_true(op->valid(params, shape, &gpu));
        assert_false(op->valid(params, shape, &none));
        op->defaults(shape, &none, params);
        assert_int_equal(clm_op_test_param(op, params, "MMA_PLAIN"), 1);
    }
}

static void others_are_left_alone(void **state)
{
    clm_caps gpu = clm_op_test_mma_gpu();

    (void)state;
    assert_true(clm_attention_mma_takes(&gpu, 16, CLM_CACHE_F16));
    assert_true(clm_attention_mma_takes(&gpu, 128, CLM_CACHE_F16));
    assert_true(clm_attention_mma_takes(&gpu, 128, CLM_CACHE_I8));
    assert_false(clm_attention_mma_takes(&gpu, 128, CLM_CACHE_F32));
    assert_false(clm_attention_mma_takes(&gpu, 144, CLM_CACHE_F16));
    assert_false(clm_attention_mma_takes(&gpu, 20, CLM_CACHE_F16));
    assert_false(clm_attention_mma_takes(&gpu, 0, CLM_CACHE_F16));
    gpu.mma = CLM_MMA_MFMA;
    assert_false(clm_attention_mma_takes(&gpu, 128, CLM_CACHE_F16));
}

static void special_cases_on_devices(void **state)
{
    (void)state;
    attention_special_cases(op, 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensor_cores_are_used),
        cmocka_unit_test(others_are_left_alone),
        cmocka_unit_test(special_cases_on_devices),
    };

    return clm_op_test_main(op, tests, sizeof tests / sizeof *tests);
}
