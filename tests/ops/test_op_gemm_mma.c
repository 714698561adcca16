/* tests/ops/test_op_gemm_mma.c: cl/gemm_mma.cl against its reference with the layout of each matrix unit, and what
 * GPUs that have one would get, which no other device does. */
#include "runtime/ops/op_gemm_mma.h"
#include "runtime/ops/weight_layout.h"
#include "tests/ops/op_harness.h"

static void tensor_cores_are_used(void **state)
{
    const clm_op_desc *op = &clm_op_gemm_mma;
    const clm_caps gpu = clm_op_test_mma_gpu();
    clm_caps none = gpu;

    (void)state;
    none.mma = CLM_MMA_NONE;
    assert_true(op->used(&gpu));
    assert_false(op->used(&none));
    for (size_t i = 0; i < op->n_tune_shapes; i++) {
        const clm_shape *shape = &op->tune_shapes[i];
        int params[CLM_MAX_AXES];

        op->defaults(shape, &gpu, params);
        assert_int_equal(clm_op_test_param(op, params, "MMA"), CLM_MMA_PTX);
        assert_int_equal(clm_op_test_param(op, params, "MMA_PLAIN"), 0);
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
        assert_int_equal(clm_op_test_param(op, params, "MMA_PLAIN"), 1);
    }
}

/* GPUs of others get their own instructions, and groups that fit them, for prompts of any length. */
static void others_use_theirs(void **state)
{
    const clm_op_desc *op = &clm_op_gemm_mma;

    (void)state;
    for (int i = CLM_MMA_WMMA; i < CLM_MMA_COUNT; i++) {
        clm_caps gpu = clm_op_test_mma_gpu();

        gpu.mma = (clm_mma)i;
        gpu.max_group_size = gpu.max_item_sizes[0] = 256;
        assert_true(op->used(&gpu));
        for (int m = 32; m <= 512; m *= 2) {
            clm_shape shape = op->tune_shapes[0];
            int params[CLM_MAX_AXES], tokens;

            shape.v[CLM_GEMM_MMA_M] = m;
            op->defaults(&shape, &gpu, params);
            assert_true(op->valid(params, &shape, &gpu));
            assert_int_equal(clm_op_test_param(op, params, "MMA"), i);
            assert_int_equal(clm_op_test_param(op, params, "MMA_PLAIN"), 0);
            assert_int_equal(clm_op_test_param(op, params, "WARPS_N"), i == CLM_MMA_MFMA ? 4 : 8);
            tokens = clm_mma_columns(gpu.mma) * clm_op_test_param(op, params, "TT") *
                     clm_op_test_param(op, params, "WARPS_T");
            assert_true(tokens <= m && tokens >= (m < 64 ? m : 64));
            gpu.mma = CLM_MMA_PTX;
            assert_false(op->valid(params, &shape, &gpu));
            gpu.mma = (clm_mma)i;
        }
    }
}

/* The product of each unit, plain, on a small shape; what the other test does on many, but not under Oclgrind. */
static void check_units(clm_device *dev, void *user)
{
    const clm_op_desc *op = &clm_op_gemm_mma;
    const clm_caps *caps = clm_device_caps(dev);
    size_t checked = 0;
    clm_case c = {.n_bufs = 0};
    clm_err err = {{0}};

    (void)user;
    c.shape = (clm_shape){.v = {35, 18, 64, 20, 1, CLM_FORMAT_Q4, 32, CLM_MIN_STEPS}};
    assert_int_equal(op->fill(&c, CLM_TEST_SEED, &err), CLM_OK);
    op->reference(&c);
    for (int i = CLM_MMA_NONE + 1; i < CLM_MMA_COUNT; i++) {
        const int tt = 32 / clm_mma_columns((clm_mma)i), stages = i == CLM_MMA_PTX ? 3 : 2;
        const int params[CLM_MAX_AXES] = {i, 1, 2, tt, 2, 2, stages};
        clm_program *prog = NULL;
        clm_kernel *kernel = NULL;
        double worst = 0.0;
        clm_status st;

        if (!op->valid(params, &c.shape, caps)) continue; /* it has one of its own */
        st = clm_op_build(op, dev, &c.shape, params, &prog, &kernel, &err);
        if (st == CLM_OK) st = clm_op_check_kernel(op, dev, kernel, &c, params, &worst, &err);
        clm_kernel_destroy(kernel);
        clm_program_destroy(prog);
        if (st != CLM_OK) fail_msg("%s: %s", clm_mma_name((clm_mma)i), err.text);
        checked++;
    }
    assert_int_equal(checked, caps->mma == CLM_MMA_NONE ? CLM_MMA_COUNT - 1 : 0);
    clm_case_clear(&c);
}

static void units_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(check_units, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensor_cores_are_used),
                                       cmocka_unit_test(others_use_theirs),
                                       cmocka_unit_test(units_on_devices)};
    return clm_op_test_main(&clm_op_gemm_mma, tests, sizeof tests / sizeof *tests);
}
