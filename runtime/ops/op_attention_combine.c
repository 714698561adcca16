/* runtime/ops/op_attention_combine.c: see op_attention_combine.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_attention_combine.h"

#include <math.h>
#include "runtime/ops/act.h"
#include "runtime/ops/fill.h"
#include "runtime/ops/op_attention_decode.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"N_HEADS", "HEAD_DIM", "SPLITS", "QUANT_OUT"};
enum { AXIS_FAMILY, AXIS_WG };
enum { FAMILY_CPU, FAMILY_GPU };
static const int k_family[] = {FAMILY_CPU, FAMILY_GPU}, k_wg[] = {1, 32, 64, 128};
static const clm_axis k_axes[] = {{"FAMILY", k_family, CLM_COUNT(k_family)},
                                  {"WG", k_wg, CLM_COUNT(k_wg)}};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    (void)shape;
    if (params[AXIS_FAMILY] == FAMILY_CPU) return params[AXIS_WG] == 1;
    return params[AXIS_WG] > 1 && clm_op_group_fits(caps, params[AXIS_WG]) &&
           (size_t)params[AXIS_WG] * (sizeof(float) + sizeof(int)) <= caps->local_mem;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    params[AXIS_FAMILY] = FAMILY_GPU;
    params[AXIS_WG] = clm_op_group_choose(&k_axes[AXIS_WG], caps, 64);
    if (caps->type == CLM_DEVICE_GPU && valid(params, shape, caps)) return;
    params[AXIS_FAMILY] = FAMILY_CPU;
    params[AXIS_WG] = 1;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    defs[0] = (clm_define){"HEAD_DIM", shape->v[CLM_ATTENTION_COMBINE_HEAD_DIM]};
    defs[1] = (clm_define){"SPLITS", shape->v[CLM_ATTENTION_COMBINE_SPLITS]};
    defs[2] = (clm_define){"QUANT_OUT", shape->v[CLM_ATTENTION_COMBINE_QUANT_OUT]};
    for (size_t a = 0; a < CLM_COUNT(k_axes); a++)
        defs[3 + a] = (clm_define){k_axes[a].name, params[a]};
    return 3 + CLM_COUNT(k_axes);
}

/* Whether the rounding of a head to int8 is decided, by 1e-3 of a step. */
static bool is_clear(const float *part, size_t splits, size_t n)
{
    double x[512];

    for (size_t d = 0; d < n; d++) x[d] = clm_ref_attention_combined(part, splits, n, d);
    for (size_t g = 0; g + CLM_ACT_GROUP <= n; g += CLM_ACT_GROUP) {
        double top = 0.0;

        for (size_t i = 0; i < CLM_ACT_GROUP; i++) top = fmax(top, fabs(x[g + i]));
        for (size_t i = 0; i < CLM_ACT_GROUP; i++) {
            const double q = fabs(x[g + i]) / top * 127.0;

            if (fabs(q - floor(q) - 0.5) < 1e-3) return false;
        }
    }
    return true;
}

/* Partial results as attention_decode leaves them: l between 0 and 50, |acc| at most l; the last split
 * of each head is empty. */
