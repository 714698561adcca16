/* runtime/ops/op_attention_amx.c: see op_attention_amx.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_attention_amx.h"

#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

enum { AXIS_AMX, AXIS_QUERIES, AXIS_KEYS };

static const int k_amx[] = {0, 1}, k_queries[] = {32, 64, 128}, k_keys[] = {32, 64};

static const clm_axis k_axes[] = {
    [AXIS_AMX] = {"AMX", k_amx, CLM_COUNT(k_amx)},
    [AXIS_QUERIES] = {"QUERIES", k_queries, CLM_COUNT(k_queries)},
    [AXIS_KEYS] = {"KEYS", k_keys, CLM_COUNT(k_keys)},
};

enum { STEP = 32, MAX_HEAD = 128 };

bool clm_attention_amx_takes(int head_dim)
{
    return head_dim >= STEP && head_dim <= MAX_HEAD && head_dim % STEP == 0;
}

static bool used(const clm_caps *caps)
{
    return caps->amx;
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    return clm_attention_amx_takes(shape->v[CLM_ATTENTION_HEAD_DIM]) &&
           (params[AXIS_AMX] == 0 || caps->amx);
}

/* Turning keys and values into tiles costs a third of the work of 128 rows on them; but there should be a few
 * work-items for each core, as some have more keys than others. The same for any number of rows, so that one kernel
 * serves prompts of every length. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const size_t prompt = 512, heads = (size_t)shape->v[CLM_ATTENTION_N_HEADS];
    int queries = 128;

    while (queries > STEP && prompt / (size_t)queries * heads < 4 * (size_t)caps->compute_units)
        queries /= 2;
    params[AXIS_AMX] = caps->amx;
    params[AXIS_QUERIES] = queries;
    params[AXIS_KEYS] = 64;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    return clm_attention_defines(k_axes, CLM_COUNT(k_axes), shape, params, defs);
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const size_t groups = clm_op_ceil_div((size_t)v[CLM_ATTENTION_M], (size_t)params[AXIS_QUERIES]);

    *range = (clm_range){2, {groups, (size_t)v[CLM_ATTENTION_N_HEADS]}, {1, 1}};
    return clm_attention_set_args(kernel, shape, bufs, err);
}

#define SHAPE CLM_ATTENTION_SHAPE
/* One row and key; rows and keys left over; chunks that begin with a row, and within; rows that share tiles with
 * others to whom a chunk is all future, and are themselves too few for theirs; several groups of each size; a
 * context that ends in the middle of a chunk. */
static const clm_shape k_test[] = {
    SHAPE(2, 2, 1, 32, 70, 63, CLM_CACHE_F16, 3, 1),
    SHAPE(1, 1, 1, 32, 1, 0, CLM_CACHE_F16, 0, 1),
    SHAPE(7, 3, 3, 32, 63, 0, CLM_CACHE_F16, 1, 1),
    SHAPE(33, 4, 2, 32, 64, 31, CLM_CACHE_F16, 0, 0),
    SHAPE(300, 2, 2, 32, 530, 210, CLM_CACHE_F16, 0, 1),
    SHAPE(77, 8, 8, 32, 530, 450, CLM_CACHE_F16, 0, 1),
    SHAPE(40, 2, 1, 96, 100, 9, CLM_CACHE_F32, 2, 1),
    SHAPE(45, 3, 3, 128, 64, 0, CLM_CACHE_F16, 0, 1),
    SHAPE(9, 2, 1, 128, 200, 190, CLM_CACHE_F16, 2, 0),
    SHAPE(9, 4, 2, 32, 130, 120, CLM_CACHE_I8, 5, 0),
    SHAPE(70, 2, 2, 32, 209, 139, CLM_CACHE_I8, 0, 1),
};

/* The reference rounds queries, keys and values as the kernel does, so what is left are the weights: each is
 * rounded to bfloat16, by 2^-8 of itself at most, and their sums are convex and of values within -1..1. */
const clm_op_desc clm_op_attention_amx = {
    .name = "attention_amx",
    .entry = "attention_amx",
    .dims = clm_attention_dims,
    .n_dims = CLM_ATTENTION_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .used = used,
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = clm_attention_fill,
    .reference = clm_ref_attention_amx,
    .bind = bind,
    .bytes_moved = clm_attention_bytes,
    .flops = clm_attention_flops,
    .arithmetic = clm_op_by_tiles,
    .may_skip = clm_attention_may_skip,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = clm_attention_prompts,
    .n_tune_shapes = CLM_ATTENTION_PROMPTS,
    .atol = 4e-3f,
    .rtol = 1e-5f,
};
