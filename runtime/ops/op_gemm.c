/* runtime/ops/op_gemm.c: see op_gemm.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gemm.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/ops/act.h"
#include "runtime/ops/gemm_case.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/weight_case.h"

enum { MAX_PANEL = 64, MAX_FEW = 8, MAX_CPU_TILES = 4 };

enum { FAMILY_CPU, FAMILY_GPU, FAMILY_FEW };
enum { AXIS_FAMILY, AXIS_TILES, AXIS_LANE_T, AXIS_LANE_N, AXIS_WG, AXIS_DOT };

static const int k_families[] = {FAMILY_CPU, FAMILY_GPU, FAMILY_FEW};
static const int k_tiles[] = {1, 2, 4, 8};
static const int k_lane_t[] = {4, 8};
static const int k_lane_n[] = {4, 8};
static const int k_wg[] = {64, 128, 256};

static const clm_axis k_axes[] = {
    [AXIS_FAMILY] = {"FAMILY", k_families, CLM_COUNT(k_families)},
    [AXIS_TILES] = {"TILES", k_tiles, CLM_COUNT(k_tiles)},
    [AXIS_LANE_T] = {"LANE_T", k_lane_t, CLM_COUNT(k_lane_t)},
    [AXIS_LANE_N] = {"LANE_N", k_lane_n, CLM_COUNT(k_lane_n)},
    [AXIS_WG] = {"WG", k_wg, CLM_COUNT(k_wg)},
    [AXIS_DOT] = {"DOT", clm_op_dots, CLM_DOT_COUNT},
};

static const char *const k_dims[CLM_GEMM_DIMS] = {
    "M", "N", "K", "LDY", "Y_OFF", "T", "FORMAT", "GROUP", "HAS_MIN",
};

/* 32 vector registers hold 12 float and 12 integer sums and what else is needed; what fills up a panel costs as much as
 * a token, so fewer take smaller ones, and 13 to 16 two of 8. 16 registers, where a
 * sum takes two, hold 2 and 2, and 4 and 4 are faster still, as weights are unpacked for more tokens. Compilers
 * without vector instructions of their own spill in any case. On GPUs a panel is what a group's work-items share: 32
 * make 8 to 16 work-items for each of its rows. For few tokens a panel of theirs wastes less: a step of several answers,
 * the end of a prompt. Several such panels take no more instructions than one of 32 (a token as many in either), groups
 * that read the same weights run side by side, and on an H200 a third one took 2.2 ms where one of 32 takes 60. */
size_t clm_gemm_panels(const clm_caps *caps, clm_gemm_panel out[CLM_GEMM_PANELS])
{
    static const clm_gemm_panel vnni[] = {{2, 2}, {4, 4}, {8, 8}, {12, 12}, {8, 16}, {12, INT_MAX}},
                                cpu[] = {{2, 2}, {4, INT_MAX}},
                                gpu[] = {{4, 4}, {MAX_FEW, 5 * MAX_FEW}, {32, INT_MAX}};
    const bool wide = caps->dot == CLM_DOT_VNNI, of_cpu = caps->type == CLM_DEVICE_CPU;
    const clm_gemm_panel *sizes = wide ? vnni : of_cpu ? cpu : gpu;
    const size_t n = wide ? CLM_COUNT(vnni) : of_cpu ? CLM_COUNT(cpu) : CLM_COUNT(gpu);

    memcpy(out, sizes, n * sizeof *out);
    return n;
}

int clm_gemm_largest_panel(const clm_caps *caps)
{
    clm_gemm_panel sizes[CLM_GEMM_PANELS];
    const size_t n = clm_gemm_panels(caps, sizes);

    return sizes[n - 1].tokens;
}

int clm_gemm_panel_for(const clm_caps *caps, size_t tokens)
{
    clm_gemm_panel sizes[CLM_GEMM_PANELS];
    size_t i = 0;

    clm_gemm_panels(caps, sizes);
    while (tokens > (size_t)sizes[i].most) i++;
    return sizes[i].tokens;
}

static void fit(clm_shape *shape, const clm_caps *caps)
{
    shape->v[CLM_GEMM_T] = clm_gemm_panel_for(caps, (size_t)shape->v[CLM_GEMM_M]);
}

static clm_weight_layout layout_of(const clm_shape *shape)
{
    const int *v = shape->v;

    return clm_weight_layout_of(v[CLM_GEMM_FORMAT], v[CLM_GEMM_N], v[CLM_GEMM_K], v[CLM_GEMM_GROUP],
                                v[CLM_GEMM_HAS_MIN]);
}

static bool shape_legal(const clm_shape *shape)
{
    const int panel = shape->v[CLM_GEMM_T];
    const clm_weight_layout w = layout_of(shape);

    return panel >= 1 && panel <= MAX_PANEL &&
           clm_gemm_case_legal(shape->v, &w, shape->v[CLM_GEMM_GROUP]);
}

