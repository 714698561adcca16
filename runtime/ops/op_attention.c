/* runtime/ops/op_attention.c: see op_attention.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_attention.h"

#include <math.h>
#include <string.h>
#include "runtime/ops/fill.h"
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"M",          "LD",       "Q_OFF", "LDO",  "N_HEADS",
                                     "N_KV_HEADS", "HEAD_DIM", "CTX",   "POS0", "KV_TYPE"};
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

void clm_alibi_slopes(float *slopes, size_t n_heads)
{
    size_t power = 1;

    while (power <= n_heads / 2) power *= 2;
    for (size_t h = 0; h < n_heads; h++) {
        const double exponent = h < power ? -8.0 * (double)(h + 1) / (double)power
                                          : -4.0 * (double)(2 * (h - power) + 1) / (double)power;

        slopes[h] = (float)exp2(exponent);
    }
}

static clm_kv_dims kv_dims(const clm_shape *shape)
{
    return (clm_kv_dims){(size_t)shape->v[CLM_ATTENTION_N_KV_HEADS],
                         (size_t)shape->v[CLM_ATTENTION_HEAD_DIM],
                         (size_t)shape->v[CLM_ATTENTION_CTX], shape->v[CLM_ATTENTION_KV_TYPE]};
}

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
    defs[0] = (clm_define){"HEAD_DIM", shape->v[CLM_ATTENTION_HEAD_DIM]};
    defs[1] = (clm_define){"KV_TYPE", shape->v[CLM_ATTENTION_KV_TYPE]};
    for (size_t a = 0; a < CLM_COUNT(k_axes); a++)
        defs[2 + a] = (clm_define){k_axes[a].name, params[a]};
    return 2 + CLM_COUNT(k_axes);
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const size_t rows = (size_t)v[CLM_ATTENTION_M], ld = (size_t)v[CLM_ATTENTION_LD];
    const size_t heads = (size_t)v[CLM_ATTENTION_N_HEADS];
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM];
    const clm_kv_dims dims = kv_dims(&c->shape);
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, rows * ld, CLM_CASE_IN), *slopes;

    if (x == NULL ||
        !clm_kv_case_add(c, &r, &dims, (size_t)v[CLM_ATTENTION_POS0] + rows, CLM_CASE_IN) ||
        (slopes = clm_case_add(c, "slopes", CLM_ELEM_F32, heads, CLM_CASE_IN)) == NULL ||
        clm_case_add(c, "out", CLM_ELEM_F32, rows * (size_t)v[CLM_ATTENTION_LDO], CLM_CASE_OUT) ==
            NULL)
        return clm_op_fill_nomem("attention", err);
    /* Wide enough for scores that differ by several units; NaN outside of the queries. */
    memset(x, 0xFF, rows * ld * sizeof *x);
    for (size_t m = 0; m < rows; m++)
        clm_random_fill(&r, x + m * ld + v[CLM_ATTENTION_Q_OFF], heads * n, -6.0f, 6.0f);
    if (c->shape.f[0] > 0.0f) clm_alibi_slopes(slopes, heads);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const int heads = v[CLM_ATTENTION_N_HEADS], kv_heads = v[CLM_ATTENTION_N_KV_HEADS];
    const size_t wg = (size_t)params[AXIS_WG];
    const size_t groups = clm_op_ceil_div((size_t)v[CLM_ATTENTION_M], (size_t)params[AXIS_QUERIES]);
    *range = (clm_range){2, {groups * wg, (size_t)heads}, {wg, 1}};
    clm_status st;

    if (kv_heads < 1 || heads % kv_heads != 0)
        return clm_fail(err, CLM_E_INTERNAL, "attention: %d heads on %d kv heads", heads, kv_heads);
    if (v[CLM_ATTENTION_POS0] < 0 ||
        v[CLM_ATTENTION_POS0] > v[CLM_ATTENTION_CTX] - v[CLM_ATTENTION_M])
        return clm_fail(err, CLM_E_INTERNAL, "attention: %d rows from position %d on, context %d",
                        v[CLM_ATTENTION_M], v[CLM_ATTENTION_POS0], v[CLM_ATTENTION_CTX]);
    const clm_arg args[] = {
        CLM_BUF(bufs[0]),
        CLM_BUF(bufs[1]),
        CLM_BUF(bufs[2]),
        CLM_BUF(bufs[3]),
        CLM_BUF(bufs[4]),
        CLM_BUF(bufs[5]),
        CLM_BUF(bufs[6]),
        CLM_BUF(bufs[7]),
        CLM_I32(v[CLM_ATTENTION_LD]),
        CLM_I32(v[CLM_ATTENTION_Q_OFF]),
        CLM_I32(v[CLM_ATTENTION_LDO]),
        CLM_I32(heads / kv_heads),
        CLM_I32(clm_kv_padded((size_t)v[CLM_ATTENTION_CTX])),
        CLM_I32(v[CLM_ATTENTION_POS0]),
        CLM_I32(v[CLM_ATTENTION_M]),
        CLM_F32(1.0f / sqrtf((float)v[CLM_ATTENTION_HEAD_DIM])),
    };
    st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
    return st;
}

