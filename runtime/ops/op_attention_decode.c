/* runtime/ops/op_attention_decode.c: see op_attention_decode.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_attention_decode.h"

#include <math.h>
#include <string.h>
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_attention.h"
#include "runtime/ops/op_rope.h"
#include "runtime/ops/attention_case.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"Q_OFF",      "K_OFF",    "V_OFF", "N_HEADS",
                                     "N_KV_HEADS", "HEAD_DIM", "CTX",   "KV_TYPE",
                                     "ROPE_DIMS",  "SPLITS",   "POS",   "PART_OFF"};
enum { AXIS_FAMILY, AXIS_WG, AXIS_WINDOW };
enum { FAMILY_CPU, FAMILY_GPU };
static const int k_family[] = {FAMILY_CPU, FAMILY_GPU}, k_wg[] = {1, 64, 128};
static const int k_window[] = {0, 1};
static const clm_axis k_axes[] = {
    {"FAMILY", k_family, CLM_COUNT(k_family)},
    {"WG", k_wg, CLM_COUNT(k_wg)},
    {"WINDOW", k_window, CLM_COUNT(k_window)},
};

int clm_attention_splits(const clm_caps *caps, size_t n_heads, size_t ctx)
{
    const size_t chunks = clm_op_ceil_div(ctx, CLM_DECODE_CHUNK);
    const size_t wanted = 4 * (size_t)caps->compute_units;
    size_t splits = 1;

    while (splits < CLM_DECODE_MAX_SPLITS && n_heads * splits < wanted && 2 * splits <= chunks)
        splits *= 2;
    return (int)splits;
}

size_t clm_attention_part_floats(size_t n_heads, size_t head_dim, size_t splits)
{
    return n_heads * splits * (head_dim + 2);
}

static clm_kv_dims kv_dims(const clm_shape *shape)
{
    const int *v = shape->v;

    return (clm_kv_dims){(size_t)v[CLM_ATTENTION_DECODE_N_KV_HEADS],
                         (size_t)v[CLM_ATTENTION_DECODE_HEAD_DIM],
                         (size_t)v[CLM_ATTENTION_DECODE_CTX], v[CLM_ATTENTION_DECODE_KV_TYPE]};
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const int n = shape->v[CLM_ATTENTION_DECODE_HEAD_DIM], wg = params[AXIS_WG];
    /* q, key, value; the sums of scores (wg / 8 per key) or of values; s and p */
    const uint64_t floats = 3 * (uint64_t)n + (uint64_t)wg * 8 + 2 * CLM_DECODE_CHUNK;

    if (params[AXIS_FAMILY] == FAMILY_CPU) return wg == 1;
    return wg > 1 && (params[AXIS_WINDOW] == 1 || wg == 128) && clm_op_group_fits(caps, wg) &&
           floats * sizeof(float) <= caps->local_mem;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const int wg = clm_op_group_choose(&k_axes[AXIS_WG], caps, 128);

    params[AXIS_FAMILY] = caps->type == CLM_DEVICE_GPU ? FAMILY_GPU : FAMILY_CPU;
    params[AXIS_WG] = wg;
    params[AXIS_WINDOW] = 1;
    if (params[AXIS_FAMILY] == FAMILY_GPU && valid(params, shape, caps)) return;
    params[AXIS_FAMILY] = FAMILY_CPU;
    params[AXIS_WG] = 1;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    defs[0] = (clm_define){"HEAD_DIM", shape->v[CLM_ATTENTION_DECODE_HEAD_DIM]};
    defs[1] = (clm_define){"KV_TYPE", shape->v[CLM_ATTENTION_DECODE_KV_TYPE]};
    defs[2] = (clm_define){"ROPE", shape->v[CLM_ATTENTION_DECODE_ROPE_DIMS] > 0};
    defs[3] = (clm_define){"SPLITS", shape->v[CLM_ATTENTION_DECODE_SPLITS]};
    for (size_t a = 0; a < CLM_COUNT(k_axes); a++)
        defs[4 + a] = (clm_define){k_axes[a].name, params[a]};
    return 4 + CLM_COUNT(k_axes);
}

/* A key (or, with no angles, a value) whose rounding for the cache is decided clearly. */
static void fill_new(clm_random *r, float *x, const float *cs, size_t rope_dims,
                     const clm_kv_dims *dims)
{
    float turned[512];

    do {
        clm_random_fill(r, x, dims->head_dim, -1.0f, 1.0f);
        memcpy(turned, x, dims->head_dim * sizeof *x);
        for (size_t i = 0; i < rope_dims; i += 2) {
            turned[i] = x[i] * cs[i] - x[i + 1] * cs[i + 1];
            turned[i + 1] = x[i] * cs[i + 1] + x[i + 1] * cs[i];
        }
    } while (!clm_kv_case_clear(turned, dims->head_dim, dims->type));
}