/* Work-items of a group of family 1: along the tokens and along the rows. */
static size_t group_x(const clm_shape *shape, const int *params)
{
    return (size_t)(shape->v[CLM_GEMM_T] / params[AXIS_LANE_T]);
}

static size_t group_y(const int *params)
{
    return (size_t)(CLM_TILE_ROWS * params[AXIS_TILES] / params[AXIS_LANE_N]);
}

/* Whether family 1 runs on the device. The dot products of 16 rows are the CPUs'. */
static bool group_valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const size_t local = 32 * (size_t)(CLM_TILE_ROWS * params[AXIS_TILES] + shape->v[CLM_GEMM_T]);

    return params[AXIS_TILES] >= 4 && shape->v[CLM_GEMM_T] % params[AXIS_LANE_T] == 0 &&
           group_x(shape, params) <= caps->max_item_sizes[0] &&
           group_y(params) <= caps->max_item_sizes[1] &&
           group_x(shape, params) * group_y(params) <= caps->max_group_size &&
           local <= caps->local_mem && params[AXIS_WG] == k_wg[0];
}

/* Whether family 2 does: cl/gemm_few.cl. */
static bool few_valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const size_t wg = (size_t)params[AXIS_WG], tiles = (size_t)params[AXIS_TILES];
    const size_t local =
        (size_t)shape->v[CLM_GEMM_T] * CLM_TILE_ROWS * tiles * (wg / 4 / tiles + 1) * sizeof(float);

    return shape->v[CLM_GEMM_T] % 4 == 0 && shape->v[CLM_GEMM_T] <= MAX_FEW && tiles <= 4 &&
           wg <= caps->max_item_sizes[0] && wg <= caps->max_group_size && local <= caps->local_mem;
}

/* Axes that a family does not have stand at their first value. */
static bool lanes_unused(const int *params)
{
    return params[AXIS_LANE_T] == k_lane_t[0] && params[AXIS_LANE_N] == k_lane_n[0];
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const bool wide = clm_dot_of_cpu((clm_dot)params[AXIS_DOT]);

    if (!shape_legal(shape)) return false;
    if (params[AXIS_FAMILY] != FAMILY_CPU && wide) return false;
    if (params[AXIS_FAMILY] == FAMILY_GPU && !group_valid(params, shape, caps)) return false;
    if (params[AXIS_FAMILY] == FAMILY_FEW &&
        (!lanes_unused(params) || !few_valid(params, shape, caps)))
        return false;
    if (params[AXIS_FAMILY] == FAMILY_CPU &&
        (!lanes_unused(params) || params[AXIS_TILES] > MAX_CPU_TILES || params[AXIS_WG] != k_wg[0]))
        return false;
    return params[AXIS_DOT] == CLM_DOT_PLAIN || params[AXIS_DOT] == (int)caps->dot;
}

/* Work-items of a group of family 2: more where so few groups keep the memory busy, as for linear_* (op_linear.c). With 8
 * tokens registers are too many for that. Predicted, not measured. */
static int few_items(const clm_shape *shape, const clm_caps *caps)
{
    const size_t groups = clm_op_ceil_div((size_t)shape->v[CLM_GEMM_N], CLM_TILE_ROWS);
    const bool small = caps->dot == CLM_DOT_PTX && groups < 4 * (size_t)caps->compute_units;

    return small && shape->v[CLM_GEMM_T] == 4 ? 256 : 128;
}

/* Where registers hold the sums of two tiles, memory is read faster in two streams, and x once for both. */
static int cpu_tiles(const clm_shape *shape, const clm_caps *caps)
{
    return caps->dot == CLM_DOT_VNNI && shape->v[CLM_GEMM_T] <= MAX_FEW ? 2 : 1;
}

