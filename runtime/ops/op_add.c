/* runtime/ops/op_add.c: see op_add.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_add.h"

#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"COUNT"};
enum { AXIS_WG, AXIS_VW };
static const int k_wg[] = {1, 8, 64, 256}, k_vw[] = {1, 4, 16};
static const clm_axis k_axes[] = {
    {"WG", k_wg, CLM_COUNT(k_wg)},
    {"VW", k_vw, CLM_COUNT(k_vw)},
};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    (void)shape;
    return clm_op_group_fits(caps, params[AXIS_WG]);
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const bool gpu = caps->type == CLM_DEVICE_GPU;

    (void)shape;
    params[AXIS_WG] = clm_op_group_choose(&k_axes[AXIS_WG], caps, 64);
    params[AXIS_VW] = gpu ? 4 : 16;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    (void)shape;
    defs[0] = (clm_define){"WG", params[AXIS_WG]};
    defs[1] = (clm_define){"VW", params[AXIS_VW]};
    return 2;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const size_t count = (size_t)c->shape.v[CLM_ADD_COUNT];
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, count, CLM_CASE_INOUT);
    float *y = clm_case_add(c, "y", CLM_ELEM_F32, count, CLM_CASE_IN);

    if (x == NULL || y == NULL) return clm_op_fill_nomem("add", err);
    clm_random_fill(&r, x, count, -8.0f, 8.0f);
    clm_random_fill(&r, y, count, -2.0f, 2.0f);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const clm_arg args[] = {CLM_BUF(bufs[0]), CLM_BUF(bufs[1]), CLM_I32(shape->v[CLM_ADD_COUNT])};
    const size_t items = clm_op_ceil_div((size_t)shape->v[CLM_ADD_COUNT], (size_t)params[AXIS_VW]);
    *range = (clm_range){1, {items}, {(size_t)params[AXIS_WG]}};
    const clm_status st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);

    return st;
}

static double bytes_moved(const clm_shape *shape)
{
    return 12.0 * shape->v[CLM_ADD_COUNT];
}

static double flops(const clm_shape *shape)
{
    return shape->v[CLM_ADD_COUNT];
}

static const clm_shape k_test[] = {
    {.v = {130}},  {.v = {1}},    {.v = {2}},    {.v = {3}},    {.v = {4}},    {.v = {7}},
    {.v = {15}},   {.v = {16}},   {.v = {17}},   {.v = {63}},   {.v = {64}},   {.v = {65}},
    {.v = {255}},  {.v = {256}},  {.v = {257}},  {.v = {1023}}, {.v = {1024}}, {.v = {1025}},
    {.v = {4093}}, {.v = {4097}}, {.v = {5120}},
};
static const clm_shape k_tune[] = {{.v = {5120}}, {.v = {64 * 5120}}, {.v = {512 * 5120}}};

/* One rounded addition: at most one unit in the last place, and that only where a device does not
 * round to nearest. */
const clm_op_desc clm_op_add = {
    .name = "add",
    .entry = "add",
    .dims = k_dims,
    .n_dims = CLM_ADD_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_add,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 0.0f,
    .rtol = 1.2e-7f,
};
