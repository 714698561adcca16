/* runtime/ops/op_linear.c: see op_linear.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_linear.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/ops/act.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/weight_case.h"

/* Bound of every size, so that sums of two of them are ints. */
enum { SIZE_LIMIT = 1 << 29 };

enum { FAMILY_CPU, FAMILY_GPU };
enum { VENDOR_INTEL = 0x8086 };
enum { AXIS_FAMILY, AXIS_STREAMS, AXIS_AHEAD, AXIS_WG, AXIS_MAGIC, AXIS_DOT };

static const int k_families[] = {FAMILY_CPU, FAMILY_GPU};
static const int k_streams[] = {1, 2, 4, 8};
static const int k_ahead[] = {0, 2, 3, 4, 8}; /* KB */
static const int k_wg[] = {64, 256, 512};
static const int k_magic[] = {0, 1};

static const clm_axis k_axes[] = {
    [AXIS_FAMILY] = {"FAMILY", k_families, CLM_COUNT(k_families)},
    [AXIS_STREAMS] = {"STREAMS", k_streams, CLM_COUNT(k_streams)},
    [AXIS_AHEAD] = {"AHEAD", k_ahead, CLM_COUNT(k_ahead)},
    [AXIS_WG] = {"WG", k_wg, CLM_COUNT(k_wg)},
    [AXIS_MAGIC] = {"MAGIC", k_magic, CLM_COUNT(k_magic)},
    [AXIS_DOT] = {"DOT", clm_op_dots, CLM_DOT_COUNT},
};

static const char *const k_dims[CLM_LINEAR_DIMS] = {
    "N", "K", "ROW0", "N_PART", "FORMAT", "GROUP", "HAS_MIN", "ACT", "OUT_ACT", "NORM", "EPILOGUE",
};

static clm_weight_layout layout_of(const clm_shape *shape)
{
    const int *v = shape->v;

    return clm_weight_layout_of(v[CLM_LINEAR_FORMAT], v[CLM_LINEAR_N], v[CLM_LINEAR_K],
                                v[CLM_LINEAR_GROUP], v[CLM_LINEAR_HAS_MIN]);
}

static bool flag(int v)
{
    return v == 0 || v == 1;
}

static bool shape_legal(const clm_shape *shape)
{
    const int *v = shape->v;
    const clm_weight_layout w = layout_of(shape);

    if (v[CLM_LINEAR_N] < 1 || v[CLM_LINEAR_N] > SIZE_LIMIT || v[CLM_LINEAR_K] < 1 ||
        v[CLM_LINEAR_K] > SIZE_LIMIT || v[CLM_LINEAR_GROUP] < 0 || !clm_weight_legal(&w))
        return false;
    if (v[CLM_LINEAR_ROW0] < 0 || v[CLM_LINEAR_ROW0] > SIZE_LIMIT ||
        (v[CLM_LINEAR_EPILOGUE] != CLM_LINEAR_STORE &&
         v[CLM_LINEAR_ROW0] % CLM_LINEAR_SUM_ROWS != 0))
        return false;
    if (!flag(v[CLM_LINEAR_ACT]) || !flag(v[CLM_LINEAR_OUT_ACT]) || !flag(v[CLM_LINEAR_NORM]) ||
        v[CLM_LINEAR_HAS_MIN] < CLM_MIN_NONE || v[CLM_LINEAR_HAS_MIN] > CLM_MIN_STEPS ||
        v[CLM_LINEAR_EPILOGUE] < CLM_LINEAR_STORE || v[CLM_LINEAR_EPILOGUE] > CLM_LINEAR_SWIGLU)
        return false;
    if (v[CLM_LINEAR_NORM] && (v[CLM_LINEAR_N_PART] < 1 || v[CLM_LINEAR_N_PART] > SIZE_LIMIT))
        return false;
    if (v[CLM_LINEAR_ACT] && !clm_weight_quantised(w.format)) return false;
    if (!clm_weight_for_all(&w)) return false;
    if (v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_STORE) return v[CLM_LINEAR_OUT_ACT] == 0;
    if (v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_SWIGLU)
        return v[CLM_LINEAR_N] % (v[CLM_LINEAR_OUT_ACT] ? 64 : 32) == 0 &&
               v[CLM_LINEAR_ROW0] % (v[CLM_LINEAR_OUT_ACT] ? 64 : 32) == 0;
    return !v[CLM_LINEAR_OUT_ACT] || v[CLM_LINEAR_N] % CLM_ACT_GROUP == 0;
}

