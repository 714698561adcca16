/* runtime/ops/op_gemv.c: see op_gemv.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gemv.h"

#include <math.h>
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/weight_case.h"

/* Bound of every size, so that sums of two of them are ints. */
enum { SIZE_LIMIT = 1 << 29 };

/* FAMILY_CPU: a work-item computes TILES tiles of 16 rows in vectors, KSPLIT is 1. FAMILY_GPU: a
 * work-group of 16 * KSPLIT items computes one tile, TILES is 1, KSPLIT more. */
enum { AXIS_FAMILY, AXIS_KSPLIT, AXIS_TILES };
enum { FAMILY_CPU, FAMILY_GPU };

static const int k_families[] = {FAMILY_CPU, FAMILY_GPU};
static const int k_splits[] = {1, 4, 8, 16};
static const int k_tiles[] = {1, 2, 4};

static const clm_axis k_axes[] = {
    [AXIS_FAMILY] = {"FAMILY", k_families, CLM_COUNT(k_families)},
    [AXIS_KSPLIT] = {"KSPLIT", k_splits, CLM_COUNT(k_splits)},
    [AXIS_TILES] = {"TILES", k_tiles, CLM_COUNT(k_tiles)},
};

static const char *const k_dims[CLM_GEMV_DIMS] = {
    "M", "N", "K", "LDY", "Y_OFF", "FORMAT", "GROUP", "HAS_MIN",
};

static clm_weight_layout layout_of(const clm_shape *shape)
{
    return clm_weight_layout_of(shape->v[CLM_GEMV_FORMAT], shape->v[CLM_GEMV_N],
                                shape->v[CLM_GEMV_K], shape->v[CLM_GEMV_GROUP],
                                shape->v[CLM_GEMV_HAS_MIN]);
}

static bool shape_legal(const clm_shape *shape)
{
    const int *v = shape->v;
    const clm_weight_layout w = layout_of(shape);

    for (int i = 0; i <= CLM_GEMV_LDY; i++) {
        if (v[i] < 1 || v[i] > SIZE_LIMIT) return false;
    }
    return v[CLM_GEMV_Y_OFF] >= 0 && v[CLM_GEMV_Y_OFF] <= v[CLM_GEMV_LDY] - v[CLM_GEMV_N] &&
           v[CLM_GEMV_GROUP] >= 0 && v[CLM_GEMV_HAS_MIN] >= 0 &&
           v[CLM_GEMV_HAS_MIN] <= CLM_MIN_STEPS && clm_weight_legal(&w);
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    if (!shape_legal(shape)) return false;
    if (params[AXIS_FAMILY] == FAMILY_CPU)
        return params[AXIS_KSPLIT] == 1 && params[AXIS_TILES] >= 1;
    return params[AXIS_FAMILY] == FAMILY_GPU && params[AXIS_TILES] == 1 &&
           params[AXIS_KSPLIT] > 1 && clm_op_group_fits(caps, CLM_TILE_ROWS * params[AXIS_KSPLIT]);
}

static bool valid_q4(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    return shape->v[CLM_GEMV_FORMAT] == CLM_FORMAT_Q4 && valid(params, shape, caps);
}

static bool valid_q8(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    return shape->v[CLM_GEMV_FORMAT] == CLM_FORMAT_Q8 && valid(params, shape, caps);
}

static bool valid_f16(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    return !clm_weight_quantised((clm_weight_format)shape->v[CLM_GEMV_FORMAT]) &&
           valid(params, shape, caps);
}

