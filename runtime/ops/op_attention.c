/* runtime/ops/op_attention.c: see op_attention.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_attention.h"

#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

enum { AXIS_FAMILY, AXIS_QUERIES, AXIS_CHUNK, AXIS_WG, AXIS_WINDOW };
enum { FAMILY_CPU, FAMILY_GPU, FAMILY_PLAIN };
static const int k_family[] = {FAMILY_CPU, FAMILY_GPU, FAMILY_PLAIN};
static const int k_queries[] = {1, 8, 16, 32}, k_chunk[] = {16, 64};
static const int k_wg[] = {1, 64, 128}, k_window[] = {0, 1};
static const clm_axis k_axes[] = {
    {"FAMILY", k_family, CLM_COUNT(k_family)}, {"QUERIES", k_queries, CLM_COUNT(k_queries)},
    {"CHUNK", k_chunk, CLM_COUNT(k_chunk)},    {"WG", k_wg, CLM_COUNT(k_wg)},
    {"WINDOW", k_window, CLM_COUNT(k_window)},
};

/* Floats of local memory of the GPU family. */
static uint64_t local_floats(int head_dim, int queries)
{
    return (uint64_t)queries * ((uint64_t)head_dim + 64 + 8 + 3);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const int queries = params[AXIS_QUERIES], wg = params[AXIS_WG];
    const uint64_t local = local_floats(shape->v[CLM_ATTENTION_HEAD_DIM], queries);

    if (params[AXIS_FAMILY] == FAMILY_PLAIN)
        return wg == 1 && queries == 1 && params[AXIS_CHUNK] == 16 && params[AXIS_WINDOW] == 0;
    if (params[AXIS_FAMILY] == FAMILY_CPU)
        return wg == 1 && queries <= 8 && (queries == 8 || params[AXIS_CHUNK] == 64);
    return wg > 1 && params[AXIS_CHUNK] == 64 && queries * 8 >= wg && clm_op_group_fits(caps, wg) &&
           local * sizeof(float) <= caps->local_mem && local * sizeof(float) <= 48 << 10;
}

/* One row alone shares its keys with none, and should not be computed several times. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const int n = shape->v[CLM_ATTENTION_HEAD_DIM], m = shape->v[CLM_ATTENTION_M];
    const int wg = clm_op_group_choose(&k_axes[AXIS_WG], caps, 128);
    int queries = m > 8 ? 32 : 16;

    while (queries > wg / 8 && local_floats(n, queries) * sizeof(float) > 48 << 10) queries /= 2;
    params[AXIS_FAMILY] = caps->type == CLM_DEVICE_GPU && wg == 128 ? FAMILY_GPU : FAMILY_CPU;
    params[AXIS_QUERIES] = m > 1 ? 8 : 1;
    params[AXIS_CHUNK] = 64;
    params[AXIS_WG] = 1;
    params[AXIS_WINDOW] = 1;
    if (params[AXIS_FAMILY] != FAMILY_GPU) return;
    params[AXIS_QUERIES] = queries;
    params[AXIS_WG] = wg;
    if (!valid(params, shape, caps)) {
        params[AXIS_FAMILY] = FAMILY_CPU;
        params[AXIS_QUERIES] = m > 1 ? 8 : 1;
        params[AXIS_WG] = 1;
    }
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    return clm_attention_defines(k_axes, CLM_COUNT(k_axes), shape, params, defs);
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const size_t wg = (size_t)params[AXIS_WG];
    const size_t groups = clm_op_ceil_div((size_t)v[CLM_ATTENTION_M], (size_t)params[AXIS_QUERIES]);

    *range = (clm_range){2, {groups * wg, (size_t)v[CLM_ATTENTION_N_HEADS]}, {wg, 1}};
    return clm_attention_set_args(kernel, shape, bufs, err);
}

static const clm_shape k_test[] = {
    /* M, heads, kv heads, head dim, ctx, pos0, type, gap, alibi; few pairs of head dim and type, for
     * each is a build */
    CLM_ATTENTION_SHAPE(2, 6, 3, 16, 70, 63, CLM_CACHE_F16, 3, 1),
    CLM_ATTENTION_SHAPE(1, 1, 1, 16, 1, 0, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(7, 5, 5, 16, 63, 0, CLM_CACHE_F16, 1, 1),
    CLM_ATTENTION_SHAPE(33, 8, 2, 16, 64, 31, CLM_CACHE_F16, 0, 0),
    CLM_ATTENTION_SHAPE(1, 40, 40, 16, 257, 256, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(37, 8, 8, 16, 530, 490, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(1, 8, 8, 16, 65, 64, CLM_CACHE_I8, 0, 1),
    CLM_ATTENTION_SHAPE(9, 8, 2, 16, 130, 120, CLM_CACHE_I8, 5, 0),
    CLM_ATTENTION_SHAPE(5, 5, 5, 80, 65, 58, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(1, 10, 10, 128, 257, 256, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(33, 5, 5, 128, 64, 0, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(2, 6, 3, 20, 65, 63, CLM_CACHE_F32, 2, 1),
    CLM_ATTENTION_SHAPE(35, 6, 3, 20, 65, 30, CLM_CACHE_F32, 0, 0),
    CLM_ATTENTION_SHAPE(9, 6, 3, 7, 64, 55, CLM_CACHE_I8, 0, 1),
};
static const clm_shape k_tune[] = {
    CLM_ATTENTION_SHAPE(1, 40, 40, 128, 4096, 511, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(1, 40, 40, 128, 4096, 4095, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(1, 40, 40, 128, 4096, 4095, CLM_CACHE_I8, 0, 1),
    CLM_ATTENTION_SHAPE(512, 40, 40, 128, 4096, 0, CLM_CACHE_F16, 0, 1),
};

/* Values and weights are compared as stored, so only single precision counts. A score is a sum of
 * at most 512 products, |score| < 20, in error by some 20 * 2^-23 = 2e-6, and a bias that is large
 * only where the weight is nil; that error is relative in the weight, whose sums are convex, so it
 * is absolute in the result, which lies within -1..1. */
const clm_op_desc clm_op_attention = {
    .name = "attention",
    .entry = "attention",
    .dims = clm_attention_dims,
    .n_dims = CLM_ATTENTION_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = clm_attention_fill,
    .reference = clm_ref_attention,
    .bind = bind,
    .bytes_moved = clm_attention_bytes,
    .flops = clm_attention_flops,
    .may_skip = clm_attention_may_skip,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 4e-6f,
    .rtol = 4e-6f,
};
