/* runtime/ops/op_gemv_q4.c: see op_gemv_q4.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gemv_q4.h"

#include "runtime/ops/ref.h"

static clm_weight_layout layout(const clm_shape *shape)
{
    return clm_gemv_block_layout(shape, CLM_FORMAT_Q4);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const clm_weight_layout w = layout(shape);

    return clm_gemv_valid(&w, params, shape, caps);
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout(shape);

    return clm_gemv_define_blocks(&w, params, defs);
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const clm_weight_layout w = layout(&c->shape);

    return clm_gemv_fill(c, &w, seed, err);
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const clm_weight_layout w = layout(shape);

    return clm_gemv_bind(kernel, &w, shape, params, bufs, range, err);
}

static double bytes_moved(const clm_shape *shape)
{
    const clm_weight_layout w = layout(shape);

    return clm_gemv_bytes(&w, shape);
}

const clm_op_desc clm_op_gemv_q4 = {
    .name = "gemv_q4",
    .entry = "gemv_q4",
    .dims = clm_gemv_block_dims,
    .n_dims = CLM_GEMV_DIMS,
    .axes = clm_gemv_axes,
    .n_axes = CLM_GEMV_AXES,
    .valid = valid,
    .defaults = clm_gemv_defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_gemv_q4,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = clm_gemv_flops,
    .test_shapes = clm_gemv_test_shapes,
    .n_test_shapes = CLM_GEMV_TEST_SHAPES,
    .tune_shapes = clm_gemv_tune_shapes,
    .n_tune_shapes = CLM_GEMV_TUNE_SHAPES,
    .atol = CLM_GEMV_ATOL,
    .rtol = CLM_GEMV_RTOL,
};
