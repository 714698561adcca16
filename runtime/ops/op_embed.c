/* runtime/ops/op_embed.c: see op_embed.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_embed.h"

#include <limits.h>
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/weight_case.h"

/* Bound of the columns, so that rounding up stays an int. */
enum { SIZE_LIMIT = 1 << 29 };

static const char *const k_dims[] = {"M", "ROW0", "ROWS", "K", "FORMAT", "GROUP", "HAS_MIN"};
static const int k_wg[] = {1, 64, 256};
static const clm_axis k_axes[] = {{"WG", k_wg, CLM_COUNT(k_wg)}};

/* M, ROW0, ROWS, K, FORMAT, GROUP, HAS_MIN */
static const clm_shape k_test_shapes[] = {
    {.v = {1, 0, 1, 1, CLM_FORMAT_F16, 0, 0}},       {.v = {7, 0, 17, 33, CLM_FORMAT_F16, 0, 0}},
    {.v = {9, 100, 40, 1030, CLM_FORMAT_F16, 0, 0}}, {.v = {7, 5, 15, 7, CLM_FORMAT_F32, 0, 0}},
    {.v = {2, 0, 16, 128, CLM_FORMAT_F32, 0, 0}},    {.v = {7, 16, 33, 9, CLM_FORMAT_BF16, 0, 0}},
    {.v = {1, 0, 100, 96, CLM_FORMAT_Q4, 32, 0}},    {.v = {9, 31, 17, 160, CLM_FORMAT_Q4, 32, 1}},
    {.v = {7, 0, 15, 256, CLM_FORMAT_Q4, 64, 0}},    {.v = {7, 3, 20, 96, CLM_FORMAT_Q4, 16, 1}},
    {.v = {7, 0, 20, 96, CLM_FORMAT_Q4, 0, 0}},      {.v = {7, 0, 20, 96, CLM_FORMAT_Q8, 32, 0}},
    {.v = {9, 50, 33, 160, CLM_FORMAT_Q8, 16, 1}},   {.v = {7, 0, 16, 256, CLM_FORMAT_Q8, 128, 0}},
    {.v = {7, 2, 18, 160, CLM_FORMAT_Q8, 160, 1}},   {.v = {7, 2, 18, 96, CLM_FORMAT_Q4, 32, 2}},
    {.v = {7, 0, 20, 128, CLM_FORMAT_Q8, 64, 2}},
};

/* Baichuan-13B: one token, and a prompt. */
static const clm_shape k_tune_shapes[] = {
    {.v = {1, 0, 64000, 5120, CLM_FORMAT_Q4, 32, 0}},
    {.v = {512, 0, 64000, 5120, CLM_FORMAT_Q4, 32, 0}},
    {.v = {1, 0, 64000, 5120, CLM_FORMAT_F16, 0, 0}},
};

static clm_weight_layout layout(const clm_shape *shape)
{
    const int *v = shape->v;

    return clm_weight_layout_of(v[CLM_EMBED_FORMAT], v[CLM_EMBED_ROWS], v[CLM_EMBED_K],
                                v[CLM_EMBED_GROUP], v[CLM_EMBED_HAS_MIN]);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const clm_weight_layout w = layout(shape);
    const int *v = shape->v;

    if (!clm_weight_legal(&w) || v[CLM_EMBED_M] < 1 || v[CLM_EMBED_K] > SIZE_LIMIT ||
        v[CLM_EMBED_GROUP] < 0 || v[CLM_EMBED_HAS_MIN] < 0 || v[CLM_EMBED_HAS_MIN] > CLM_MIN_STEPS)
        return false;
    if (v[CLM_EMBED_ROW0] < 0 || v[CLM_EMBED_ROWS] > INT_MAX - v[CLM_EMBED_ROW0]) return false;
    return clm_op_group_fits(caps, params[0]);
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[0] = clm_op_group_choose(&k_axes[0], caps, 64);
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout(shape);

    defs[0] = (clm_define){"FORMAT", shape->v[CLM_EMBED_FORMAT]};
    defs[1] = (clm_define){"GROUP", clm_weight_group_define(&w)};
    defs[2] = (clm_define){"HAS_MIN", clm_weight_quantised(w.format) ? w.has_min : 0};
    defs[3] = (clm_define){"WG", params[0]};
    return 4;
}

/* Ids at both ends of the rows and inside; every second one elsewhere or impossible. */
static void fill_ids(const clm_shape *shape, int32_t *ids, clm_random *r)
{
    const int row0 = shape->v[CLM_EMBED_ROW0], rows = shape->v[CLM_EMBED_ROWS];
    const int32_t outside[] = {row0 + rows, row0 - 1, -1, INT32_MIN, INT32_MAX};

    for (int m = 0; m < shape->v[CLM_EMBED_M]; m++) {
        if (m % 2 == 1)
            ids[m] = outside[m / 2 % (int)CLM_COUNT(outside)];
        else if (m == 0)
            ids[m] = row0 + rows - 1;
        else if (m == 2)
            ids[m] = row0;
        else
            ids[m] = row0 + (int32_t)(clm_random_bits(r) % (uint32_t)rows);
    }
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const clm_weight_layout w = layout(&c->shape);
    const size_t tokens = (size_t)c->shape.v[CLM_EMBED_M];
    clm_random r = clm_random_init(seed);
    clm_status st = clm_weight_case_add(c, &w, false, 1.0f, &r, err);
    int32_t *ids;

    if (st != CLM_OK) return st;
    ids = clm_case_add(c, "ids", CLM_ELEM_I32, tokens, CLM_CASE_IN);
    if (ids == NULL ||
        clm_case_add(c, "out", CLM_ELEM_F32, tokens * w.columns, CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem("embed", err);
    fill_ids(&c->shape, ids, &r);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const clm_arg args[] = {
        CLM_BUF(bufs[0]),           CLM_BUF(bufs[1]),           CLM_BUF(bufs[2]),
        CLM_BUF(bufs[3]),           CLM_BUF(bufs[4]),           CLM_I32(v[CLM_EMBED_M]),
        CLM_I32(v[CLM_EMBED_ROW0]), CLM_I32(v[CLM_EMBED_ROWS]), CLM_I32(v[CLM_EMBED_K]),
    };
    *range = (clm_range){
        .dims = 2,
        .global = {clm_op_ceil_div((size_t)v[CLM_EMBED_K], 8), (size_t)v[CLM_EMBED_M]},
        .local = {(size_t)params[0], 1},
    };
    clm_status st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);

    return st;
}

static double bytes_moved(const clm_shape *shape)
{
    clm_weight_layout w = layout(shape);

    w.rows = (size_t)shape->v[CLM_EMBED_M];
    return clm_weight_bytes(&w) + 4.0 * (double)w.rows * (double)(w.columns + 1);
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_EMBED_M] * shape->v[CLM_EMBED_K];
}

/* scale * level is exact in float (11 by 8 bits), so that one rounding is left, of the sum with the
 * minimum; weights without scales are converted exactly. */
const clm_op_desc clm_op_embed = {
    .name = "embed",
    .entry = "embed",
    .dims = k_dims,
    .n_dims = CLM_EMBED_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_embed,
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
