/* runtime/ops/op_gemm_amx.c: see op_gemm_amx.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gemm_amx.h"

#include "runtime/ops/gemm_case.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

enum { MAX_CHUNK = 1 << 12 };

enum { TILE = 16 }; /* rows, and tokens, of a tile of sums */

enum { AXIS_AMX, AXIS_PART, AXIS_CVT };

static const int k_amx[] = {0, 1};
static const int k_part[] = {320, 640, 1280};
static const int k_cvt[] = {0, 1};

static const clm_axis k_axes[] = {
    [AXIS_AMX] = {"AMX", k_amx, CLM_COUNT(k_amx)},
    [AXIS_PART] = {"PART", k_part, CLM_COUNT(k_part)},
    [AXIS_CVT] = {"CVT", k_cvt, CLM_COUNT(k_cvt)},
};

static const char *const k_dims[CLM_GEMM_AMX_DIMS] = {
    "M", "N", "K", "LDY", "Y_OFF", "FIRST", "CHUNK", "FORMAT", "GROUP", "HAS_MIN",
};

static clm_weight_layout layout_of(const clm_shape *shape)
{
    const int *v = shape->v;

    return clm_weight_layout_of(v[CLM_GEMM_AMX_FORMAT], v[CLM_GEMM_AMX_N], v[CLM_GEMM_AMX_K],
                                v[CLM_GEMM_AMX_GROUP], v[CLM_GEMM_AMX_HAS_MIN]);
}

static bool shape_legal(const clm_shape *shape)
{
    const int *v = shape->v;
    const int first = v[CLM_GEMM_AMX_FIRST], chunk = v[CLM_GEMM_AMX_CHUNK];
    const clm_weight_layout w = layout_of(shape);

    if (first < 0 || first >= v[CLM_GEMM_AMX_K] || first % CLM_BLOCK_K != 0) return false;
    if (chunk < CLM_BLOCK_K || chunk > MAX_CHUNK || chunk % CLM_BLOCK_K != 0) return false;
    return clm_gemm_case_legal(v, &w, v[CLM_GEMM_AMX_GROUP]);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    if (params[AXIS_AMX] != 0 && !caps->amx) return false;
    if (params[AXIS_CVT] != 0 && (params[AXIS_AMX] == 0 || !caps->amx_cvt)) return false;
    return shape_legal(shape);
}

static bool used(const clm_caps *caps)
{
    return caps->amx;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[AXIS_AMX] = caps->amx;
    params[AXIS_PART] = 320;
    params[AXIS_CVT] = caps->amx_cvt;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout_of(shape);
    size_t n = 0;

    for (size_t i = 0; i < CLM_COUNT(k_axes); i++)
        defs[n++] = (clm_define){k_axes[i].name, params[i]};
    defs[n++] = (clm_define){"CHUNK", shape->v[CLM_GEMM_AMX_CHUNK]};
    defs[n++] = (clm_define){"FORMAT", (int)w.format};
    defs[n++] = (clm_define){"GROUP", clm_weight_group_define(&w)};
    defs[n++] = (clm_define){"HAS_MIN", w.has_min};
    return n;
}

size_t clm_gemm_amx_sums(size_t m, size_t n)
{
    return clm_op_ceil_div(m, 2 * TILE) * clm_op_ceil_div(n, 2 * TILE) * 4 * TILE * TILE;
}

/* Whether the launch takes the last column. */
static bool is_last(const clm_shape *shape)
{
    return shape->v[CLM_GEMM_AMX_FIRST] + shape->v[CLM_GEMM_AMX_CHUNK] >= shape->v[CLM_GEMM_AMX_K];
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const clm_weight_layout w = layout_of(&c->shape);
    const size_t count = clm_gemm_amx_sums((size_t)c->shape.v[CLM_GEMM_AMX_M], w.rows);
    clm_random r = clm_random_init(seed + 1);
    clm_status st = clm_gemm_case_bf16(c, "gemm_amx", &w, seed, err);
    float *sums;

    if (st != CLM_OK) return st;
    /* Behind the last column what stands there is not defined, and not compared. */
    sums = clm_case_add(c, "sums", CLM_ELEM_F32, count,
                        is_last(&c->shape) ? CLM_CASE_IN : CLM_CASE_INOUT);
    if (sums == NULL) return clm_op_fill_nomem("gemm_amx", err);
    clm_random_fill(&r, sums, count, -1.0f, 1.0f);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    clm_arg args[CLM_GEMM_AMX_BUFFERS + 6];
    size_t n = 0;

    for (; n < CLM_GEMM_AMX_BUFFERS; n++) args[n] = CLM_BUF(bufs[n]);
    for (int i = CLM_GEMM_AMX_M; i <= CLM_GEMM_AMX_FIRST; i++) args[n++] = CLM_I32(shape->v[i]);
    (void)params;
    *range = (clm_range){1, {clm_op_ceil_div((size_t)shape->v[CLM_GEMM_AMX_N], 2 * TILE)}, {1}};
    return clm_kernel_set_args(kernel, args, n, err);
}

