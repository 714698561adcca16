/* runtime/ops/op_kv_store.c: see op_kv_store.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_kv_store.h"

#include "runtime/ops/fill.h"
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"M",        "LD",  "K_OFF", "V_OFF",  "N_KV_HEADS",
                                     "HEAD_DIM", "CTX", "POS0",  "KV_TYPE"};
enum { AXIS_WG };
static const int k_wg[] = {1, 16, 64, 128};
static const clm_axis k_axes[] = {{"WG", k_wg, CLM_COUNT(k_wg)}};

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    (void)shape;
    return clm_op_group_fits(caps, params[AXIS_WG]) &&
           (size_t)params[AXIS_WG] * sizeof(float) <= caps->local_mem;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[AXIS_WG] =
        clm_op_group_choose(&k_axes[AXIS_WG], caps, caps->type == CLM_DEVICE_GPU ? 64 : 1);
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    defs[0] = (clm_define){"KV_TYPE", shape->v[CLM_KV_STORE_KV_TYPE]};
    defs[1] = (clm_define){"WG", params[AXIS_WG]};
    return 2;
}

static void fill_head(clm_random *r, float *x, size_t n)
{
    do {
        const float size = clm_random_float(r, 0.01f, 8.0f);

        clm_random_fill(r, x, n, -size, size);
    } while (!clm_kv_case_clear(x, n, CLM_CACHE_I8));
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const size_t rows = (size_t)v[CLM_KV_STORE_M], ld = (size_t)v[CLM_KV_STORE_LD];
    const size_t heads = (size_t)v[CLM_KV_STORE_N_KV_HEADS];
    const size_t n = (size_t)v[CLM_KV_STORE_HEAD_DIM];
    const size_t ctx = (size_t)v[CLM_KV_STORE_CTX];
    const size_t elems = clm_kv_elems(heads, n, ctx), blocks = clm_kv_blocks(heads, ctx);
    const clm_elem type = clm_cache_elem(v[CLM_KV_STORE_KV_TYPE]);
    const bool scaled = type == CLM_ELEM_I8;
    const clm_case_role role = scaled ? CLM_CASE_OUT : CLM_CASE_IN;
    const size_t scales = scaled ? clm_kv_scales(heads, ctx) : 1;
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, rows * ld, CLM_CASE_IN), *kmax;

    if (x == NULL || clm_case_add(c, "k", type, elems, CLM_CASE_OUT) == NULL ||
        clm_case_add(c, "v", type, elems, CLM_CASE_OUT) == NULL ||
        clm_case_add(c, "ks", CLM_ELEM_F16, scales, role) == NULL ||
        clm_case_add(c, "vs", CLM_ELEM_F16, scales, role) == NULL ||
        (kmax = clm_case_add(c, "kmax", CLM_ELEM_F32, blocks, CLM_CASE_INOUT)) == NULL)
        return clm_op_fill_nomem("kv_store", err);
    clm_random_fill(&r, kmax, blocks, 0.0f, 20.0f);
    for (size_t m = 0; m < rows; m++) {
        for (size_t h = 0; h < heads; h++) {
            fill_head(&r, x + m * ld + v[CLM_KV_STORE_K_OFF] + h * n, n);
            fill_head(&r, x + m * ld + v[CLM_KV_STORE_V_OFF] + h * n, n);
        }
    }
    /* A head of zeros has no scale; and elements that half precision cannot hold exactly. */
    for (size_t d = 0; d < n; d++) x[(size_t)v[CLM_KV_STORE_V_OFF] + d] = 0.0f;
    return CLM_OK;
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const int *v = shape->v;
    const size_t pos0 = (size_t)v[CLM_KV_STORE_POS0], rows = (size_t)v[CLM_KV_STORE_M];
    const size_t padded = clm_kv_padded((size_t)v[CLM_KV_STORE_CTX]);
    const clm_arg args[] = {CLM_BUF(bufs[0]),
                            CLM_BUF(bufs[1]),
                            CLM_BUF(bufs[2]),
                            CLM_BUF(bufs[3]),
                            CLM_BUF(bufs[4]),
                            CLM_BUF(bufs[5]),
                            CLM_I32(v[CLM_KV_STORE_LD]),
                            CLM_I32(v[CLM_KV_STORE_K_OFF]),
                            CLM_I32(v[CLM_KV_STORE_V_OFF]),
                            CLM_I32(v[CLM_KV_STORE_HEAD_DIM]),
                            CLM_I32(padded),
                            CLM_I32(pos0),
                            CLM_I32(rows)};
    const size_t wg = (size_t)params[AXIS_WG];
    const size_t blocks = (pos0 + rows - 1) / CLM_KV_BLOCK - pos0 / CLM_KV_BLOCK + 1;
    *range = (clm_range){2, {(size_t)v[CLM_KV_STORE_N_KV_HEADS] * wg, blocks}, {wg, 1}};
    clm_status st;

    if (v[CLM_KV_STORE_POS0] < 0 || v[CLM_KV_STORE_POS0] > v[CLM_KV_STORE_CTX] - v[CLM_KV_STORE_M])
        return clm_fail(err, CLM_E_INTERNAL, "kv_store: %d rows from position %d on, context %d",
                        v[CLM_KV_STORE_M], v[CLM_KV_STORE_POS0], v[CLM_KV_STORE_CTX]);
    st = clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
    return st;
}