/* Eight splits hide latency well everywhere. A device without room for four has no use for splits:
 * it takes the CPU family, which runs on anything. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[AXIS_FAMILY] = FAMILY_CPU;
    params[AXIS_KSPLIT] = 1;
    params[AXIS_TILES] = 1;
    if (caps->type == CLM_DEVICE_CPU) return;
    for (size_t i = 1; i < CLM_COUNT(k_splits); i++) {
        if (k_splits[i] > 8 || !clm_op_group_fits(caps, CLM_TILE_ROWS * k_splits[i])) continue;
        params[AXIS_FAMILY] = FAMILY_GPU;
        params[AXIS_KSPLIT] = k_splits[i];
    }
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout_of(shape);
    size_t n = 0;

    for (; n < CLM_COUNT(k_axes); n++) defs[n] = (clm_define){k_axes[n].name, params[n]};
    if (!clm_weight_quantised(w.format)) {
        defs[n++] = (clm_define){"FORMAT", (int)w.format};
    } else {
        defs[n++] = (clm_define){"GROUP", clm_weight_group_define(&w)};
        defs[n++] = (clm_define){"HAS_MIN", w.has_min};
    }
    return n;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const size_t tokens = (size_t)c->shape.v[CLM_GEMV_M], ldy = (size_t)c->shape.v[CLM_GEMV_LDY];
    const clm_weight_layout w = layout_of(&c->shape);
    clm_random r = clm_random_init(seed);
    clm_status st = clm_weight_case_add(c, &w, !clm_weight_quantised(w.format),
                                        1.0f / sqrtf((float)w.columns), &r, err);
    float *x;

    if (st != CLM_OK) return st;
    x = clm_case_add(c, "x", CLM_ELEM_F32, tokens * w.columns, CLM_CASE_IN);
    if (x == NULL || clm_case_add(c, "y", CLM_ELEM_F32, tokens * ldy, CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem("gemv", err);
    clm_random_fill(&r, x, tokens * w.columns, -1.0f, 1.0f);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const clm_weight_layout w = layout_of(shape);
    const size_t n_bufs = clm_weight_quantised(w.format) ? 5 : 3;
    const size_t tiles = clm_op_ceil_div(w.rows, CLM_TILE_ROWS);
    *range = (clm_range){.dims = 2,
                         .global = {clm_op_ceil_div(tiles, (size_t)params[AXIS_TILES]),
                                    (size_t)shape->v[CLM_GEMV_M]},
                         .local = {1, 1}};
    clm_arg args[10];
    size_t n = 0;

    if (params[AXIS_FAMILY] == FAMILY_GPU) {
        range->local[0] = (size_t)CLM_TILE_ROWS * (size_t)params[AXIS_KSPLIT];
        range->global[0] = tiles * range->local[0];
    }
    for (; n < n_bufs; n++) args[n] = CLM_BUF(bufs[n]);
    for (int i = CLM_GEMV_M; i <= CLM_GEMV_Y_OFF; i++) args[n++] = CLM_I32(shape->v[i]);
    return clm_kernel_set_args(kernel, args, n, err);
}

static double bytes_moved(const clm_shape *shape)
{
    const clm_weight_layout w = layout_of(shape);

    return clm_weight_bytes(&w) + 4.0 * shape->v[CLM_GEMV_M] * ((double)w.columns + (double)w.rows);
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_GEMV_M] * shape->v[CLM_GEMV_N] * shape->v[CLM_GEMV_K];
}

/* M, N, K, LDY, Y_OFF, FORMAT, GROUP, HAS_MIN */
#define SHAPE(...)                                                                                 \
    {                                                                                              \
        .v = {__VA_ARGS__},                                                                        \
    }
#define BLOCK_TEST(F)                                                                              \
    SHAPE(1, 1, 32, 1, 0, F, 32, 0), SHAPE(1, 17, 64, 17, 0, F, 32, 0),                            \
        SHAPE(2, 15, 96, 18, 3, F, 32, 1), SHAPE(1, 100, 160, 100, 0, F, 32, 1),                   \
        SHAPE(7, 96, 256, 99, 3, F, 32, 0), SHAPE(1, 512, 1024, 512, 0, F, 32, 0),                 \
        SHAPE(1, 16, 32, 16, 0, F, 16, 0), SHAPE(2, 17, 96, 24, 3, F, 16, 1),                      \
        SHAPE(7, 100, 160, 100, 0, F, 16, 0), SHAPE(1, 96, 256, 99, 3, F, 16, 1),                  \
        SHAPE(1, 15, 64, 15, 0, F, 64, 0), SHAPE(2, 100, 256, 103, 3, F, 64, 1),                   \
        SHAPE(7, 1, 256, 4, 3, F, 64, 0), SHAPE(1, 96, 256, 96, 0, F, 128, 0),                     \
        SHAPE(2, 33, 128, 40, 3, F, 128, 1), SHAPE(1, 17, 32, 17, 0, F, 0, 0),                     \
        SHAPE(7, 16, 96, 16, 0, F, 0, 1), SHAPE(2, 100, 160, 103, 3, F, 0, 0),                     \
        SHAPE(1, 96, 256, 96, 0, F, 0, 1), SHAPE(1, 1, 96, 7, 3, F, 96, 0),                        \
        SHAPE(1, 512, 1024, 520, 3, F, 128, 1), SHAPE(1, 512, 1024, 512, 0, F, 0, 0),              \
        SHAPE(2, 33, 128, 40, 3, F, 128, 2), SHAPE(1, 100, 160, 103, 3, F, 16, 2)