static void fill_head(clm_random *r, float *part, size_t splits, size_t n)
{
    do {
        for (size_t s = 0; s < splits; s++) {
            float *one = part + s * (n + 2);
            const float l = s > 0 && s == splits - 1 ? 0.0f : clm_random_float(r, 0.5f, 50.0f);

            one[0] = clm_random_float(r, -20.0f, 20.0f);
            one[1] = l;
            clm_random_fill(r, one + 2, n, -l, l);
            for (size_t d = 0; d < n && l == 0.0f; d++) one[2 + d] = 0.0f;
        }
    } while (!is_clear(part, splits, n));
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const size_t heads = (size_t)v[CLM_ATTENTION_COMBINE_N_HEADS];
    const size_t n = (size_t)v[CLM_ATTENTION_COMBINE_HEAD_DIM];
    const size_t splits = (size_t)v[CLM_ATTENTION_COMBINE_SPLITS], count = heads * n;
    const bool quant = v[CLM_ATTENTION_COMBINE_QUANT_OUT] != 0;
    const clm_case_role out = quant ? CLM_CASE_IN : CLM_CASE_OUT;
    const clm_case_role act = quant ? CLM_CASE_OUT : CLM_CASE_IN;
    const size_t groups = quant ? count / CLM_ACT_GROUP : 1;
    clm_random r = clm_random_init(seed);
    float *part = clm_case_add(c, "part", CLM_ELEM_F32, clm_attention_part_floats(heads, n, splits),
                               CLM_CASE_IN);

    if (part == NULL || clm_case_add(c, "out", CLM_ELEM_F32, quant ? 1 : count, out) == NULL ||
        clm_case_add(c, "q", CLM_ELEM_I8, quant ? count : 1, act) == NULL ||
        clm_case_add(c, "d", CLM_ELEM_F32, groups, act) == NULL ||
        clm_case_add(c, "s", CLM_ELEM_I32, groups, act) == NULL)
        return clm_op_fill_nomem("attention_combine", err);
    for (size_t h = 0; h < heads; h++) fill_head(&r, part + h * splits * (n + 2), splits, n);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const size_t wg = (size_t)params[AXIS_WG], heads = (size_t)v[CLM_ATTENTION_COMBINE_N_HEADS];
    const size_t count = heads * (size_t)v[CLM_ATTENTION_COMBINE_HEAD_DIM];
    const clm_arg args[] = {CLM_BUF(bufs[0]), CLM_BUF(bufs[1]), CLM_BUF(bufs[2]),
                            CLM_BUF(bufs[3]), CLM_BUF(bufs[4]), CLM_I32(count)};

    if (v[CLM_ATTENTION_COMBINE_QUANT_OUT] != 0 &&
        v[CLM_ATTENTION_COMBINE_HEAD_DIM] % CLM_ACT_GROUP != 0)
        return clm_fail(err, CLM_E_INTERNAL, "attention_combine: heads of %d elements as int8",
                        v[CLM_ATTENTION_COMBINE_HEAD_DIM]);
    *range = (clm_range){1, {params[AXIS_FAMILY] == FAMILY_CPU ? heads : count}, {wg}};
    return clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
}

static double bytes_moved(const clm_shape *shape)
{
    const double count = (double)shape->v[CLM_ATTENTION_COMBINE_N_HEADS] *
                         (double)shape->v[CLM_ATTENTION_COMBINE_HEAD_DIM];

    return 4.0 * count * (shape->v[CLM_ATTENTION_COMBINE_SPLITS] + 1.0);
}

static double flops(const clm_shape *shape)
{
    return bytes_moved(shape) / 2.0;
}

#define SHAPE(...)                                                                                 \
    {                                                                                              \
        .v = {__VA_ARGS__},                                                                        \
    }
static const clm_shape k_test[] = {
    SHAPE(3, 16, 2, 0),  SHAPE(1, 1, 1, 0),    SHAPE(5, 7, 2, 0),   SHAPE(40, 128, 2, 0),
    SHAPE(3, 80, 16, 0), SHAPE(40, 128, 2, 1), SHAPE(5, 32, 16, 1), SHAPE(3, 96, 1, 1),
};
static const clm_shape k_tune[] = {
    SHAPE(40, 128, 1, 1),
    SHAPE(40, 128, 16, 1),
};

/* Quotients of sums of at most 32 products; the int8 levels of the test data are decided clearly. */
const clm_op_desc clm_op_attention_combine = {
    .name = "attention_combine",
    .entry = "attention_combine",
    .dims = k_dims,
    .n_dims = CLM_ATTENTION_COMBINE_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_attention_combine,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 1e-5f,
    .rtol = 1e-5f,
};
