/* runtime/ops/op_rope.c: see op_rope.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_rope.h"

#include <math.h>
#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"M", "LD", "OFF", "N_HEADS", "HEAD_DIM", "ROPE_DIMS", "POS0"};
enum { AXIS_WG, AXIS_VW };
enum { VECTOR_PAIRS = 8 };
static const int k_wg[] = {1, 8, 64, 256}, k_vw[] = {1, VECTOR_PAIRS};
static const clm_axis k_axes[] = {
    {"WG", k_wg, CLM_COUNT(k_wg)},
    {"VW", k_vw, CLM_COUNT(k_vw)},
};

void clm_rope_table(float *cs, size_t n_pos, size_t rope_dims, double base)
{
    const size_t pairs = rope_dims / 2;

    for (size_t pos = 0; pos < n_pos; pos++) {
        for (size_t i = 0; i < pairs; i++) {
            const double angle = (double)pos * pow(base, -2.0 * (double)i / (double)rope_dims);

            cs[(pos * pairs + i) * 2] = (float)cos(angle);
            cs[(pos * pairs + i) * 2 + 1] = (float)sin(angle);
        }
    }
}

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    return clm_op_group_fits(caps, params[AXIS_WG]) &&
           (params[AXIS_VW] == 1 || shape->v[CLM_ROPE_ROPE_DIMS] % (2 * params[AXIS_VW]) == 0);
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const bool vectors =
        caps->type != CLM_DEVICE_GPU && shape->v[CLM_ROPE_ROPE_DIMS] % (2 * VECTOR_PAIRS) == 0;

    params[AXIS_WG] = clm_op_group_choose(&k_axes[AXIS_WG], caps, vectors ? 8 : 64);
    params[AXIS_VW] = vectors ? VECTOR_PAIRS : 1;
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
    const int *v = c->shape.v;
    const size_t rows = (size_t)v[CLM_ROPE_M], n_pos = (size_t)v[CLM_ROPE_POS0] + rows;
    const size_t dims = (size_t)v[CLM_ROPE_ROPE_DIMS], count = rows * (size_t)v[CLM_ROPE_LD];
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, count, CLM_CASE_INOUT);
    float *cs = clm_case_add(c, "cs", CLM_ELEM_F32, n_pos * dims, CLM_CASE_IN);

    if (x == NULL || cs == NULL) return clm_op_fill_nomem("rope", err);
    clm_random_fill(&r, x, count, -2.0f, 2.0f);
    clm_rope_table(cs, n_pos, dims, 10000.0);
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const clm_arg args[] = {CLM_BUF(bufs[0]),
                            CLM_BUF(bufs[1]),
                            CLM_I32(v[CLM_ROPE_LD]),
                            CLM_I32(v[CLM_ROPE_OFF]),
                            CLM_I32(v[CLM_ROPE_N_HEADS]),
                            CLM_I32(v[CLM_ROPE_HEAD_DIM]),
                            CLM_I32(v[CLM_ROPE_ROPE_DIMS]),
                            CLM_I32(v[CLM_ROPE_POS0])};
    const size_t per_head = params[AXIS_VW] == 1 ? (size_t)v[CLM_ROPE_ROPE_DIMS] / 2 : 1;
    const size_t items = (size_t)v[CLM_ROPE_N_HEADS] * per_head;
    *range = (clm_range){2, {items, (size_t)v[CLM_ROPE_M]}, {(size_t)params[AXIS_WG], 1}};
    clm_status st;

    if (v[CLM_ROPE_ROPE_DIMS] % 2 != 0 || v[CLM_ROPE_ROPE_DIMS] > v[CLM_ROPE_HEAD_DIM])
        return clm_fail(err, CLM_E_INTERNAL, "rope: %d rotated elements in heads of %d",
                        v[CLM_ROPE_ROPE_DIMS], v[CLM_ROPE_HEAD_DIM]);
    st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
    return st;
}

static double pairs_of(const clm_shape *shape)
{
    return 0.5 * shape->v[CLM_ROPE_M] * shape->v[CLM_ROPE_N_HEADS] * shape->v[CLM_ROPE_ROPE_DIMS];
}

static double bytes_moved(const clm_shape *shape)
{
    return 16.0 * pairs_of(shape) + 4.0 * shape->v[CLM_ROPE_M] * shape->v[CLM_ROPE_ROPE_DIMS];
}

static double flops(const clm_shape *shape)
{
    return 6.0 * pairs_of(shape);
}

static const clm_shape k_test[] = {
    /* M, LD, OFF, N_HEADS, HEAD_DIM, ROPE_DIMS, POS0 */
    {.v = {2, 3 * 48, 48, 3, 16, 16, 5}},
    {.v = {1, 2, 0, 1, 2, 2, 0}},
    {.v = {1, 7, 0, 1, 7, 6, 1}},
    {.v = {7, 23, 2, 3, 7, 4, 64}},
    {.v = {33, 96, 0, 3, 32, 32, 0}},
    {.v = {2, 3 * 320, 320, 4, 80, 20, 31}},
    {.v = {3, 3 * 320, 320, 4, 80, 32, 31}},
    {.v = {1, 8 * 64 + 2 * 2 * 64, 512, 2, 64, 64, 256}},
    {.v = {2, 8 * 16 + 2 * 2 * 16, 0, 8, 16, 16, 63}},
    {.v = {7, 3 * 5 * 128, 0, 5, 128, 128, 0}},
    {.v = {1, 3 * 4096, 4096, 32, 128, 128, 4095}},
};
static const clm_shape k_tune[] = {
    {.v = {1, 3 * 5120, 0, 40, 128, 128, 511}},
    {.v = {1, 3 * 5120, 0, 40, 128, 128, 4095}},
    {.v = {512, 3 * 5120, 0, 40, 128, 128, 0}},
};

/* Two products of at most 2 and their sum, each rounded to 2^-24 relative: 4 * 2^-24 absolute where
 * the two nearly cancel. */
const clm_op_desc clm_op_rope = {
    .name = "rope",
    .entry = "rope",
    .dims = k_dims,
    .n_dims = CLM_ROPE_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_rope,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 4e-7f,
    .rtol = 2e-7f,
};