static void fill_x(clm_random *r, float *x, const float *cs, const clm_shape *shape)
{
    const int *v = shape->v;
    const clm_kv_dims dims = kv_dims(shape);
    const size_t rope_dims = (size_t)v[CLM_ATTENTION_DECODE_ROPE_DIMS];
    const size_t width = (size_t)v[CLM_ATTENTION_DECODE_N_HEADS] * dims.head_dim;

    /* Wide enough for scores that differ by several units. */
    clm_random_fill(r, x + v[CLM_ATTENTION_DECODE_Q_OFF], width, -6.0f, 6.0f);
    for (size_t h = 0; h < dims.kv_heads; h++) {
        fill_new(r, x + v[CLM_ATTENTION_DECODE_K_OFF] + h * dims.head_dim,
                 cs + (size_t)v[CLM_ATTENTION_DECODE_POS] * rope_dims, rope_dims, &dims);
        fill_new(r, x + v[CLM_ATTENTION_DECODE_V_OFF] + h * dims.head_dim, cs, 0, &dims);
    }
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const clm_kv_dims dims = kv_dims(&c->shape);
    const size_t heads = (size_t)v[CLM_ATTENTION_DECODE_N_HEADS];
    const size_t rope_dims = (size_t)v[CLM_ATTENTION_DECODE_ROPE_DIMS];
    const size_t pos = (size_t)v[CLM_ATTENTION_DECODE_POS];
    const size_t end = (size_t)v[CLM_ATTENTION_DECODE_V_OFF] + dims.kv_heads * dims.head_dim;
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, end, CLM_CASE_IN);
    float *cs =
        clm_case_add(c, "cs", CLM_ELEM_F32, rope_dims > 0 ? dims.ctx * rope_dims : 1, CLM_CASE_IN);
    const size_t front = (size_t)v[CLM_ATTENTION_DECODE_PART_OFF];
    const size_t floats =
        clm_attention_part_floats(heads, dims.head_dim, (size_t)v[CLM_ATTENTION_DECODE_SPLITS]);
    float *slopes, *part;
    int32_t *at;

    if (x == NULL || cs == NULL || !clm_kv_case_add(c, &r, &dims, pos, CLM_CASE_INOUT) ||
        (slopes = clm_case_add(c, "slopes", CLM_ELEM_F32, heads, CLM_CASE_IN)) == NULL ||
        (at = clm_case_add(c, "pos", CLM_ELEM_I32, 1, CLM_CASE_IN)) == NULL ||
        (part = clm_case_add(c, "part", CLM_ELEM_F32, front + floats,
                             front > 0 ? CLM_CASE_INOUT : CLM_CASE_OUT)) == NULL)
        return clm_op_fill_nomem("attention_decode", err);
    clm_random_fill(&r, part, front, -1.0f, 1.0f); /* what stands there must stay */
    *at = (int32_t)pos;
    if (rope_dims > 0) clm_rope_table(cs, dims.ctx, rope_dims, 10000.0);
    if (c->shape.f[0] > 0.0f) clm_alibi_slopes(slopes, heads);
    fill_x(&r, x, cs, &c->shape);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const int heads = v[CLM_ATTENTION_DECODE_N_HEADS],
              kv_heads = v[CLM_ATTENTION_DECODE_N_KV_HEADS];
    const int splits = v[CLM_ATTENTION_DECODE_SPLITS], n = v[CLM_ATTENTION_DECODE_HEAD_DIM];
    const int rope_dims = v[CLM_ATTENTION_DECODE_ROPE_DIMS];
    const size_t wg = (size_t)params[AXIS_WG];

    if (kv_heads < 1 || heads % kv_heads != 0 || splits < 1 || splits > CLM_DECODE_MAX_SPLITS ||
        rope_dims < 0 || rope_dims > n || rope_dims % 2 != 0)
        return clm_fail(err, CLM_E_INTERNAL,
                        "attention_decode: %d heads on %d kv heads, %d splits, rope on %d of %d",
                        heads, kv_heads, splits, rope_dims, n);
    const clm_arg args[] = {
        CLM_BUF(bufs[0]),
        CLM_BUF(bufs[1]),
        CLM_BUF(bufs[2]),
        CLM_BUF(bufs[3]),
        CLM_BUF(bufs[4]),
        CLM_BUF(bufs[5]),
        CLM_BUF(bufs[6]),
        CLM_BUF(bufs[7]),
        CLM_BUF(bufs[8]),
        CLM_BUF(bufs[9]),
        CLM_I32(v[CLM_ATTENTION_DECODE_Q_OFF]),
        CLM_I32(v[CLM_ATTENTION_DECODE_K_OFF]),
        CLM_I32(v[CLM_ATTENTION_DECODE_V_OFF]),
        CLM_I32(v[CLM_ATTENTION_DECODE_PART_OFF]),
        CLM_I32(heads / kv_heads),
        CLM_I32(clm_kv_padded((size_t)v[CLM_ATTENTION_DECODE_CTX])),
        CLM_I32(rope_dims),
        CLM_F32(1.0f / sqrtf((float)n)),
    };
    *range = (clm_range){2, {(size_t)heads * wg, (size_t)splits}, {wg, 1}};
    return clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
}