/* Columns that the launch takes. */
static int columns_of(const clm_shape *shape)
{
    const int left = shape->v[CLM_GEMM_AMX_K] - shape->v[CLM_GEMM_AMX_FIRST];

    return left < shape->v[CLM_GEMM_AMX_CHUNK] ? left : shape->v[CLM_GEMM_AMX_CHUNK];
}

static double bytes_moved(const clm_shape *shape)
{
    const clm_weight_layout w = layout_of(shape);
    const double columns = columns_of(shape), sum_bytes = shape->v[CLM_GEMM_AMX_FIRST] == 0 ? 4 : 8;

    return clm_weight_bytes(&w) * columns / (double)w.columns +
           shape->v[CLM_GEMM_AMX_M] * (2.0 * columns + sum_bytes * (double)w.rows);
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_GEMM_AMX_M] * shape->v[CLM_GEMM_AMX_N] * columns_of(shape);
}

#define Q4 CLM_FORMAT_Q4
#define Q8 CLM_FORMAT_Q8
/* M, N, K, LDY, Y_OFF, FIRST, CHUNK, FORMAT, GROUP, HAS_MIN */
#define SHAPE(...)                                                                                 \
    {                                                                                              \
        .v = {__VA_ARGS__},                                                                        \
    }
/* One number; whole tiles; rows and tokens left over in every tile of the four; a chunk that is not
 * whole; groups of each kind that begin inside a chunk; several work-items; first launches, last ones and
 * ones between; the real chunk in several parts. */
static const clm_shape k_test[] = {
    SHAPE(1, 1, 32, 1, 0, 0, 32, Q4, 32, 0),
    SHAPE(64, 64, 160, 80, 16, 64, 64, Q4, 32, 1),
    SHAPE(37, 49, 160, 60, 3, 128, 64, Q4, 32, 2),
    SHAPE(11, 100, 256, 100, 0, 64, 128, Q4, 128, 0),
    SHAPE(50, 21, 96, 21, 0, 32, 64, Q4, 0, 1),
    SHAPE(40, 40, 1312, 40, 0, 0, CLM_GEMM_AMX_COLUMNS, Q4, 32, 0),
    SHAPE(34, 50, 1312, 60, 3, 32, CLM_GEMM_AMX_COLUMNS, Q4, 32, 0),
    SHAPE(33, 145, 192, 150, 5, 0, 64, Q8, 64, 2),
    SHAPE(64, 33, 128, 33, 0, 64, 64, Q8, 32, 0),
    SHAPE(34, 33, 96, 40, 3, 32, 64, Q8, 16, 1),
};
/* Baichuan-13B, a prompt of 512, one launch of several: query, key and value; down. */
#define TUNE_SHAPES(F, GROUP, MIN)                                                                 \
    SHAPE(512, 15360, 5120, 15360, 0, 1280, CLM_GEMM_AMX_COLUMNS, F, GROUP, MIN),                  \
        SHAPE(512, 5120, 13696, 5120, 0, 1280, CLM_GEMM_AMX_COLUMNS, F, GROUP, MIN)

static const clm_shape k_tune[] = {TUNE_SHAPES(Q4, 32, 0), TUNE_SHAPES(Q4, 64, 1),
                                   TUNE_SHAPES(Q8, 32, 0)};

/* Products of bf16 numbers are exact in float; what differs is the order of float sums. */
const clm_op_desc clm_op_gemm_amx = {
    .name = "gemm_amx",
    .entry = "gemm_amx",
    .dims = k_dims,
    .n_dims = CLM_GEMM_AMX_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .used = used,
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_gemm_amx,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .arithmetic = clm_op_by_tiles,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 4e-6f,
    .rtol = 1e-5f,
};
