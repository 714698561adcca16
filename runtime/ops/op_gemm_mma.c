/* runtime/ops/op_gemm_mma.c: see op_gemm_mma.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gemm_mma.h"

#include "runtime/ops/gemm_case.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

enum { AXIS_MMA, AXIS_PLAIN, AXIS_RT, AXIS_TT, AXIS_WARPS_N, AXIS_WARPS_T, AXIS_STAGES };

static const int k_mma[] = {CLM_MMA_PTX,  CLM_MMA_WMMA,  CLM_MMA_WMMA12,
                            CLM_MMA_MFMA, CLM_MMA_DPAS8, CLM_MMA_DPAS16};
static const int k_plain[] = {0, 1};
static const int k_rt[] = {1, 2, 4};
static const int k_tt[] = {2, 4, 8};
static const int k_warps_n[] = {1, 2, 4, 8};
static const int k_warps_t[] = {1, 2, 4};
static const int k_stages[] = {2, 3, 4};

static const clm_axis k_axes[] = {
    [AXIS_MMA] = {"MMA", k_mma, CLM_COUNT(k_mma)},
    [AXIS_PLAIN] = {"MMA_PLAIN", k_plain, CLM_COUNT(k_plain)},
    [AXIS_RT] = {"RT", k_rt, CLM_COUNT(k_rt)},
    [AXIS_TT] = {"TT", k_tt, CLM_COUNT(k_tt)},
    [AXIS_WARPS_N] = {"WARPS_N", k_warps_n, CLM_COUNT(k_warps_n)},
    [AXIS_WARPS_T] = {"WARPS_T", k_warps_t, CLM_COUNT(k_warps_t)},
    [AXIS_STAGES] = {"STAGES", k_stages, CLM_COUNT(k_stages)},
};

static const char *const k_dims[CLM_GEMM_MMA_DIMS] = {
    "M", "N", "K", "LDY", "Y_OFF", "FORMAT", "GROUP", "HAS_MIN",
};

static clm_weight_layout layout_of(const clm_shape *shape)
{
    const int *v = shape->v;

    return clm_weight_layout_of(v[CLM_GEMM_MMA_FORMAT], v[CLM_GEMM_MMA_N], v[CLM_GEMM_MMA_K],
                                v[CLM_GEMM_MMA_GROUP], v[CLM_GEMM_MMA_HAS_MIN]);
}

static bool shape_legal(const clm_shape *shape)
{
    const clm_weight_layout w = layout_of(shape);

    return clm_gemm_case_legal(shape->v, &w, shape->v[CLM_GEMM_MMA_GROUP]);
}

static clm_mma mma_of(const int *params)
{
    return (clm_mma)params[AXIS_MMA];
}

/* Of a group: warps, work-items, tokens, rows, and bytes of local memory (STAGE_WORDS of the kernel). */
static size_t warps_of(const int *params)
{
    return (size_t)(params[AXIS_WARPS_N] * params[AXIS_WARPS_T]);
}

static size_t items_of(const int *params)
{
    return warps_of(params) * (size_t)clm_mma_lanes(mma_of(params));
}

static size_t tokens_of(const int *params)
{
    return (size_t)(clm_mma_columns(mma_of(params)) * params[AXIS_TT] * params[AXIS_WARPS_T]);
}

static size_t rows_of(const int *params)
{
    return (size_t)(clm_mma_rows(mma_of(params)) * params[AXIS_RT] * params[AXIS_WARPS_N]);
}

static bool is_amd(clm_mma mma)
{
    return mma == CLM_MMA_WMMA || mma == CLM_MMA_WMMA12 || mma == CLM_MMA_MFMA;
}

static size_t local_of(const int *params, const clm_weight_layout *w)
{
    const size_t tiles = rows_of(params) / CLM_TILE_ROWS, parts = w->group == 16 ? 2 : 1;
    const size_t scales = tiles * parts * CLM_TILE_ROWS * sizeof(uint16_t);
    const size_t weights =
        tiles * (w->format == CLM_FORMAT_Q4 ? CLM_Q4_BLOCK_BYTES : CLM_Q8_BLOCK_BYTES);
    const size_t line = (size_t)(CLM_BLOCK_K + (is_amd(mma_of(params)) ? 8 : 0)) * sizeof(uint16_t);
    const size_t stage =
        tokens_of(params) * line + weights + (w->has_min == CLM_MIN_NONE ? 1 : 2) * scales;

    return (size_t)params[AXIS_STAGES] * stage +
           clm_op_mma_local(mma_of(params), params[AXIS_PLAIN], warps_of(params));
}