/* Without windows. */
static double bytes_moved(const clm_shape *shape)
{
    const int *v = shape->v;
    const double position =
        clm_kv_position_bytes(v[CLM_ATTENTION_DECODE_HEAD_DIM], v[CLM_ATTENTION_DECODE_KV_TYPE]);

    return 2.0 * v[CLM_ATTENTION_DECODE_N_KV_HEADS] * (v[CLM_ATTENTION_DECODE_POS] + 1.0) *
           position;
}

static double flops(const clm_shape *shape)
{
    const int *v = shape->v;

    return (v[CLM_ATTENTION_DECODE_POS] + 1.0) * v[CLM_ATTENTION_DECODE_N_HEADS] *
           (4.0 * v[CLM_ATTENTION_DECODE_HEAD_DIM] + 5.0);
}

/* Packed q, k, v with `gap` columns in front, results with `front` floats. */
#define SHAPE(...) SHAPE_BEHIND(0, __VA_ARGS__)
#define SHAPE_BEHIND(front, gap, heads, kv, n, ctx, pos, type, rope, splits, alibi)                \
    {                                                                                              \
        .v = {gap,                                                                                 \
              (gap) + (heads) * (n),                                                               \
              (gap) + ((heads) + (kv)) * (n),                                                      \
              heads,                                                                               \
              kv,                                                                                  \
              n,                                                                                   \
              ctx,                                                                                 \
              type,                                                                                \
              rope,                                                                                \
              splits,                                                                              \
              pos,                                                                                 \
              front},                                                                              \
        .f = {alibi},                                                                              \
    }
static const clm_shape k_test[] = {
    /* gap, heads, kv heads, head dim, ctx, pos, type, rope, splits, alibi; few pairs of head dim, type
     * and splits, for each is a build */
    SHAPE(0, 6, 6, 16, 70, 66, CLM_CACHE_F16, 0, 2, 1),
    SHAPE_BEHIND(11, 3, 6, 3, 16, 70, 69, CLM_CACHE_F16, 0, 2, 1),
    SHAPE(0, 1, 1, 16, 1, 0, CLM_CACHE_F16, 0, 2, 1),
    SHAPE(0, 8, 8, 16, 530, 512, CLM_CACHE_F16, 0, 2, 1),
    SHAPE(0, 8, 2, 16, 257, 256, CLM_CACHE_F16, 0, 2, 0),
    SHAPE(0, 8, 4, 128, 400, 331, CLM_CACHE_F16, 0, 1, 1),
    SHAPE(0, 40, 40, 16, 64, 63, CLM_CACHE_F16, 0, 2, 1),
    SHAPE(0, 5, 5, 80, 200, 129, CLM_CACHE_F16, 80, 1, 0),
    SHAPE(0, 6, 2, 20, 65, 64, CLM_CACHE_F32, 10, 4, 0),
    SHAPE(0, 6, 2, 20, 300, 271, CLM_CACHE_F32, 10, 4, 1),
    SHAPE(1, 6, 3, 7, 66, 65, CLM_CACHE_I8, 0, 2, 1),
    SHAPE(0, 8, 8, 128, 260, 200, CLM_CACHE_I8, 0, 4, 1),
};
static const clm_shape k_tune[] = {
    SHAPE(0, 40, 40, 128, 4096, 511, CLM_CACHE_F16, 0, 1, 1),
    SHAPE(0, 40, 40, 128, 4096, 4095, CLM_CACHE_F16, 0, 1, 1),
    SHAPE(0, 40, 40, 128, 4096, 4095, CLM_CACHE_F16, 0, 16, 1),
    SHAPE(0, 40, 40, 128, 4096, 4095, CLM_CACHE_I8, 0, 1, 1),
    SHAPE(0, 40, 40, 128, 4096, 4095, CLM_CACHE_F16, 128, 1, 0),
};

/* l and acc are sums of up to some hundred terms of at most 1, each wrong by what its score is wrong by
 * (|score| < 20: 4e-6, as in op_attention.c); keys that are left out weigh less than 1e-7. Cached
 * elements are far apart, and their rounding is decided. */
const clm_op_desc clm_op_attention_decode = {
    .name = "attention_decode",
    .entry = "attention_decode",
    .dims = k_dims,
    .n_dims = CLM_ATTENTION_DECODE_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_attention_decode,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .may_skip = clm_attention_may_skip,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 3e-5f,
    .rtol = 1e-5f,
};
