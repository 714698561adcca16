/* runtime/ops/op_act_quant.c: see op_act_quant.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_act_quant.h"

#include "runtime/ops/act.h"
#include "runtime/ops/fill.h"
#include "runtime/ops/op_gemm.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

enum { SIZE_LIMIT = 1 << 29, MAX_PANEL = 64 };

static const char *const k_dims[CLM_ACT_QUANT_DIMS] = {"M", "K", "LD", "OFF", "T"};
static const int k_wg[] = {1, 16, 64, 256};
static const clm_axis k_axes[] = {{"WG", k_wg, CLM_COUNT(k_wg)}};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const int *v = shape->v;

    for (int i = CLM_ACT_QUANT_M; i <= CLM_ACT_QUANT_LD; i++)
        if (v[i] < 1 || v[i] > SIZE_LIMIT) return false;
    return v[CLM_ACT_QUANT_K] % CLM_ACT_GROUP == 0 && v[CLM_ACT_QUANT_OFF] >= 0 &&
           v[CLM_ACT_QUANT_OFF] <= v[CLM_ACT_QUANT_LD] - v[CLM_ACT_QUANT_K] &&
           v[CLM_ACT_QUANT_T] >= 1 && v[CLM_ACT_QUANT_T] <= MAX_PANEL &&
           clm_op_group_fits(caps, params[0]);
}

/* On a CPU a token is one work-item's. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[0] = clm_op_group_choose(&k_axes[0], caps, caps->type == CLM_DEVICE_GPU ? 64 : 1);
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    defs[0] = (clm_define){"WG", params[0]};
    defs[1] = (clm_define){"T", shape->v[CLM_ACT_QUANT_T]};
    return 2;
}

/* Tokens of the panels, those that fill up the last one included. */
static size_t panel_rows(const clm_shape *shape)
{
    const size_t t = (size_t)shape->v[CLM_ACT_QUANT_T];

    return clm_op_ceil_div((size_t)shape->v[CLM_ACT_QUANT_M], t) * t;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const size_t k_count = (size_t)v[CLM_ACT_QUANT_K], rows = panel_rows(&c->shape);
    const size_t count = (size_t)v[CLM_ACT_QUANT_M] * (size_t)v[CLM_ACT_QUANT_LD];
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, count, CLM_CASE_IN);
    const bool ok =
        x != NULL && clm_case_add(c, "q", CLM_ELEM_I8, rows * k_count, CLM_CASE_OUT) != NULL &&
        clm_case_add(c, "d", CLM_ELEM_F32, rows * (k_count / 32), CLM_CASE_OUT) != NULL &&
        clm_case_add(c, "s", CLM_ELEM_I32, rows * (k_count / 32), CLM_CASE_OUT) != NULL;
    if (!ok) return clm_op_fill_nomem("act_quant", err);
    c->bufs[1].atol = 1.0f; /* a value near the middle of two steps may go either way */
    c->bufs[3].atol = 4.0f;
    clm_random_fill(&r, x, count, -2.0f, 2.0f);
    /* A group of zeros, whose scale is zero. */
    for (size_t i = 0; i < 32; i++) x[(size_t)v[CLM_ACT_QUANT_OFF] + i] = 0.0f;
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const size_t wg = (size_t)params[0];
    const clm_arg args[] = {CLM_BUF(bufs[0]),
                            CLM_BUF(bufs[1]),
                            CLM_BUF(bufs[2]),
                            CLM_BUF(bufs[3]),
                            CLM_I32(shape->v[CLM_ACT_QUANT_M]),
                            CLM_I32(shape->v[CLM_ACT_QUANT_K]),
                            CLM_I32(shape->v[CLM_ACT_QUANT_LD]),
                            CLM_I32(shape->v[CLM_ACT_QUANT_OFF])};

    *range = (clm_range){1, {panel_rows(shape) * wg}, {wg}};
    return clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
}

static double bytes_moved(const clm_shape *shape)
{
    return 5.25 * shape->v[CLM_ACT_QUANT_M] * shape->v[CLM_ACT_QUANT_K];
}

static double flops(const clm_shape *shape)
{
    return 4.0 * shape->v[CLM_ACT_QUANT_M] * shape->v[CLM_ACT_QUANT_K];
}

/* The products that take the panels say how wide they are. */
static void fit(clm_shape *shape, const clm_caps *caps)
{
    shape->v[CLM_ACT_QUANT_T] = clm_gemm_panel_for(caps, (size_t)shape->v[CLM_ACT_QUANT_M]);
}

static const clm_shape k_test[] = {
    /* M, K, LD, OFF, T */
    {.v = {1, 32, 32, 0, 1}},   {.v = {1, 5120, 5120, 0, 1}}, {.v = {13, 96, 100, 3, 12}},
    {.v = {5, 224, 224, 0, 4}}, {.v = {25, 160, 161, 1, 12}}, {.v = {3, 96, 192, 96, 16}},
};
static const clm_shape k_tune[] = {
    {.v = {512, 5120, 5120, 0, 12}},
    {.v = {512, 13696, 13696, 0, 12}},
};

/* d is exact but for one division. */
const clm_op_desc clm_op_act_quant = {
    .name = "act_quant",
    .entry = "act_quant",
    .dims = k_dims,
    .n_dims = CLM_ACT_QUANT_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_act_quant,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .fit = fit,
    .atol = 0.0f,
    .rtol = 5e-7f,
};
