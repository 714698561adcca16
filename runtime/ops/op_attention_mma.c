/* runtime/ops/op_attention_mma.c: see op_attention_mma.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_attention_mma.h"

#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

enum { AXIS_PLAIN, AXIS_WARPS, AXIS_CHUNK };

static const int k_plain[] = {0, 1}, k_warps[] = {1, 2, 4, 8}, k_chunk[] = {32, 64};

static const clm_axis k_axes[] = {
    [AXIS_PLAIN] = {"MMA_PLAIN", k_plain, CLM_COUNT(k_plain)},
    [AXIS_WARPS] = {"WARPS", k_warps, CLM_COUNT(k_warps)},
    [AXIS_CHUNK] = {"CHUNK", k_chunk, CLM_COUNT(k_chunk)},
};

enum { WARP_ROWS = 16, WARP_ITEMS = 32, MAX_HEAD = 128 };

static bool shape_taken(int head_dim, int kv_type)
{
    return (kv_type == CLM_CACHE_F16 || kv_type == CLM_CACHE_I8) && head_dim >= WARP_ROWS &&
           head_dim <= MAX_HEAD && head_dim % WARP_ROWS == 0;
}

bool clm_attention_mma_takes(const clm_caps *caps, int head_dim, int kv_type)
{
    return (caps->mma == CLM_MMA_PTX || caps->mma == CLM_MMA_NONE) &&
           shape_taken(head_dim, kv_type);
}

/* Bytes of local memory; the largest part are the kernel's arrays of keys and values. */
static size_t local_of(const int *params, int head_dim)
{
    const size_t chunk = (size_t)params[AXIS_CHUNK], row = 2 * (size_t)head_dim;
    const size_t padded_row = 16 * ((size_t)head_dim / 8 | 1), warps = (size_t)params[AXIS_WARPS];

    return chunk * (row + padded_row) + warps * sizeof(float) + 2 * sizeof(int) +
           clm_op_mma_local(CLM_MMA_PTX, params[AXIS_PLAIN], warps);
}

static bool used(const clm_caps *caps)
{
    return caps->mma == CLM_MMA_PTX;
}

/* Without tensor cores the kernel is for tests alone, as gemm_mma. */
static bool means_valid(const int *params, const clm_caps *caps)
{
    return params[AXIS_PLAIN] ? !used(caps) && params[AXIS_WARPS] <= 2 : used(caps);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const int head_dim = shape->v[CLM_ATTENTION_HEAD_DIM];

    return shape_taken(head_dim, shape->v[CLM_ATTENTION_KV_TYPE]) && means_valid(params, caps) &&
           clm_op_group_fits(caps, WARP_ITEMS * params[AXIS_WARPS]) &&
           local_of(params, head_dim) <= caps->local_mem;
}

/* No more warps than there are rows for. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const int m = shape->v[CLM_ATTENTION_M];

    params[AXIS_PLAIN] = !used(caps);
    params[AXIS_WARPS] = used(caps) ? 4 : 2;
    params[AXIS_CHUNK] = 64;
    while (params[AXIS_WARPS] > 1 && params[AXIS_WARPS] / 2 * WARP_ROWS >= m)
        params[AXIS_WARPS] /= 2;
    if (!valid(params, shape, caps)) {
        params[AXIS_WARPS] = 1;
        params[AXIS_CHUNK] = 32;
    }
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    return clm_attention_defines(k_axes, CLM_COUNT(k_axes), shape, params, defs);
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v, warps = params[AXIS_WARPS];
    const size_t items = (size_t)(WARP_ITEMS * warps);
    const size_t groups = clm_op_ceil_div((size_t)v[CLM_ATTENTION_M], (size_t)(WARP_ROWS * warps));

    *range = (clm_range){2, {groups * items, (size_t)v[CLM_ATTENTION_N_HEADS]}, {items, 1}};
    return clm_attention_set_args(kernel, shape, bufs, err);
}

#define SHAPE CLM_ATTENTION_SHAPE
/* One row and key; rows and keys left over; chunks that begin with a row, and within; rows that share a group
 * with others to whom a chunk is all future; heads whose rows of values are an even and an odd number of
 * units. */
static const clm_shape k_test[] = {
    SHAPE(2, 2, 1, 16, 70, 63, CLM_CACHE_F16, 3, 1),
    SHAPE(1, 1, 1, 16, 1, 0, CLM_CACHE_F16, 0, 1),
    SHAPE(7, 5, 5, 16, 63, 0, CLM_CACHE_F16, 1, 1),
    SHAPE(33, 8, 2, 16, 64, 31, CLM_CACHE_F16, 0, 0),
    SHAPE(1, 40, 40, 16, 257, 256, CLM_CACHE_F16, 0, 1),
    SHAPE(77, 8, 8, 16, 530, 450, CLM_CACHE_F16, 0, 1),
    SHAPE(5, 5, 5, 80, 65, 58, CLM_CACHE_F16, 0, 1),
    SHAPE(33, 5, 5, 128, 64, 0, CLM_CACHE_F16, 0, 1),
    SHAPE(9, 2, 1, 128, 200, 190, CLM_CACHE_F16, 2, 0),
    SHAPE(9, 4, 2, 16, 130, 120, CLM_CACHE_I8, 5, 0),
    SHAPE(20, 3, 3, 16, 209, 189, CLM_CACHE_I8, 0, 1),
};

/* The reference rounds queries, keys and values as the kernel does, so what is left are the weights: each is
 * rounded to f16, by 2^-11 of itself at most, and their sums are convex and of values within -1..1. Tensor
 * cores cut off low bits, see op_gemm_mma.c: 64 keys are 4 products, nothing beside that. */
const clm_op_desc clm_op_attention_mma = {
    .name = "attention_mma",
    .entry = "attention_mma",
    .dims = clm_attention_dims,
    .n_dims = CLM_ATTENTION_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .used = used,
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = clm_attention_fill,
    .reference = clm_ref_attention_mma,
    .bind = bind,
    .bytes_moved = clm_attention_bytes,
    .flops = clm_attention_flops,
    .arithmetic = clm_op_by_tiles,
    .may_skip = clm_attention_may_skip,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = clm_attention_prompts,
    .n_tune_shapes = CLM_ATTENTION_PROMPTS,
    .atol = 5e-4f,
    .rtol = 1e-5f,
};