/* Tiles of 16 rows that make whole groups of outputs. */
static int least_tiles(const clm_shape *shape)
{
    if (shape->v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_STORE) return 1;
    return shape->v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_SWIGLU && shape->v[CLM_LINEAR_OUT_ACT] ? 4
                                                                                              : 2;
}

/* LINEAR_TILES of cl/linear.cl: tiles of a work-item on a CPU, of a group on a GPU. */
static int tiles_at_once(const clm_shape *shape, const int *params)
{
    const int least = least_tiles(shape);
    int tiles = params[AXIS_STREAMS];

    if (tiles < 2) tiles = 2;
    return tiles > least ? tiles : least;
}

/* Bytes of local memory of a work-group: LINEAR_LOCAL of cl/linear_group.cl. */
static size_t group_local(const clm_shape *shape, const int *params)
{
    const int format = shape->v[CLM_LINEAR_FORMAT];
    const int lanes = format == CLM_FORMAT_F16 || format == CLM_FORMAT_BF16 ? 2 : 4;
    const int tiles = tiles_at_once(shape, params), rows = tiles * CLM_TILE_ROWS;
    const int split = params[AXIS_WG] / lanes * params[AXIS_STREAMS] / tiles;

    return (size_t)(rows * (split + 1) + params[AXIS_WG] + 2 * rows) * sizeof(float);
}

/* Whether quantised weights are multiplied by floats. */
static bool makes_floats(const clm_shape *shape)
{
    return clm_weight_quantised((clm_weight_format)shape->v[CLM_LINEAR_FORMAT]) &&
           !shape->v[CLM_LINEAR_ACT];
}

/* Whether family 1 runs on the device. The dot products of 16 rows are the other family's. */
static bool group_valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    if (params[AXIS_STREAMS] > 2 || params[AXIS_AHEAD]) return false;
    if (params[AXIS_MAGIC] && !makes_floats(shape)) return false;
    if (clm_dot_of_cpu((clm_dot)params[AXIS_DOT])) return false;
    return clm_op_group_fits(caps, params[AXIS_WG]) &&
           group_local(shape, params) <= caps->local_mem;
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    if (!shape_legal(shape)) return false;
    if (params[AXIS_FAMILY] == FAMILY_GPU) {
        if (!group_valid(params, shape, caps)) return false;
    } else if (params[AXIS_STREAMS] < 2 || params[AXIS_WG] != k_wg[0] || params[AXIS_MAGIC] ||
               (params[AXIS_AHEAD] && !clm_dot_of_cpu(caps->dot))) {
        return false; /* one stream is never best on a CPU, the rest is not its own, or clang's for a CPU */
    }
    if (!shape->v[CLM_LINEAR_ACT]) return params[AXIS_DOT] == CLM_DOT_PLAIN;
    return params[AXIS_DOT] == CLM_DOT_PLAIN || params[AXIS_DOT] == (int)caps->dot;
}

/* Work-items of a group on a GPU: more where there are so few groups that each has a unit almost to itself, and
 * has to keep its share of the memory busy. Measured on an H200 (docs/performance.md); what others call a
 * unit can be much smaller. */
static int group_items(const clm_shape *shape, const int *params, const clm_caps *caps)
{
    const size_t rows = (size_t)(CLM_TILE_ROWS * tiles_at_once(shape, params));
    const size_t groups = clm_op_ceil_div((size_t)shape->v[CLM_LINEAR_N], rows);
    const bool few = caps->dot == CLM_DOT_PTX && groups < 2 * (size_t)caps->compute_units;

    return clm_op_group_choose(&k_axes[AXIS_WG], caps, few ? 512 : 256);
}

/* Whether a CPU is better asked for weights ahead, two tiles at a time: measured on Intel's with AVX-512 (on an
 * AMD processor it was worse: docs/performance.md). Products of quantised weights with floats calculate too
 * long for it to matter. */
static bool asks_ahead(const clm_shape *shape, const clm_caps *caps)
{
    return caps->type == CLM_DEVICE_CPU && caps->dot == CLM_DOT_VNNI &&
           caps->vendor_id == VENDOR_INTEL && !makes_floats(shape);
}

