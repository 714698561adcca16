/* runtime/ops/op_dequant.c: see op_dequant.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_dequant.h"

#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/weight_case.h"

/* Bound of rows and columns, so that sums of two and rounding up stay ints. */
enum { SIZE_LIMIT = 1 << 29 };

static const char *const k_dims[] = {"ROW0", "ROWS", "K", "FORMAT", "GROUP", "HAS_MIN"};
static const int k_kl[] = {1, 4, 16};
static const clm_axis k_axes[] = {{"KL", k_kl, CLM_COUNT(k_kl)}};

/* ROW0, ROWS, K, FORMAT, GROUP, HAS_MIN */
static const clm_shape k_test_shapes[] = {
    {.v = {0, 1, 1, CLM_FORMAT_F16, 0, 0}},      {.v = {16, 17, 33, CLM_FORMAT_F16, 0, 0}},
    {.v = {32, 100, 130, CLM_FORMAT_F16, 0, 0}}, {.v = {0, 15, 7, CLM_FORMAT_F32, 0, 0}},
    {.v = {16, 16, 128, CLM_FORMAT_F32, 0, 0}},  {.v = {16, 33, 9, CLM_FORMAT_BF16, 0, 0}},
    {.v = {0, 100, 96, CLM_FORMAT_Q4, 32, 0}},   {.v = {32, 17, 160, CLM_FORMAT_Q4, 32, 1}},
    {.v = {0, 15, 256, CLM_FORMAT_Q4, 64, 0}},   {.v = {16, 20, 96, CLM_FORMAT_Q4, 16, 1}},
    {.v = {0, 20, 96, CLM_FORMAT_Q4, 0, 0}},     {.v = {0, 20, 96, CLM_FORMAT_Q8, 32, 0}},
    {.v = {48, 33, 160, CLM_FORMAT_Q8, 16, 1}},  {.v = {0, 16, 256, CLM_FORMAT_Q8, 128, 0}},
    {.v = {16, 1, 160, CLM_FORMAT_Q8, 160, 1}},  {.v = {0, 512, 1024, CLM_FORMAT_Q4, 32, 0}},
    {.v = {0, 20, 128, CLM_FORMAT_Q4, 32, 2}},   {.v = {16, 20, 96, CLM_FORMAT_Q8, 0, 2}},
};

/* Slices of Baichuan-13B's matrices. */
static const clm_shape k_tune_shapes[] = {
    {.v = {0, 5120, 5120, CLM_FORMAT_Q4, 32, 0}},
    {.v = {0, 5120, 13696, CLM_FORMAT_Q4, 32, 0}},
    {.v = {0, 5120, 5120, CLM_FORMAT_Q8, 32, 0}},
    {.v = {0, 5120, 5120, CLM_FORMAT_F16, 0, 0}},
};

static size_t size_of(int v)
{
    return v > 0 ? (size_t)v : 0;
}

/* The matrix up to the last row that is wanted: all that the kernel may read. */
static clm_weight_layout layout(const clm_shape *shape)
{
    const int *v = shape->v;

    return (clm_weight_layout){.format = (clm_weight_format)v[CLM_DEQUANT_FORMAT],
                               .rows = size_of(v[CLM_DEQUANT_ROW0]) + size_of(v[CLM_DEQUANT_ROWS]),
                               .columns = size_of(v[CLM_DEQUANT_K]),
                               .group = size_of(v[CLM_DEQUANT_GROUP]),
                               .has_min = v[CLM_DEQUANT_HAS_MIN]};
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const clm_weight_layout w = layout(shape);
    const int *v = shape->v;

    if (!clm_weight_legal(&w) || v[CLM_DEQUANT_ROWS] < 1 || v[CLM_DEQUANT_ROWS] > SIZE_LIMIT ||
        v[CLM_DEQUANT_K] > SIZE_LIMIT || v[CLM_DEQUANT_GROUP] < 0 || v[CLM_DEQUANT_HAS_MIN] < 0 ||
        v[CLM_DEQUANT_HAS_MIN] > CLM_MIN_STEPS)
        return false;
    if (v[CLM_DEQUANT_ROW0] < 0 || v[CLM_DEQUANT_ROW0] > SIZE_LIMIT ||
        v[CLM_DEQUANT_ROW0] % CLM_TILE_ROWS != 0)
        return false;
    return params[0] >= 1 && clm_op_group_fits(caps, CLM_TILE_ROWS * params[0]) &&
           (size_t)params[0] <= caps->max_item_sizes[1];
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[0] = 1;
    for (size_t i = 0; i < CLM_COUNT(k_kl); i++) {
        if (k_kl[i] <= 4 && clm_op_group_fits(caps, CLM_TILE_ROWS * k_kl[i]) &&
            (size_t)k_kl[i] <= caps->max_item_sizes[1])
            params[0] = k_kl[i];
    }
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout(shape);

    defs[0] = (clm_define){"FORMAT", shape->v[CLM_DEQUANT_FORMAT]};
    defs[1] = (clm_define){"GROUP", clm_weight_group_define(&w)};
    defs[2] = (clm_define){"HAS_MIN", clm_weight_quantised(w.format) ? w.has_min : 0};
    defs[3] = (clm_define){"KL", params[0]};
    return 4;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const clm_weight_layout w = layout(&c->shape);
    clm_random r = clm_random_init(seed);
    clm_status st = clm_weight_case_add(c, &w, false, 1.0f, &r, err);

    if (st != CLM_OK) return st;
    if (clm_case_add(c, "out", CLM_ELEM_F32, (size_t)c->shape.v[CLM_DEQUANT_ROWS] * w.columns,
                     CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem("dequant", err);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const clm_arg args[] = {
        CLM_BUF(bufs[0]),
        CLM_BUF(bufs[1]),
        CLM_BUF(bufs[2]),
        CLM_BUF(bufs[3]),
        CLM_I32(v[CLM_DEQUANT_ROW0]),
        CLM_I32(v[CLM_DEQUANT_ROWS]),
        CLM_I32(v[CLM_DEQUANT_K]),
    };
    *range = (clm_range){
        .dims = 2,
        .global = {(size_t)v[CLM_DEQUANT_ROWS], clm_op_ceil_div((size_t)v[CLM_DEQUANT_K], 8)},
        .local = {CLM_TILE_ROWS, (size_t)params[0]},
    };
    clm_status st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);

    return st;
}

static double bytes_moved(const clm_shape *shape)
{
    clm_weight_layout w = layout(shape);

    w.rows = (size_t)shape->v[CLM_DEQUANT_ROWS];
    return clm_weight_bytes(&w) + 4.0 * (double)w.rows * (double)w.columns;
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_DEQUANT_ROWS] * shape->v[CLM_DEQUANT_K];
}

/* As in op_embed.c. */
const clm_op_desc clm_op_dequant = {
    .name = "dequant",
    .entry = "dequant",
    .dims = k_dims,
    .n_dims = CLM_DEQUANT_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_dequant,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test_shapes,
    .n_test_shapes = CLM_COUNT(k_test_shapes),
    .tune_shapes = k_tune_shapes,
    .n_tune_shapes = CLM_COUNT(k_tune_shapes),
    .atol = 0.0f,
    .rtol = 1e-7f,
};