/* Keys and values read once, however many rows share them. */
static double bytes_moved(const clm_shape *shape)
{
    const int *v = shape->v;
    const double position = v[CLM_ATTENTION_HEAD_DIM] *
                                (double)clm_elem_bytes(clm_cache_elem(v[CLM_ATTENTION_KV_TYPE])) +
                            (v[CLM_ATTENTION_KV_TYPE] == CLM_CACHE_I8 ? 2.0 : 0.0);
    const double keys = (double)v[CLM_ATTENTION_POS0] + v[CLM_ATTENTION_M];

    return 2.0 * v[CLM_ATTENTION_N_KV_HEADS] * keys * position +
           8.0 * v[CLM_ATTENTION_M] * v[CLM_ATTENTION_N_HEADS] * v[CLM_ATTENTION_HEAD_DIM];
}

static double flops(const clm_shape *shape)
{
    const int *v = shape->v;
    const double m = v[CLM_ATTENTION_M];
    const double pairs = m * v[CLM_ATTENTION_POS0] + m * (m + 1.0) / 2.0;

    return pairs * v[CLM_ATTENTION_N_HEADS] * (4.0 * v[CLM_ATTENTION_HEAD_DIM] + 5.0);
}

/* Packed q, k, v rows; `gap` more columns in front of the queries and behind the outputs. */
#define SHAPE(m, heads, kv, n, ctx, pos0, type, gap, alibi)                                        \
    {                                                                                              \
        .v = {m,     ((heads) + 2 * (kv)) * (n) + (gap),                                           \
              gap,   (heads) * (n) + (gap),                                                        \
              heads, kv,                                                                           \
              n,     ctx,                                                                          \
              pos0,  type},                                                                        \
        .f = {alibi},                                                                              \
    }
static const clm_shape k_test[] = {
    /* M, heads, kv heads, head dim, ctx, pos0, type, gap, alibi; few pairs of head dim and type, for
     * each is a build */
    SHAPE(2, 6, 3, 16, 70, 63, CLM_CACHE_F16, 3, 1),
    SHAPE(1, 1, 1, 16, 1, 0, CLM_CACHE_F16, 0, 1),
    SHAPE(7, 5, 5, 16, 63, 0, CLM_CACHE_F16, 1, 1),
    SHAPE(33, 8, 2, 16, 64, 31, CLM_CACHE_F16, 0, 0),
    SHAPE(1, 40, 40, 16, 257, 256, CLM_CACHE_F16, 0, 1),
    SHAPE(37, 8, 8, 16, 530, 490, CLM_CACHE_F16, 0, 1),
    SHAPE(1, 8, 8, 16, 65, 64, CLM_CACHE_I8, 0, 1),
    SHAPE(9, 8, 2, 16, 130, 120, CLM_CACHE_I8, 5, 0),
    SHAPE(5, 5, 5, 80, 65, 58, CLM_CACHE_F16, 0, 1),
    SHAPE(1, 10, 10, 128, 257, 256, CLM_CACHE_F16, 0, 1),
    SHAPE(33, 5, 5, 128, 64, 0, CLM_CACHE_F16, 0, 1),
    SHAPE(2, 6, 3, 20, 65, 63, CLM_CACHE_F32, 2, 1),
    SHAPE(35, 6, 3, 20, 65, 30, CLM_CACHE_F32, 0, 0),
    SHAPE(9, 6, 3, 7, 64, 55, CLM_CACHE_I8, 0, 1),
};
static const clm_shape k_tune[] = {
    SHAPE(1, 40, 40, 128, 4096, 511, CLM_CACHE_F16, 0, 1),
    SHAPE(1, 40, 40, 128, 4096, 4095, CLM_CACHE_F16, 0, 1),
    SHAPE(1, 40, 40, 128, 4096, 4095, CLM_CACHE_I8, 0, 1),
    SHAPE(512, 40, 40, 128, 4096, 0, CLM_CACHE_F16, 0, 1),
};

/* Values and weights are compared as stored, so only single precision counts. A score is a sum of
 * at most 512 products, |score| < 20, in error by some 20 * 2^-23 = 2e-6, and a bias that is large
 * only where the weight is nil; that error is relative in the weight, whose sums are convex, so it
 * is absolute in the result, which lies within -1..1. */
const clm_op_desc clm_op_attention = {
    .name = "attention",
    .entry = "attention",
    .dims = k_dims,
    .n_dims = CLM_ATTENTION_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_attention,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 4e-6f,
    .rtol = 4e-6f,
};
