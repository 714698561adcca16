/* tests/ops/test_op_gemm_mma.c: cl/gemm_mma.cl against its reference, and what a GPU with tensor cores would get,
 * which no other device does. */
#include <string.h>

#include "runtime/ops/op_gemm_mma.h"
#include "tests/ops/op_harness.h"

/* A large one; the local memory is what NVIDIA's OpenCL gives a group. */
static const clm_caps gpu = {.type = CLM_DEVICE_GPU,
                             .dot = CLM_DOT_PTX,
                             .mma = true,
                             .compute_units = 132,
                             .local_mem = 48 << 10,
                             .max_group_size = 1024,
                             .max_item_sizes = {1024, 1024, 64}};

static int param(const int *params, const char *name)
{
    for (size_t i = 0; i < clm_op_gemm_mma.n_axes; i++)
        if (strcmp(clm_op_gemm_mma.axes[i].name, name) == 0) return params[i];
    fail_msg("there is no axis %s", name);
    return 0;
}

static void tensor_cores_are_used(void **state)
{
    const clm_op_desc *op = &clm_op_gemm_mma;
    clm_caps none = gpu;

    (void)state;
    none.mma = false;
    assert_true(op->used(&gpu));
    assert_false(op->used(&none));
    for (size_t i = 0; i < op->n_tune_shapes; i++) {
        const clm_shape *shape = &op->tune_shapes[i];
        int params[CLM_MAX_AXES];

        op->defaults(shape, &gpu, params);
        assert_int_equal(param(params, "MMA"), 1);
        assert_true(op->valid(params, shape, &gpu));
        assert_false(op->valid(params, shape, &none));
        /* Not the tiles that fit anywhere: 128 rows, 64 tokens or more of a group share what is read. */
        assert_true(16 * param(params, "RT") * param(params, "WARPS_N") >= 128);
        assert_true(8 * param(params, "TT") * param(params, "WARPS_T") >= 64);
        op->defaults(shape, &none, params);
        assert_int_equal(param(params, "MMA"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensor_cores_are_used)};
    return clm_op_test_main(&clm_op_gemm_mma, tests, sizeof tests / sizeof *tests);
}