/* MAGIC makes nibbles cheaper on most GPUs and dearer on none by much, but bytes dearer: see the counts
 * in docs/performance.md. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const bool act = shape->v[CLM_LINEAR_ACT] != 0;
    const bool gpu = caps->type == CLM_DEVICE_GPU;
    const bool asks = asks_ahead(shape, caps);

    params[AXIS_FAMILY] = gpu ? FAMILY_GPU : FAMILY_CPU;
    params[AXIS_STREAMS] = gpu ? 1 : asks ? 2 : 4;
    params[AXIS_AHEAD] = asks ? 3 : 0;
    params[AXIS_WG] = gpu ? group_items(shape, params, caps) : k_wg[0];
    params[AXIS_MAGIC] = gpu && !act && shape->v[CLM_LINEAR_FORMAT] == CLM_FORMAT_Q4;
    params[AXIS_DOT] = act && !(gpu && clm_dot_of_cpu(caps->dot)) ? (int)caps->dot : CLM_DOT_PLAIN;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout_of(shape);
    size_t n = 0;

    for (size_t i = 0; i < CLM_COUNT(k_axes); i++)
        defs[n++] = (clm_define){k_axes[i].name, params[i]};
    for (int i = CLM_LINEAR_ACT; i <= CLM_LINEAR_EPILOGUE; i++)
        defs[n++] = (clm_define){k_dims[i], shape->v[i]};
    if (!clm_weight_quantised(w.format)) {
        defs[n++] = (clm_define){"FORMAT", (int)w.format};
        return n;
    }
    defs[n++] = (clm_define){"GROUP", clm_weight_group_define(&w)};
    defs[n++] = (clm_define){"HAS_MIN", w.has_min};
    return n;
}

/* ---- test data ------------------------------------------------------------------------------- */

/* A buffer of `count` floats within -1..1 when it is used, of one element otherwise. */
static bool add_floats(clm_case *c, const char *name, size_t count, bool used, float low,
                       clm_random *r)
{
    float *data = clm_case_add(c, name, CLM_ELEM_F32, used ? count : 1, CLM_CASE_IN);

    if (data != NULL && used) clm_random_fill(r, data, count, low, 1.0f);
    return data != NULL;
}

static bool add_input(clm_case *c, size_t k, clm_random *r)
{
    const bool act = c->shape.v[CLM_LINEAR_ACT];
    const size_t groups = k / CLM_ACT_GROUP;
    double *x;
    float *d;
    int32_t *s;
    int8_t *q;

    if (!act)
        return add_floats(c, "x", k, true, -1.0f, r) && add_floats(c, "xd", 0, false, 0, r) &&
               clm_case_add(c, "xs", CLM_ELEM_I32, 1, CLM_CASE_IN) != NULL;
    q = clm_case_add(c, "x", CLM_ELEM_I8, k, CLM_CASE_IN);
    d = clm_case_add(c, "xd", CLM_ELEM_F32, groups, CLM_CASE_IN);
    s = clm_case_add(c, "xs", CLM_ELEM_I32, groups, CLM_CASE_IN);
    if (q == NULL || d == NULL || s == NULL) return false;
    x = malloc(k * sizeof *x);
    if (x == NULL) return false;
    for (size_t i = 0; i < k; i++) x[i] = (double)clm_random_float(r, -1.0f, 1.0f);
    clm_ref_act_store(x, groups, q, d, s);
    free(x);
    return true;
}