static bool used(const clm_caps *caps)
{
    return caps->mma != CLM_MMA_NONE;
}

/* Copies run ahead on NVIDIA alone. Without matrix units the kernel is for tests alone: it is slow, and
 * compilers for CPUs take seconds for the barriers of large tiles. */
static bool means_valid(const int *params, const clm_caps *caps)
{
    const bool ahead = mma_of(params) == CLM_MMA_PTX;

    if (used(caps))
        return mma_of(params) == caps->mma && !params[AXIS_PLAIN] &&
               (ahead || params[AXIS_STAGES] == 2);
    return params[AXIS_PLAIN] && params[AXIS_RT] == 2 &&
           params[AXIS_TT] == 32 / clm_mma_columns(mma_of(params)) && params[AXIS_WARPS_N] <= 2 &&
           params[AXIS_WARPS_T] <= 2 && (ahead || warps_of(params) == 4) &&
           params[AXIS_STAGES] == (ahead ? 3 : 2);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const clm_weight_layout w = layout_of(shape);

    return shape_legal(shape) && means_valid(params, caps) && tokens_of(params) % 32 == 0 &&
           rows_of(params) % CLM_TILE_ROWS == 0 && clm_op_group_fits(caps, (int)items_of(params)) &&
           local_of(params, &w) <= caps->local_mem;
}

/* Whether there are three groups for two units of the device. */
static bool enough_groups(const clm_shape *shape, const clm_caps *caps, const int *params)
{
    const size_t n = (size_t)shape->v[CLM_GEMM_MMA_N], m = (size_t)shape->v[CLM_GEMM_MMA_M];

    return 2 * clm_op_ceil_div(n, rows_of(params)) * clm_op_ceil_div(m, tokens_of(params)) >=
           3 * (size_t)caps->compute_units;
}

static void set(int *params, int rt, int tt, int warps_n, int warps_t, int stages)
{
    params[AXIS_RT] = rt;
    params[AXIS_TT] = tt;
    params[AXIS_WARPS_N] = warps_n;
    params[AXIS_WARPS_T] = warps_t;
    params[AXIS_STAGES] = stages;
}

/* Measured on an H200 (docs/performance.md): warps of 64 rows that share 64 tokens are fastest, unless there are
 * too few groups of four then. */
static void nvidia_defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    set(params, 4, 8, 4, 1, 4);
    if (!enough_groups(shape, caps, params)) set(params, 2, 8, 4, 1, 4);
    while (!valid(params, shape, caps) && params[AXIS_STAGES] > k_stages[0]) params[AXIS_STAGES]--;
}

/* From static counts (docs/performance.md). Making weights of a row costs the same for any number of tokens, so a
 * warp takes as many as its registers hold, and a group as many warps as share the copies of those tokens without
 * spilling them. */
static void other_defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const int m = shape->v[CLM_GEMM_MMA_M], columns = clm_mma_columns(caps->mma);

    set(params, 1, 8, caps->mma == CLM_MMA_MFMA ? 4 : 8, 1, 2);
    while (columns * params[AXIS_TT] > 32 && columns * params[AXIS_TT] / 2 >= m)
        params[AXIS_TT] /= 2;
    while (params[AXIS_WARPS_N] > 1 && !valid(params, shape, caps)) params[AXIS_WARPS_N] /= 2;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    params[AXIS_MMA] = used(caps) ? (int)caps->mma : CLM_MMA_PTX;
    params[AXIS_PLAIN] = !used(caps);
    if (caps->mma == CLM_MMA_PTX)
        nvidia_defaults(shape, caps, params);
    else if (used(caps))
        other_defaults(shape, caps, params);
    if (!used(caps) || !valid(params, shape, caps)) /* the smallest tiles, or the plain kernel's */
        set(params, 2, 32 / clm_mma_columns(mma_of(params)), 1, 1,
            mma_of(params) == CLM_MMA_PTX ? 3 : 2);
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout_of(shape);
    size_t n = 0;

    for (size_t i = 0; i < CLM_COUNT(k_axes); i++)
        defs[n++] = (clm_define){k_axes[i].name, params[i]};
    defs[n++] = (clm_define){"FORMAT", (int)w.format};
    defs[n++] = (clm_define){"GROUP", clm_weight_group_define(&w)};
    defs[n++] = (clm_define){"HAS_MIN", w.has_min};
    return n;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const clm_weight_layout w = layout_of(&c->shape);

    return clm_gemm_case_bf16(c, "gemm_mma", &w, seed, err);
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const size_t items = items_of(params);
    clm_arg args[CLM_GEMM_MMA_BUFFERS + 5];
    size_t n = 0;

    for (; n < CLM_GEMM_MMA_BUFFERS; n++) args[n] = CLM_BUF(bufs[n]);
    for (int i = CLM_GEMM_MMA_M; i <= CLM_GEMM_MMA_Y_OFF; i++) args[n++] = CLM_I32(v[i]);
    *range = (clm_range){2,
                         {clm_op_ceil_div((size_t)v[CLM_GEMM_MMA_M], tokens_of(params)) * items,
                          clm_op_ceil_div((size_t)v[CLM_GEMM_MMA_N], rows_of(params))},
                         {items, 1}};
    return clm_kernel_set_args(kernel, args, n, err);
}