/* GPUs take panels of clm_gemm_panels(); their families do not serve every other panel. More than 16 sums
 * of a work-item stay in registers, except with Intel's compiler, which is one of those with DOT khr. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const bool gpu = caps->type == CLM_DEVICE_GPU && shape->v[CLM_GEMM_T] % k_lane_t[0] == 0;
    const bool few = gpu && shape->v[CLM_GEMM_T] <= MAX_FEW;
    const bool wide = clm_dot_of_cpu(caps->dot);

    params[AXIS_FAMILY] = few ? FAMILY_FEW : gpu ? FAMILY_GPU : FAMILY_CPU;
    params[AXIS_TILES] = few ? k_tiles[0] : gpu ? 8 : cpu_tiles(shape, caps);
    params[AXIS_LANE_T] = k_lane_t[0];
    params[AXIS_LANE_N] = gpu && !few && caps->dot != CLM_DOT_KHR ? 8 : k_lane_n[0];
    params[AXIS_WG] = few ? few_items(shape, caps) : k_wg[0];
    params[AXIS_DOT] = gpu && wide ? CLM_DOT_PLAIN : (int)caps->dot;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_weight_layout w = layout_of(shape);
    size_t n = 0;

    for (size_t i = 0; i < CLM_COUNT(k_axes); i++)
        defs[n++] = (clm_define){k_axes[i].name, params[i]};
    defs[n++] = (clm_define){"T", shape->v[CLM_GEMM_T]};
    defs[n++] = (clm_define){"GROUP", clm_weight_group_define(&w)};
    defs[n++] = (clm_define){"HAS_MIN", w.has_min};
    return n;
}

/* Random tokens, quantised one by one and laid into panels. Those that fill up the last panel hold
 * numbers too: a kernel may read them but must not let them reach y. */