static bool add_output(clm_case *c, size_t end)
{
    const bool act = c->shape.v[CLM_LINEAR_OUT_ACT];
    const size_t count = c->shape.v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_SWIGLU ? end / 2 : end;
    const clm_case_role role =
        c->shape.v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_STORE ? CLM_CASE_IN : CLM_CASE_OUT;
    const size_t groups = act ? count / CLM_ACT_GROUP : 1;
    const clm_case_role group_role = act ? CLM_CASE_OUT : CLM_CASE_IN;
    bool ok = clm_case_add(c, "out", act ? CLM_ELEM_I8 : CLM_ELEM_F32, count, role) != NULL &&
              clm_case_add(c, "out_d", CLM_ELEM_F32, groups, group_role) != NULL &&
              clm_case_add(c, "out_s", CLM_ELEM_I32, groups, group_role) != NULL;

    if (ok && act) { /* a value near the middle of two steps may go either way */
        c->bufs[CLM_LINEAR_OUT].atol = 1.0f;
        c->bufs[CLM_LINEAR_OUT_S].atol = 4.0f;
    }
    return ok;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const clm_weight_layout w = layout_of(&c->shape);
    const size_t end = w.rows + (size_t)v[CLM_LINEAR_ROW0];
    const bool residual = v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_RESIDUAL;
    const clm_case_role y_role = residual                                      ? CLM_CASE_INOUT
                                 : v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_SWIGLU ? CLM_CASE_IN
                                                                               : CLM_CASE_OUT;
    clm_random r = clm_random_init(seed);
    clm_status st = clm_weight_case_add(c, &w, false, 1.0f / sqrtf((float)w.columns), &r, err);
    float *y = NULL;
    bool ok;

    if (st != CLM_OK) return st;
    ok = add_input(c, w.columns, &r) &&
         add_floats(c, "part", (size_t)v[CLM_LINEAR_N_PART], v[CLM_LINEAR_NORM], 0.1f, &r);
    if (ok) y = clm_case_add(c, "y", CLM_ELEM_F32, y_role == CLM_CASE_IN ? 1 : end, y_role);
    ok = y != NULL && add_floats(c, "gamma", end, residual, -1.0f, &r) && add_output(c, end) &&
         clm_case_add(c, "part_out", CLM_ELEM_F32,
                      residual ? clm_op_ceil_div(end, CLM_LINEAR_SUM_ROWS) : 1,
                      residual ? CLM_CASE_OUT : CLM_CASE_IN) != NULL;
    if (!ok) return clm_op_fill_nomem("linear", err);
    if (residual) clm_random_fill(&r, y, end, -1.0f, 1.0f);
    return CLM_OK;
}

/* ---- launch ---------------------------------------------------------------------------------- */

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const size_t rows = (size_t)(CLM_TILE_ROWS * tiles_at_once(shape, params));
    const size_t parts = clm_op_ceil_div((size_t)shape->v[CLM_LINEAR_N], rows);
    const size_t wg = params[AXIS_FAMILY] == FAMILY_GPU ? (size_t)params[AXIS_WG] : 1;
    clm_arg args[CLM_LINEAR_BUFFERS + 5];
    size_t n = 0;

    for (; n < CLM_LINEAR_BUFFERS; n++) args[n] = CLM_BUF(bufs[n]);
    for (int i = CLM_LINEAR_N; i <= CLM_LINEAR_N_PART; i++) args[n++] = CLM_I32(shape->v[i]);
    args[n++] = CLM_F32(shape->f[0]);
    *range = (clm_range){1, {parts * wg}, {wg}};
    return clm_kernel_set_args(kernel, args, n, err);
}

static double bytes_moved(const clm_shape *shape)
{
    const clm_weight_layout w = layout_of(shape);

    return clm_weight_bytes(&w) + 4.0 * (double)w.columns + 4.0 * (double)w.rows;
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_LINEAR_N] * shape->v[CLM_LINEAR_K];
}