static double bytes_moved(const clm_shape *shape)
{
    const clm_weight_layout w = layout_of(shape);

    return clm_weight_bytes(&w) +
           shape->v[CLM_GEMM_MMA_M] * (2.0 * (double)w.columns + 4.0 * (double)w.rows);
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_GEMM_MMA_M] * shape->v[CLM_GEMM_MMA_N] * shape->v[CLM_GEMM_MMA_K];
}

#define Q4 CLM_FORMAT_Q4
#define Q8 CLM_FORMAT_Q8
/* M, N, K, LDY, Y_OFF, FORMAT, GROUP, HAS_MIN */
#define SHAPE(...)                                                                                 \
    {                                                                                              \
        .v = {__VA_ARGS__},                                                                        \
    }
/* One number; whole tiles; tokens, rows and tiles left over; more blocks than stages, and fewer; groups of
 * each kind; several groups each way. */
static const clm_shape k_test[] = {
    SHAPE(1, 1, 32, 1, 0, Q4, 32, 0),       SHAPE(64, 64, 160, 80, 16, Q4, 32, 1),
    SHAPE(37, 49, 160, 60, 3, Q4, 32, 2),   SHAPE(70, 100, 256, 100, 0, Q4, 128, 0),
    SHAPE(50, 21, 96, 21, 0, Q4, 0, 1),     SHAPE(300, 290, 192, 300, 1, Q4, 64, 0),
    SHAPE(33, 145, 192, 150, 5, Q8, 64, 2), SHAPE(64, 33, 128, 33, 0, Q8, 32, 0),
    SHAPE(34, 33, 96, 40, 3, Q8, 16, 1),    SHAPE(40, 40, 1312, 40, 0, Q8, 16, 0),
};
/* Baichuan-13B, a prompt of 512: query, key and value; output; gate and up; down. */
#define TUNE_SHAPES(F, GROUP, MIN)                                                                 \
    SHAPE(512, 15360, 5120, 15360, 0, F, GROUP, MIN),                                              \
        SHAPE(512, 5120, 5120, 5120, 0, F, GROUP, MIN),                                            \
        SHAPE(512, 27392, 5120, 27392, 0, F, GROUP, MIN),                                          \
        SHAPE(512, 5120, 13696, 5120, 0, F, GROUP, MIN)

static const clm_shape k_tune[] = {TUNE_SHAPES(Q4, 32, 0), TUNE_SHAPES(Q4, 64, 1),
                                   TUNE_SHAPES(Q8, 32, 0)};

/* Products of bf16 numbers are exact in float, but tensor cores cut off what is below the last bit of a sum's
 * largest term, each time they add 16 products: for 13,696 columns 856 times 2^-23 of sums below 1. That is
 * a thirtieth of what rounding the factors to bf16 does. */
const clm_op_desc clm_op_gemm_mma = {
    .name = "gemm_mma",
    .entry = "gemm_mma",
    .dims = k_dims,
    .n_dims = CLM_GEMM_MMA_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .used = used,
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_gemm_mma,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .arithmetic = clm_op_by_tiles,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 6e-5f,
    .rtol = 1e-5f,
};
