/* runtime/ops/op_gather.c: see op_gather.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gather.h"

#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"M", "K"};
static const int k_wg[] = {1, 8, 64, 256};
static const clm_axis k_axes[] = {{"WG", k_wg, CLM_COUNT(k_wg)}};

static size_t elements(const clm_shape *shape)
{
    return (size_t)shape->v[CLM_GATHER_M] * (size_t)shape->v[CLM_GATHER_K];
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    return shape->v[CLM_GATHER_M] >= 1 && shape->v[CLM_GATHER_K] >= 1 &&
           clm_op_group_fits(caps, params[0]);
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[0] = clm_op_group_choose(&k_axes[0], caps, 64);
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    (void)shape;
    defs[0] = (clm_define){"WG", params[0]};
    return 1;
}

/* A permutation, made by swaps, of which two places lead outside. */
static void fill_order(clm_random *r, int32_t *order, size_t columns)
{
    for (size_t k = 0; k < columns; k++) order[k] = (int32_t)k;
    for (size_t k = columns; k > 1; k--) {
        const size_t other = clm_random_bits(r) % k;
        const int32_t swap = order[k - 1];

        order[k - 1] = order[other];
        order[other] = swap;
    }
    if (columns > 8) order[3] = -1, order[5] = (int32_t)columns;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const size_t columns = (size_t)c->shape.v[CLM_GATHER_K], count = elements(&c->shape);
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, count, CLM_CASE_IN);
    int32_t *order = clm_case_add(c, "order", CLM_ELEM_I32, columns, CLM_CASE_IN);
    float *y = clm_case_add(c, "y", CLM_ELEM_F32, count, CLM_CASE_OUT);

    if (x == NULL || order == NULL || y == NULL) return clm_op_fill_nomem("gather", err);
    clm_random_fill(&r, x, count, -8.0f, 8.0f);
    fill_order(&r, order, columns);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const clm_arg args[] = {CLM_BUF(bufs[0]), CLM_BUF(bufs[1]), CLM_BUF(bufs[2]),
                            CLM_I32(shape->v[CLM_GATHER_M]), CLM_I32(shape->v[CLM_GATHER_K])};

    *range = (clm_range){2,
                         {(size_t)shape->v[CLM_GATHER_K], (size_t)shape->v[CLM_GATHER_M]},
                         {(size_t)params[0], 1}};
    return clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
}

static double bytes_moved(const clm_shape *shape)
{
    return 8.0 * (double)elements(shape) + 4.0 * shape->v[CLM_GATHER_K];
}

static double flops(const clm_shape *shape)
{
    (void)shape;
    return 0.0;
}

static const clm_shape k_test[] = {
    {.v = {1, 130}}, {.v = {1, 1}},  {.v = {3, 7}},   {.v = {2, 63}},   {.v = {5, 64}},
    {.v = {7, 65}},  {.v = {1, 96}}, {.v = {2, 257}}, {.v = {9, 1025}}, {.v = {1, 13696}},
};
static const clm_shape k_tune[] = {{.v = {1, 5120}}, {.v = {1, 13696}}, {.v = {512, 13696}}};

/* Values are copied. */
const clm_op_desc clm_op_gather = {
    .name = "gather",
    .entry = "gather",
    .dims = k_dims,
    .n_dims = CLM_GATHER_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_gather,
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