static clm_arithmetic arithmetic(const clm_shape *shape)
{
    return shape->v[CLM_LINEAR_ACT] ? CLM_ARITHMETIC_INT8 : CLM_ARITHMETIC_FLOAT;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

#define Q4 CLM_FORMAT_Q4
#define Q8 CLM_FORMAT_Q8
/* N, K, ROW0, N_PART, FORMAT, GROUP, HAS_MIN, ACT, OUT_ACT, NORM, EPILOGUE */
#define SHAPE(...)                                                                                 \
    {                                                                                              \
        .v = {__VA_ARGS__}, .f = { 1e-5f }                                                         \
    }

/* Every kind of input, output and end of a matrix, in both block formats. */
#define BLOCK_SHAPES(F)                                                                            \
    SHAPE(1, 32, 0, 0, F, 32, 0, 1, 0, 0, 0), SHAPE(100, 160, 32, 5, F, 32, 1, 1, 0, 1, 0),        \
        SHAPE(96, 256, 32, 8, F, 128, 0, 1, 1, 1, 1), SHAPE(192, 96, 0, 3, F, 96, 2, 1, 1, 1, 1),  \
        SHAPE(192, 96, 64, 3, F, 0, 0, 1, 1, 0, 2), SHAPE(83, 128, 32, 0, F, 64, 2, 0, 0, 0, 1),   \
        SHAPE(96, 128, 32, 4, F, 0, 1, 0, 0, 1, 2), SHAPE(15, 64, 0, 2, F, 32, 0, 1, 0, 1, 1),     \
        SHAPE(512, 1024, 0, 32, F, 128, 0, 1, 1, 1, 1)
/* Baichuan-13B: query, key and value; output; gate and up; down; vocabulary. */
#define BLOCK_TUNE(F, GROUP, MIN)                                                                  \
    SHAPE(15360, 5120, 0, 160, F, GROUP, MIN, 1, 0, 1, 0),                                         \
        SHAPE(5120, 5120, 0, 0, F, GROUP, MIN, 1, 1, 0, 1),                                        \
        SHAPE(27392, 5120, 0, 160, F, GROUP, MIN, 1, 1, 1, 2),                                     \
        SHAPE(5120, 13696, 0, 0, F, GROUP, MIN, 1, 1, 0, 1),                                       \
        SHAPE(64000, 5120, 0, 160, F, GROUP, MIN, 1, 0, 1, 0)

static const clm_shape k_test_q4[] = {BLOCK_SHAPES(Q4)};
static const clm_shape k_test_q8[] = {
    BLOCK_SHAPES(Q8),
    SHAPE(100, 160, 0, 0, Q8, 16, 1, 1, 0, 0, 0),
    SHAPE(96, 128, 0, 4, Q8, 16, 0, 1, 1, 1, 1),
    SHAPE(64, 96, 0, 3, Q8, 16, 1, 0, 0, 1, 2),
};
static const clm_shape k_test_f16[] = {
    SHAPE(1, 1, 0, 0, CLM_FORMAT_F16, 0, 0, 0, 0, 0, 0),
    SHAPE(100, 37, 32, 2, CLM_FORMAT_F32, 0, 0, 0, 0, 1, 0),
    SHAPE(83, 50, 0, 9, CLM_FORMAT_BF16, 0, 0, 0, 0, 1, 1),
    SHAPE(96, 96, 32, 3, CLM_FORMAT_F16, 0, 0, 0, 1, 1, 1),
    SHAPE(96, 45, 0, 1, CLM_FORMAT_F16, 0, 0, 0, 0, 1, 2),
    SHAPE(128, 64, 64, 0, CLM_FORMAT_BF16, 0, 0, 0, 1, 0, 2),
};
static const clm_shape k_tune_q4[] = {BLOCK_TUNE(Q4, 32, 0), BLOCK_TUNE(Q4, 64, 1)};
static const clm_shape k_tune_q8[] = {BLOCK_TUNE(Q8, 32, 0)};
static const clm_shape k_tune_f16[] = {
    SHAPE(64000, 5120, 0, 160, CLM_FORMAT_F16, 0, 0, 0, 0, 1, 0)};

/* Sums are float, so an error grows with the sum of |x * w|, not with the result, and cancellation
 * may leave a small result. Test data have |x| < 1 and |w| < 1.5 / sqrt(K), hence products of about
 * 0.4 in the mean, times a normalisation's factor of up to 10 or so; ATOL is a hundred thousandth of
 * that, RTOL the same for the larger ones. SwiGLU multiplies two of them. */
#define DESCRIPTOR(NAME, TEST, TUNE)                                                               \
    {                                                                                              \
        .name = NAME, .entry = NAME, .dims = k_dims, .n_dims = CLM_LINEAR_DIMS, .axes = k_axes,    \
        .n_axes = CLM_COUNT(k_axes), .valid = valid, .defaults = defaults, .defines = defines,     \
        .fill = fill, .reference = clm_ref_linear, .bind = bind, .bytes_moved = bytes_moved,       \
        .flops = flops, .arithmetic = arithmetic, .test_shapes = TEST,                             \
        .n_test_shapes = CLM_COUNT(TEST), .tune_shapes = TUNE, .n_tune_shapes = CLM_COUNT(TUNE),   \
        .atol = 5e-5f, .rtol = 2e-5f,                                                              \
    }

const clm_op_desc clm_op_linear_q4 = DESCRIPTOR("linear_q4", k_test_q4, k_tune_q4);
const clm_op_desc clm_op_linear_q8 = DESCRIPTOR("linear_q8", k_test_q8, k_tune_q8);
const clm_op_desc clm_op_linear_f16 = DESCRIPTOR("linear_f16", k_test_f16, k_tune_f16);
