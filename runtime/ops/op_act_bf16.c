/* runtime/ops/op_act_bf16.c: see op_act_bf16.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_act_bf16.h"

#include <math.h>
#include <string.h>

#include "runtime/ops/act_out.h"
#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

enum { SIZE_LIMIT = 1 << 29 };

static const char *const k_dims[CLM_ACT_BF16_DIMS] = {"M", "K", "LD", "OFF", "SHUFFLED"};
static const int k_wg[] = {1, 16, 64, 256};
static const int k_cols[] = {8, 32};
static const clm_axis k_axes[] = {{"WG", k_wg, CLM_COUNT(k_wg)},
                                  {"COLS", k_cols, CLM_COUNT(k_cols)}};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const int *v = shape->v;

    for (int i = CLM_ACT_BF16_M; i <= CLM_ACT_BF16_LD; i++)
        if (v[i] < 1 || v[i] > SIZE_LIMIT) return false;
    if (v[CLM_ACT_BF16_SHUFFLED] < 0 || v[CLM_ACT_BF16_SHUFFLED] > 1) return false;
    return v[CLM_ACT_BF16_K] % CLM_ACT_GROUP == 0 && v[CLM_ACT_BF16_OFF] >= 0 &&
           v[CLM_ACT_BF16_OFF] <= v[CLM_ACT_BF16_LD] - v[CLM_ACT_BF16_K] &&
           clm_op_group_fits(caps, params[0]);
}

/* On a CPU a token is one work-item's. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[0] = clm_op_group_choose(&k_axes[0], caps, caps->type == CLM_DEVICE_GPU ? 64 : 1);
    params[1] = caps->type == CLM_DEVICE_GPU ? 8 : 32;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    defs[0] = (clm_define){"WG", params[0]};
    defs[1] = (clm_define){"COLS", params[1]};
    defs[2] = (clm_define){"SHUFFLED", shape->v[CLM_ACT_BF16_SHUFFLED]};
    return 3;
}

/* Tokens of the panels, those that fill up the last one included. */
static size_t panel_rows(const clm_shape *shape)
{
    return clm_act_out_rows((size_t)shape->v[CLM_ACT_BF16_M], CLM_ACT_OUT_BF16);
}

/* Numbers of any size, and the first few what rounding could get wrong: halves between two steps, to an
 * even and an odd neighbour, their neighbours, the largest float, infinity, NaN, -0. */
static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    static const uint32_t special[] = {0x3F808000, 0x3F818000, 0x3F808001, 0x3F817FFF, 0xBF818000,
                                       0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x80000000};
    const int *v = c->shape.v;
    const size_t count = (size_t)v[CLM_ACT_BF16_M] * (size_t)v[CLM_ACT_BF16_LD];
    const size_t out = panel_rows(&c->shape) * (size_t)v[CLM_ACT_BF16_K];
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, count, CLM_CASE_IN);

    if (x == NULL || clm_case_add(c, "z", CLM_ELEM_BF16, out, CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem("act_bf16", err);
    for (size_t i = 0; i < count; i++)
        x[i] = ldexpf(clm_random_float(&r, -1.0f, 1.0f), (int)(clm_random_bits(&r) % 40) - 20);
    memcpy(x + v[CLM_ACT_BF16_OFF], special, sizeof special);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const size_t wg = (size_t)params[0];
    const clm_arg args[] = {CLM_BUF(bufs[0]),
                            CLM_BUF(bufs[1]),
                            CLM_I32(shape->v[CLM_ACT_BF16_M]),
                            CLM_I32(shape->v[CLM_ACT_BF16_K]),
                            CLM_I32(shape->v[CLM_ACT_BF16_LD]),
                            CLM_I32(shape->v[CLM_ACT_BF16_OFF])};

    *range = (clm_range){1, {panel_rows(shape) * wg}, {wg}};
    return clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
}

static double bytes_moved(const clm_shape *shape)
{
    return 6.0 * shape->v[CLM_ACT_BF16_M] * shape->v[CLM_ACT_BF16_K];
}

static double flops(const clm_shape *shape)
{
    return 1.0 * shape->v[CLM_ACT_BF16_M] * shape->v[CLM_ACT_BF16_K];
}

static const clm_shape k_test[] = {
    /* M, K, LD, OFF, SHUFFLED */
    {.v = {1, 32, 32, 0, 0}},      {.v = {32, 64, 64, 0, 1}},     {.v = {33, 96, 100, 3, 0}},
    {.v = {13, 160, 320, 160, 1}}, {.v = {70, 1312, 1313, 1, 1}},
};
static const clm_shape k_tune[] = {
    {.v = {512, 5120, 5120, 0, 0}},
    {.v = {512, 13696, 13696, 0, 1}},
};

/* Rounding is exact, so it has no tolerance. */
const clm_op_desc clm_op_act_bf16 = {
    .name = "act_bf16",
    .entry = "act_bf16",
    .dims = k_dims,
    .n_dims = CLM_ACT_BF16_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_act_bf16,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 0.0f,
    .rtol = 0.0f,
};
