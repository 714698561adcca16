/* runtime/ops/op_swiglu.c: see op_swiglu.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_swiglu.h"

#include <string.h>
#include "runtime/ops/act_out.h"
#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"M", "LD", "GATE_OFF", "UP_OFF", "FFN", "TILED", "OUT"};
enum { AXIS_WG, AXIS_VW };
static const int k_wg[] = {1, 8, 64, 256}, k_vw[] = {1, 4, 8, 16};
static const clm_axis k_axes[] = {
    {"WG", k_wg, CLM_COUNT(k_wg)},
    {"VW", k_vw, CLM_COUNT(k_vw)},
};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    return clm_op_group_fits(caps, params[AXIS_WG]) &&
           clm_act_out_fits(shape->v[CLM_SWIGLU_OUT], shape->v[CLM_SWIGLU_FFN], params[AXIS_VW]);
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const bool gpu = caps->type == CLM_DEVICE_GPU;

    params[AXIS_WG] = clm_op_group_choose(&k_axes[AXIS_WG], caps, 64);
    params[AXIS_VW] = !gpu ? 16 : shape->v[CLM_SWIGLU_OUT] == CLM_ACT_OUT_F32 ? 4 : 8;
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    defs[0] = (clm_define){"WG", params[AXIS_WG]};
    defs[1] = (clm_define){"VW", params[AXIS_VW]};
    defs[2] = (clm_define){"TILED", shape->v[CLM_SWIGLU_TILED]};
    defs[3] = (clm_define){"OUT", shape->v[CLM_SWIGLU_OUT]};
    return 4;
}

/* Gates within what a model has, and in each row, where it is long enough, the ends of the range:
 * exp(-gate) overflows, underflows, and is 1. Columns that the kernel must not read are NaN. */
static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    static const float k_ends[] = {-120.0f, 120.0f, 0.0f, -87.5f, -20.0f};
    const int *v = c->shape.v;
    const size_t rows = (size_t)v[CLM_SWIGLU_M], ld = (size_t)v[CLM_SWIGLU_LD];
    const size_t ffn = (size_t)v[CLM_SWIGLU_FFN];
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, rows * ld, CLM_CASE_IN);
    void *out = clm_act_out_add(c, "out", rows, ffn, v[CLM_SWIGLU_OUT]);

    if (x == NULL || out == NULL) return clm_op_fill_nomem("swiglu", err);
    memset(x, 0xFF, rows * ld * sizeof *x);
    for (size_t m = 0; m < rows; m++) {
        float *gate = x + m * ld + v[CLM_SWIGLU_GATE_OFF];
        float *up = x + m * ld + v[CLM_SWIGLU_UP_OFF];

        for (size_t i = 0; i < ffn; i++) {
            const size_t j = v[CLM_SWIGLU_TILED] ? i / 16 * 32 + i % 16 : i;

            gate[j] = i % 3 == 1 && i / 3 < CLM_COUNT(k_ends) ? k_ends[i / 3]
                                                              : clm_random_float(&r, -8.0f, 8.0f);
            up[j] = clm_random_float(&r, -2.0f, 2.0f);
        }
    }
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const clm_arg args[] = {CLM_BUF(bufs[0]),
                            CLM_BUF(bufs[1]),
                            CLM_I32(v[CLM_SWIGLU_LD]),
                            CLM_I32(v[CLM_SWIGLU_GATE_OFF]),
                            CLM_I32(v[CLM_SWIGLU_UP_OFF]),
                            CLM_I32(v[CLM_SWIGLU_FFN]),
                            CLM_I32(v[CLM_SWIGLU_M])};
    const size_t items = clm_op_ceil_div((size_t)v[CLM_SWIGLU_FFN], (size_t)params[AXIS_VW]);
    const size_t rows = clm_act_out_rows((size_t)v[CLM_SWIGLU_M], v[CLM_SWIGLU_OUT]);
    *range = (clm_range){2, {items, rows}, {(size_t)params[AXIS_WG], 1}};
    const clm_status st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);

    return st;
}

static double bytes_moved(const clm_shape *shape)
{
    const double out = (double)clm_elem_bytes(clm_act_out_elem(shape->v[CLM_SWIGLU_OUT]));

    return (8.0 + out) * shape->v[CLM_SWIGLU_M] * shape->v[CLM_SWIGLU_FFN];
}

static double flops(const clm_shape *shape)
{
    return 4.0 * shape->v[CLM_SWIGLU_M] * shape->v[CLM_SWIGLU_FFN];
}

static const clm_shape k_test[] = {
    /* M, LD, GATE_OFF, UP_OFF, FFN, TILED, OUT */
    {.v = {2, 2 * 33, 0, 33, 33}},
    {.v = {1, 2, 0, 1, 1}},
    {.v = {7, 9, 4, 1, 3}},
    {.v = {33, 2 * 15, 0, 15, 15}},
    {.v = {1, 2 * 16, 0, 16, 16}},
    {.v = {2, 40, 3, 21, 17}},
    {.v = {2, 130, 64, 0, 63}},
    {.v = {1, 2 * 64, 0, 64, 64}},
    {.v = {3, 2 * 65, 65, 0, 65}},
    {.v = {2, 2 * 224, 0, 224, 224}},
    {.v = {1, 520, 0, 260, 257}},
    {.v = {2, 2 * 1021, 0, 1021, 1021}},
    {.v = {1, 2 * 1025, 0, 1025, 1025}},
    {.v = {1, 2 * 13696, 0, 13696, 13696}},
    {.v = {2, 64, 0, 16, 17, 1}},
    {.v = {3, 2 * 96 + 5, 3, 19, 96, 1}},
    {.v = {1, 2 * 32, 0, 32, 32, 0, CLM_ACT_OUT_BF16}},
    {.v = {33, 2 * 96 + 5, 3, 19, 96, 1, CLM_ACT_OUT_BF16}},
    {.v = {32, 2 * 64 + 1, 65, 0, 64, 0, CLM_ACT_OUT_SHUFFLED}},
    {.v = {70, 2 * 1312, 0, 16, 1312, 1, CLM_ACT_OUT_SHUFFLED}},
};
static const clm_shape k_tune[] = {
    {.v = {1, 2 * 13696, 0, 13696, 13696}},
    {.v = {64, 2 * 13696, 0, 13696, 13696}},
    {.v = {512, 2 * 13696, 0, 13696, 13696}},
    {.v = {512, 2 * 13696, 0, 16, 13696, 1, CLM_ACT_OUT_BF16}},
    {.v = {512, 2 * 13696, 0, 16, 13696, 1, CLM_ACT_OUT_SHUFFLED}},
};

/* OpenCL grants exp 3 units in the last place (2^-23 each), the division 2.5, two products and the
 * sum 0.5 each. Below 1.2e-38 a device may flush to zero. Panels:
 * clm_act_out_add(). */
const clm_op_desc clm_op_swiglu = {
    .name = "swiglu",
    .entry = "swiglu",
    .dims = k_dims,
    .n_dims = CLM_SWIGLU_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_swiglu,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 5e-38f,
    .rtol = 1e-6f,
};
