/* runtime/ops/op_rmsnorm.c: see op_rmsnorm.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_rmsnorm.h"

#include "runtime/ops/act_out.h"
#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"ROWS", "DIM", "X_ROW0", "OUT"};
enum { AXIS_WG, AXIS_VW };
static const int k_wg[] = {1, 16, 64, 256}, k_vw[] = {1, 4, 8, 16};
static const clm_axis k_axes[] = {
    {"WG", k_wg, CLM_COUNT(k_wg)},
    {"VW", k_vw, CLM_COUNT(k_vw)},
};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    if (!clm_act_out_fits(shape->v[CLM_RMSNORM_OUT], shape->v[CLM_RMSNORM_DIM], params[AXIS_VW]))
        return false;
    return clm_op_group_fits(caps, params[AXIS_WG]) &&
           (size_t)params[AXIS_WG] * sizeof(float) <= caps->local_mem;
}

/* On a CPU a row is one work-item's: no barriers, full vectors. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const bool gpu = caps->type == CLM_DEVICE_GPU;

    params[AXIS_WG] = clm_op_group_choose(&k_axes[AXIS_WG], caps, gpu ? 256 : 1);
    params[AXIS_VW] = !gpu ? 16 : shape->v[CLM_RMSNORM_OUT] == CLM_ACT_OUT_F32 ? 4 : 8;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    defs[0] = (clm_define){"WG", params[AXIS_WG]};
    defs[1] = (clm_define){"VW", params[AXIS_VW]};
    defs[2] = (clm_define){"OUT", shape->v[CLM_RMSNORM_OUT]};
    return 3;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const size_t rows = (size_t)c->shape.v[CLM_RMSNORM_ROWS];
    const size_t dim = (size_t)c->shape.v[CLM_RMSNORM_DIM];
    clm_random r = clm_random_init(seed);
    const size_t x_count = ((size_t)c->shape.v[CLM_RMSNORM_X_ROW0] + rows) * dim;
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, x_count, CLM_CASE_IN);
    float *w = clm_case_add(c, "w", CLM_ELEM_F32, dim, CLM_CASE_IN);
    void *y = clm_act_out_add(c, "y", rows, dim, c->shape.v[CLM_RMSNORM_OUT]);

    if (x == NULL || w == NULL || y == NULL) return clm_op_fill_nomem("rmsnorm", err);
    clm_random_fill(&r, x, x_count, -2.0f, 2.0f);
    clm_random_fill(&r, w, dim, 0.25f, 1.75f);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const clm_arg args[] = {CLM_BUF(bufs[0]),
                            CLM_BUF(bufs[1]),
                            CLM_BUF(bufs[2]),
                            CLM_I32(shape->v[CLM_RMSNORM_DIM]),
                            CLM_I32(shape->v[CLM_RMSNORM_X_ROW0]),
                            CLM_I32(shape->v[CLM_RMSNORM_ROWS]),
                            CLM_F32(shape->f[0])};
    const size_t wg = (size_t)params[AXIS_WG];
    *range = (clm_range){
        1,
        {clm_act_out_rows((size_t)shape->v[CLM_RMSNORM_ROWS], shape->v[CLM_RMSNORM_OUT]) * wg},
        {wg}};
    const clm_status st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);

    return st;
}

static double bytes_moved(const clm_shape *shape)
{
    const double dim = shape->v[CLM_RMSNORM_DIM];

    const double out = (double)clm_elem_bytes(clm_act_out_elem(shape->v[CLM_RMSNORM_OUT]));

    return dim * ((4.0 + out) * shape->v[CLM_RMSNORM_ROWS] + 4.0);
}

static double flops(const clm_shape *shape)
{
    return 4.0 * shape->v[CLM_RMSNORM_DIM] * shape->v[CLM_RMSNORM_ROWS];
}

#define SHAPE(rows, dim)                                                                           \
    {                                                                                              \
        .v = {rows, dim}, .f = { 1e-6f }                                                           \
    }
static const clm_shape k_test[] = {
    SHAPE(3, 130),
    SHAPE(1, 1),
    SHAPE(4, 2),
    SHAPE(2, 7),
    SHAPE(1, 15),
    SHAPE(1, 16),
    SHAPE(2, 17),
    SHAPE(1, 63),
    SHAPE(5, 64),
    SHAPE(2, 65),
    SHAPE(33, 96),
    SHAPE(1, 127),
    {.v = {2, 130, 3}, .f = {1e-5f}},
    {.v = {1, 96, 15}, .f = {1e-6f}},
    SHAPE(7, 255),
    SHAPE(1, 256),
    SHAPE(2, 257),
    SHAPE(1, 1023),
    SHAPE(2, 4099),
    SHAPE(2, 5120),
    /* panels */
    {.v = {1, 32, 0, CLM_ACT_OUT_BF16}, .f = {1e-6f}},
    {.v = {33, 96, 0, CLM_ACT_OUT_BF16}, .f = {1e-6f}},
    {.v = {32, 64, 5, CLM_ACT_OUT_SHUFFLED}, .f = {1e-6f}},
    {.v = {70, 1312, 1, CLM_ACT_OUT_SHUFFLED}, .f = {1e-6f}},
};
static const clm_shape k_tune[] = {SHAPE(1, 5120),
                                   SHAPE(64, 5120),
                                   SHAPE(512, 5120),
                                   {.v = {512, 5120, 0, CLM_ACT_OUT_BF16}, .f = {1e-6f}},
                                   {.v = {512, 5120, 0, CLM_ACT_OUT_SHUFFLED}, .f = {1e-6f}}};

/* Sums of up to 5120 squares in single precision, in any order: a relative error of some
 * sqrt(5120) * 2^-24 = 4e-6 at worst, plus division, root and two products. Panels: clm_act_out_add(). */
const clm_op_desc clm_op_rmsnorm = {
    .name = "rmsnorm",
    .entry = "rmsnorm",
    .dims = k_dims,
    .n_dims = CLM_RMSNORM_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_rmsnorm,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 1e-7f,
    .rtol = 1e-5f,
};
