/* tests/ops/test_op_gemm_mma.c: cl/gemm_mma.cl against its reference, and what a GPU with tensor cores would get,
 * which no other device does. */
#include "runtime/ops/op_gemm_mma.h"
#include "tests/ops/op_harness.h"

static void tensor_cores_are_used(void **state)
{
    const clm_op_desc *op = &clm_op_gemm_mma;
    const clm_caps gpu = clm_op_test_mma_gpu();
    clm_caps none = gpu;

    (void)state;
    none.mma = false;
    assert_true(op->used(&gpu));
    assert_false(op->used(&none));
    for (size_t i = 0; i < op->n_tune_shapes; i++) {
        const clm_shape *shape = &op->tune_shapes[i];
        int params[CLM_MAX_AXES];

        op->defaults(shape, &gpu, params);
        assert_int_equal(clm_op_test_param(op, params, "MMA"), 1);
        assert_true(op->valid(params, shape, &gpu));
        assert_false(op->valid(params, shape, &none));
        /* Not the tiles that fit anywhere: 128 rows, 64 tokens or more of a group share what is read. */
        assert_true(16 * clm_op_test_param(op, params, "RT") *
                        clm_op_test_param(op, params, "WARPS_N") >=
                    128);
        assert_true(8 * clm_op_test_param(op, params, "TT") *
                        clm_op_test_param(op, params, "WARPS_T") >=
                    64);
        op->defaults(shape, &none, params);
        assert_int_equal(clm_op_test_param(op, params, "MMA"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensor_cores_are_used)};
    return clm_op_test_main(&clm_op_gemm_mma, tests, sizeof tests / sizeof *tests);
}