static bool add_input(clm_case *c, clm_random *r)
{
    const size_t k_count = (size_t)c->shape.v[CLM_GEMM_K], t_count = (size_t)c->shape.v[CLM_GEMM_T];
    const size_t panels = clm_op_ceil_div((size_t)c->shape.v[CLM_GEMM_M], t_count);
    const size_t groups = k_count / CLM_ACT_GROUP;
    int8_t *q = clm_case_add(c, "x", CLM_ELEM_I8, panels * t_count * k_count, CLM_CASE_IN);
    float *d = clm_case_add(c, "xd", CLM_ELEM_F32, panels * t_count * groups, CLM_CASE_IN);
    int32_t *s = clm_case_add(c, "xs", CLM_ELEM_I32, panels * t_count * groups, CLM_CASE_IN);
    double *x = malloc(k_count * sizeof *x);
    int8_t *row_q = malloc(k_count);
    float *row_d = malloc(groups * sizeof *row_d);
    int32_t *row_s = malloc(groups * sizeof *row_s);
    const bool ok = q != NULL && d != NULL && s != NULL && x != NULL && row_q != NULL &&
                    row_d != NULL && row_s != NULL;

    for (size_t m = 0; m < panels * t_count && ok; m++) {
        const size_t p = m / t_count, t = m % t_count;

        for (size_t k = 0; k < k_count; k++) x[k] = (double)clm_random_float(r, -1.0f, 1.0f);
        clm_ref_act_store(x, groups, row_q, row_d, row_s);
        for (size_t k = 0; k < k_count; k++)
            q[((p * (k_count / 4) + k / 4) * t_count + t) * 4 + k % 4] = row_q[k];
        for (size_t g = 0; g < groups; g++) {
            d[(p * groups + g) * t_count + t] = row_d[g];
            s[(p * groups + g) * t_count + t] = row_s[g];
        }
    }
    free(x);
    free(row_q);
    free(row_d);
    free(row_s);
    return ok;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const clm_weight_layout w = layout_of(&c->shape);
    const size_t count = (size_t)c->shape.v[CLM_GEMM_M] * (size_t)c->shape.v[CLM_GEMM_LDY];
    clm_random r = clm_random_init(seed);
    clm_status st = clm_weight_case_add(c, &w, false, 1.0f / sqrtf((float)w.columns), &r, err);

    if (st != CLM_OK) return st;
    if (!add_input(c, &r)) return clm_op_fill_nomem("gemm", err);
    if (clm_case_add(c, "y", CLM_ELEM_F32, count, CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem("gemm", err);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const size_t panels = clm_op_ceil_div((size_t)v[CLM_GEMM_M], (size_t)v[CLM_GEMM_T]);
    clm_arg args[CLM_GEMM_BUFFERS + 5];
    size_t n = 0;

    for (; n < CLM_GEMM_BUFFERS; n++) args[n] = CLM_BUF(bufs[n]);
    for (int i = CLM_GEMM_M; i <= CLM_GEMM_Y_OFF; i++) args[n++] = CLM_I32(v[i]);
    if (params[AXIS_FAMILY] == FAMILY_FEW) {
        const size_t wg = (size_t)params[AXIS_WG],
                     rows = CLM_TILE_ROWS * (size_t)params[AXIS_TILES];

        *range =
            (clm_range){2, {panels * wg, clm_op_ceil_div((size_t)v[CLM_GEMM_N], rows)}, {wg, 1}};
    } else if (params[AXIS_FAMILY] == FAMILY_GPU) {
        const size_t x = group_x(shape, params), y = group_y(params);
        const size_t rows = (size_t)(CLM_TILE_ROWS * params[AXIS_TILES]);

        *range =
            (clm_range){2, {panels * x, clm_op_ceil_div((size_t)v[CLM_GEMM_N], rows) * y}, {x, y}};
    } else {
        const size_t rows = CLM_TILE_ROWS * (size_t)params[AXIS_TILES];

        *range = (clm_range){2, {panels, clm_op_ceil_div((size_t)v[CLM_GEMM_N], rows)}, {1, 1}};
    }
    return clm_kernel_set_args(kernel, args, n, err);
}

static double bytes_moved(const clm_shape *shape)
{
    const clm_weight_layout w = layout_of(shape);

    return clm_weight_bytes(&w) +
           shape->v[CLM_GEMM_M] * (1.25 * (double)w.columns + 4.0 * (double)w.rows);
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_GEMM_M] * shape->v[CLM_GEMM_N] * shape->v[CLM_GEMM_K];
}

static clm_arithmetic arithmetic(const clm_shape *shape)
{
    (void)shape;
    return CLM_ARITHMETIC_INT8;
}

#define Q4 CLM_FORMAT_Q4
#define Q8 CLM_FORMAT_Q8
/* M, N, K, LDY, Y_OFF, T, FORMAT, GROUP, HAS_MIN */
#define SHAPE(...)                                                                                 \
    {                                                                                              \
        .v = {__VA_ARGS__},                                                                        \
    }
#define TEST_SHAPES(F)                                                                             \
    SHAPE(1, 1, 32, 1, 0, 1, F, 32, 0), SHAPE(13, 33, 96, 40, 3, 12, F, 32, 1),                    \
        SHAPE(24, 100, 256, 100, 0, 12, F, 128, 0), SHAPE(7, 48, 96, 48, 0, 4, F, 0, 2),           \
        SHAPE(5, 17, 64, 17, 0, 16, F, 64, 1), SHAPE(37, 130, 128, 131, 1, 32, F, 64, 1),          \
        SHAPE(65, 83, 160, 90, 7, 12, F, 32, 0), SHAPE(13, 33, 4096, 40, 3, 12, F, 0, 1),          \
        SHAPE(3, 83, 2080, 90, 7, 4, F, 32, 1), SHAPE(21, 100, 2560, 100, 0, 8, F, 128, 2),        \
        SHAPE(2, 33, 96, 40, 3, 2, F, 32, 0), SHAPE(3, 17, 1120, 21, 3, 4, F, 32, 1),              \
        SHAPE(9, 17, 544, 21, 1, 8, F, 32, 2)
/* Baichuan-13B, a prompt of 512: query, key and value; output; gate and up; down. */
#define TUNE_SHAPES(F, GROUP, MIN)                                                                 \
    SHAPE(512, 15360, 5120, 15360, 0, 12, F, GROUP, MIN),                                          \
        SHAPE(512, 5120, 5120, 5120, 0, 12, F, GROUP, MIN),                                        \
        SHAPE(512, 27392, 5120, 27392, 0, 12, F, GROUP, MIN),                                      \
        SHAPE(512, 5120, 13696, 5120, 0, 12, F, GROUP, MIN)

static const clm_shape k_test_q4[] = {TEST_SHAPES(Q4)};
static const clm_shape k_test_q8[] = {TEST_SHAPES(Q8), SHAPE(13, 33, 96, 40, 3, 12, Q8, 16, 1),
                                      SHAPE(7, 33, 96, 40, 3, 8, Q8, 16, 1)};
static const clm_shape k_tune_q4[] = {TUNE_SHAPES(Q4, 32, 0), TUNE_SHAPES(Q4, 64, 1)};
static const clm_shape k_tune_q8[] = {TUNE_SHAPES(Q8, 32, 0)};

/* Float sums of exact integer sums, one for each 32 elements: as good as those of gemv_*. */
#define DESCRIPTOR(NAME, TEST, TUNE)                                                               \
    {                                                                                              \
        .name = NAME, .entry = NAME, .dims = k_dims, .n_dims = CLM_GEMM_DIMS, .axes = k_axes,      \
        .n_axes = CLM_COUNT(k_axes), .valid = valid, .defaults = defaults, .defines = defines,     \
        .fill = fill, .reference = clm_ref_gemm, .bind = bind, .bytes_moved = bytes_moved,         \
        .flops = flops, .arithmetic = arithmetic, .test_shapes = TEST,                             \
        .n_test_shapes = CLM_COUNT(TEST), .tune_shapes = TUNE, .n_tune_shapes = CLM_COUNT(TUNE),   \
        .fit = fit, .atol = 4e-6f, .rtol = 1e-5f,                                                  \
    }

const clm_op_desc clm_op_gemm_q4 = DESCRIPTOR("gemm_q4", k_test_q4, k_tune_q4);
const clm_op_desc clm_op_gemm_q8 = DESCRIPTOR("gemm_q8", k_test_q8, k_tune_q8);