/* Baichuan-13B: query-key-value, attention output, gate and up, down, vocabulary. */
#define BLOCK_TUNE(F)                                                                              \
    SHAPE(1, 15360, 5120, 15360, 0, F, 32, 0), SHAPE(1, 5120, 5120, 5120, 0, F, 32, 0),            \
        SHAPE(1, 27392, 5120, 27392, 0, F, 32, 0), SHAPE(1, 5120, 13696, 5120, 0, F, 32, 0),       \
        SHAPE(1, 64000, 5120, 64000, 0, F, 32, 0)

static const clm_shape k_test_q4[] = {BLOCK_TEST(CLM_FORMAT_Q4)};
static const clm_shape k_test_q8[] = {BLOCK_TEST(CLM_FORMAT_Q8)};
static const clm_shape k_tune_q4[] = {BLOCK_TUNE(CLM_FORMAT_Q4)};
static const clm_shape k_tune_q8[] = {BLOCK_TUNE(CLM_FORMAT_Q8)};

static const clm_shape k_test_f16[] = {
    SHAPE(1, 1, 1, 1, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(2, 17, 7, 20, 3, CLM_FORMAT_F16, 0, 0),
    SHAPE(7, 15, 33, 15, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(1, 100, 96, 103, 3, CLM_FORMAT_F16, 0, 0),
    SHAPE(2, 16, 64, 16, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(1, 512, 1024, 512, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(7, 1, 7, 4, 3, CLM_FORMAT_F32, 0, 0),
    SHAPE(1, 17, 33, 17, 0, CLM_FORMAT_F32, 0, 0),
    SHAPE(2, 96, 96, 99, 3, CLM_FORMAT_F32, 0, 0),
    SHAPE(1, 15, 1, 15, 0, CLM_FORMAT_F32, 0, 0),
    SHAPE(1, 512, 1024, 512, 0, CLM_FORMAT_F32, 0, 0),
    SHAPE(1, 16, 1, 16, 0, CLM_FORMAT_BF16, 0, 0),
    SHAPE(7, 100, 7, 103, 3, CLM_FORMAT_BF16, 0, 0),
    SHAPE(2, 1, 33, 7, 0, CLM_FORMAT_BF16, 0, 0),
    SHAPE(1, 96, 96, 96, 0, CLM_FORMAT_BF16, 0, 0),
    SHAPE(1, 512, 1024, 515, 3, CLM_FORMAT_BF16, 0, 0),
};
/* Layers and vocabularies of small models, and the vocabulary of Baichuan-13B. */
static const clm_shape k_tune_f16[] = {
    SHAPE(1, 2048, 2048, 2048, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(1, 5120, 5120, 5120, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(1, 15360, 5120, 15360, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(1, 5120, 13696, 5120, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(1, 64000, 5120, 64000, 0, CLM_FORMAT_F16, 0, 0),
    SHAPE(1, 5120, 5120, 5120, 0, CLM_FORMAT_BF16, 0, 0),
    SHAPE(1, 2048, 2048, 2048, 0, CLM_FORMAT_F32, 0, 0),
};

/* Sums are float, so an error grows with the sum of |x * w|, not with the result, and cancellation may
 * leave a small result. Test data have |x| < 1 and |w| < 1.5 / sqrt(K), hence results of about 0.4 in
 * the mean; ATOL is a hundred thousandth of that, RTOL the same for the larger ones. */
#define DESCRIPTOR(NAME, VALID, TEST, TUNE)                                                        \
    {                                                                                              \
        .name = NAME, .entry = NAME, .dims = k_dims, .n_dims = CLM_GEMV_DIMS, .axes = k_axes,      \
        .n_axes = CLM_COUNT(k_axes), .valid = VALID, .defaults = defaults, .defines = defines,     \
        .fill = fill, .reference = clm_ref_gemv, .bind = bind, .bytes_moved = bytes_moved,         \
        .flops = flops, .test_shapes = TEST, .n_test_shapes = CLM_COUNT(TEST),                     \
        .tune_shapes = TUNE, .n_tune_shapes = CLM_COUNT(TUNE), .atol = 4e-6f, .rtol = 1e-5f,       \
    }

const clm_op_desc clm_op_gemv_q4 = DESCRIPTOR("gemv_q4", valid_q4, k_test_q4, k_tune_q4);
const clm_op_desc clm_op_gemv_q8 = DESCRIPTOR("gemv_q8", valid_q8, k_test_q8, k_tune_q8);
const clm_op_desc clm_op_gemv_f16 = DESCRIPTOR("gemv_f16", valid_f16, k_test_f16, k_tune_f16);