static double values_of(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_KV_STORE_M] * shape->v[CLM_KV_STORE_N_KV_HEADS] *
           shape->v[CLM_KV_STORE_HEAD_DIM];
}

static double bytes_moved(const clm_shape *shape)
{
    return values_of(shape) *
           (4.0 + (double)clm_elem_bytes(clm_cache_elem(shape->v[CLM_KV_STORE_KV_TYPE])));
}

static double flops(const clm_shape *shape)
{
    return shape->v[CLM_KV_STORE_KV_TYPE] == CLM_CACHE_I8 ? 4.0 * values_of(shape) : 0.0;
}

/* heads kv heads of n behind q (as wide as both), k and v */
#define SHAPE(m, q, heads, n, ctx, pos0, type)                                                     \
    {                                                                                              \
        .v = { m, (q) + 2 * (heads) * (n), q, (q) + (heads) * (n), heads, n, ctx, pos0, type }     \
    }
#define ALL_TYPES(m, q, heads, n, ctx, pos0)                                                       \
    SHAPE(m, q, heads, n, ctx, pos0, CLM_CACHE_F32),                                               \
        SHAPE(m, q, heads, n, ctx, pos0, CLM_CACHE_F16),                                           \
        SHAPE(m, q, heads, n, ctx, pos0, CLM_CACHE_I8)
static const clm_shape k_test[] = {
    ALL_TYPES(2, 96, 2, 16, 9, 3),       ALL_TYPES(1, 0, 1, 1, 1, 0),
    ALL_TYPES(7, 21, 3, 7, 65, 58),      ALL_TYPES(1, 8 * 64, 2, 64, 64, 63),
    ALL_TYPES(33, 6 * 32, 3, 32, 63, 0), ALL_TYPES(2, 5 * 80, 5, 80, 257, 1),
    ALL_TYPES(1, 5120, 40, 128, 65, 64), ALL_TYPES(3, 63, 2, 63, 8, 0),
    ALL_TYPES(2, 65, 1, 65, 8, 6),       ALL_TYPES(1, 0, 2, 512, 3, 1),
    ALL_TYPES(40, 96, 2, 48, 80, 21),
};
static const clm_shape k_tune[] = {
    SHAPE(1, 5120, 40, 128, 4096, 511, CLM_CACHE_F16),
    SHAPE(512, 5120, 40, 128, 4096, 0, CLM_CACHE_F16),
    SHAPE(1, 5120, 40, 128, 4096, 511, CLM_CACHE_I8),
    SHAPE(512, 5120, 40, 128, 4096, 0, CLM_CACHE_I8),
};

/* Copies and defined roundings; the test data keep away from ties, so every bit of keys and values is
 * decided, and a wrong one is far outside of this tolerance. It is for kmax: a sum of at most 512
 * squares in single precision. */
const clm_op_desc clm_op_kv_store = {
    .name = "kv_store",
    .entry = "kv_store",
    .dims = k_dims,
    .n_dims = CLM_KV_STORE_DIMS,
    .axes = k_axes,
    .n_axes = CLM_COUNT(k_axes),
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_kv_store,
    .bind = bind,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 0.0f,
    .rtol = 1e-5f,
};
