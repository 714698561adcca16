/* runtime/ops/op_argmax.c: see op_argmax.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_argmax.h"

#include <math.h>
#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"N", "OFF", "OUT_OFF"};
enum { AXIS_WG, AXIS_VW };
static const int k_wg[] = {1, 16, 64, 256}, k_vw[] = {1, 4, 16};
static const clm_axis k_axes[] = {
    {"WG", k_wg, CLM_COUNT(k_wg)},
    {"VW", k_vw, CLM_COUNT(k_vw)},
};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    (void)shape;
    return clm_op_group_fits(caps, params[AXIS_WG]) &&
           (size_t)params[AXIS_WG] * 8 <= caps->local_mem;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const bool gpu = caps->type == CLM_DEVICE_GPU;

    (void)shape;
    params[AXIS_WG] = clm_op_group_choose(&k_axes[AXIS_WG], caps, gpu ? 256 : 1);
    params[AXIS_VW] = gpu ? 4 : 16;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    (void)shape;
    defs[0] = (clm_define){"WG", params[AXIS_WG]};
    defs[1] = (clm_define){"VW", params[AXIS_VW]};
    return 2;
}

/* Few distinct values, so that there are ties, and a NaN now and then; what lies outside the
 * range is larger than all. */
static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const size_t n = (size_t)c->shape.v[CLM_ARGMAX_N], off = (size_t)c->shape.v[CLM_ARGMAX_OFF];
    const size_t out_count = (size_t)c->shape.v[CLM_ARGMAX_OUT_OFF] + 2;
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, off + n + 3, CLM_CASE_IN);
    void *out = clm_case_add(c, "out", CLM_ELEM_I32, out_count, CLM_CASE_OUT);

    if (x == NULL || out == NULL) return clm_op_fill_nomem("argmax", err);
    for (size_t i = 0; i < off + n + 3; i++) {
        if (i < off || i >= off + n)
            x[i] = 1e30f;
        else if (clm_random_bits(&r) % 16 == 0)
            x[i] = NAN;
        else
            x[i] = (float)(clm_random_bits(&r) % 37) - 40.0f;
    }
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const clm_arg args[] = {CLM_BUF(bufs[0]), CLM_BUF(bufs[1]), CLM_I32(v[CLM_ARGMAX_OFF]),
                            CLM_I32(v[CLM_ARGMAX_N]), CLM_I32(v[CLM_ARGMAX_OUT_OFF])};
    const size_t wg = (size_t)params[AXIS_WG];
    *range = (clm_range){1, {wg}, {wg}};
    const clm_status st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);

    return st;
}

static double bytes_moved(const clm_shape *shape)
{
    return 4.0 * shape->v[CLM_ARGMAX_N];
}

static double flops(const clm_shape *shape)
{
    return shape->v[CLM_ARGMAX_N];
}

static const clm_shape k_test[] = {
    /* N, OFF, OUT_OFF */
    {.v = {130, 3, 1}},  {.v = {1, 0, 0}},         {.v = {2, 5, 0}},    {.v = {3, 0, 2}},
    {.v = {7, 1, 0}},    {.v = {15, 0, 0}},        {.v = {16, 16, 0}},  {.v = {17, 0, 3}},
    {.v = {31, 0, 0}},   {.v = {63, 0, 0}},        {.v = {64, 0, 0}},   {.v = {65, 0, 0}},
    {.v = {255, 0, 0}},  {.v = {257, 257, 1}},     {.v = {1021, 0, 0}}, {.v = {4096, 4096, 1}},
    {.v = {4097, 0, 0}}, {.v = {64000, 64000, 0}},
};
static const clm_shape k_tune[] = {{.v = {64000, 0, 0}}};

/* An index is right or wrong. */
const clm_op_desc clm_op_argmax = {
    .name = "argmax",
    .entry = "argmax",
    .dims = k_dims,
    .n_dims = CLM_ARGMAX_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_argmax,
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
