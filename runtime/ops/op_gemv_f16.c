/* runtime/ops/op_gemv_f16.c: see op_gemv_f16.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gemv_f16.h"

#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"M", "N", "K", "LDY", "Y_OFF", "FORMAT"};

/* M, N, K, LDY, Y_OFF, FORMAT */
static const clm_shape k_test_shapes[] = {
    {.v = {1, 1, 1, 1, 0, CLM_FORMAT_F16}},        {.v = {2, 17, 7, 20, 3, CLM_FORMAT_F16}},
    {.v = {7, 15, 33, 15, 0, CLM_FORMAT_F16}},     {.v = {1, 100, 96, 103, 3, CLM_FORMAT_F16}},
    {.v = {2, 16, 64, 16, 0, CLM_FORMAT_F16}},     {.v = {1, 512, 1024, 512, 0, CLM_FORMAT_F16}},
    {.v = {7, 1, 7, 4, 3, CLM_FORMAT_F32}},        {.v = {1, 17, 33, 17, 0, CLM_FORMAT_F32}},
    {.v = {2, 96, 96, 99, 3, CLM_FORMAT_F32}},     {.v = {1, 15, 1, 15, 0, CLM_FORMAT_F32}},
    {.v = {1, 512, 1024, 512, 0, CLM_FORMAT_F32}}, {.v = {1, 16, 1, 16, 0, CLM_FORMAT_BF16}},
    {.v = {7, 100, 7, 103, 3, CLM_FORMAT_BF16}},   {.v = {2, 1, 33, 7, 0, CLM_FORMAT_BF16}},
    {.v = {1, 96, 96, 96, 0, CLM_FORMAT_BF16}},    {.v = {1, 512, 1024, 515, 3, CLM_FORMAT_BF16}},
};

/* Layers and vocabularies of small models, and the vocabulary of Baichuan-13B. */
static const clm_shape k_tune_shapes[] = {
    {.v = {1, 2048, 2048, 2048, 0, CLM_FORMAT_F16}},
    {.v = {1, 5120, 5120, 5120, 0, CLM_FORMAT_F16}},
    {.v = {1, 15360, 5120, 15360, 0, CLM_FORMAT_F16}},
    {.v = {1, 5120, 13696, 5120, 0, CLM_FORMAT_F16}},
    {.v = {1, 64000, 5120, 64000, 0, CLM_FORMAT_F16}},
    {.v = {1, 5120, 5120, 5120, 0, CLM_FORMAT_BF16}},
    {.v = {1, 2048, 2048, 2048, 0, CLM_FORMAT_F32}},
};

static clm_weight_layout layout(const clm_shape *shape)
{
    return clm_gemv_float_layout(shape);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const clm_weight_layout w = layout(shape);

    return !clm_weight_quantised(w.format) && clm_gemv_valid(&w, params, shape, caps);
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const size_t n = clm_gemv_define_tunables(params, defs);

    defs[n] = (clm_define){"FORMAT", shape->v[CLM_GEMV_FORMAT]};
    return n + 1;
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

const clm_op_desc clm_op_gemv_f16 = {
    .name = "gemv_f16",
    .entry = "gemv_f16",
    .dims = k_dims,
    .n_dims = CLM_GEMV_F16_DIMS,
    .axes = clm_gemv_axes,
    .n_axes = CLM_GEMV_AXES,
    .valid = valid,
    .defaults = clm_gemv_defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_gemv_f16,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = clm_gemv_flops,
    .test_shapes = k_test_shapes,
    .n_test_shapes = CLM_COUNT(k_test_shapes),
    .tune_shapes = k_tune_shapes,
    .n_tune_shapes = CLM_COUNT(k_tune_shapes),
    .atol = CLM_GEMV_ATOL,
    .rtol = CLM_GEMV_RTOL,
};
