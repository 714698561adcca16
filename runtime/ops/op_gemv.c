/* runtime/ops/op_gemv.c: see op_gemv.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gemv.h"

#include <math.h>
#include "runtime/ops/op_util.h"
#include "runtime/ops/weight_case.h"

/* Bound of every size, so that sums of two of them are ints. */
enum { SIZE_LIMIT = 1 << 29 };

static const int k_families[] = {0, 1};
static const int k_splits[] = {1, 4, 8, 16};
static const int k_tiles[] = {1, 2, 4};

const clm_axis clm_gemv_axes[CLM_GEMV_AXES] = {
    [CLM_GEMV_FAMILY] = {"FAMILY", k_families, CLM_COUNT(k_families)},
    [CLM_GEMV_KSPLIT] = {"KSPLIT", k_splits, CLM_COUNT(k_splits)},
    [CLM_GEMV_TILES] = {"TILES", k_tiles, CLM_COUNT(k_tiles)},
};

const char *const clm_gemv_block_dims[CLM_GEMV_DIMS] = {
    "M", "N", "K", "LDY", "Y_OFF", "GROUP", "HAS_MIN",
};

/* M, N, K, LDY, Y_OFF, GROUP, HAS_MIN */
const clm_shape clm_gemv_test_shapes[CLM_GEMV_TEST_SHAPES] = {
    {.v = {1, 1, 32, 1, 0, 32, 0}},        {.v = {1, 17, 64, 17, 0, 32, 0}},
    {.v = {2, 15, 96, 18, 3, 32, 1}},      {.v = {1, 100, 160, 100, 0, 32, 1}},
    {.v = {7, 96, 256, 99, 3, 32, 0}},     {.v = {1, 512, 1024, 512, 0, 32, 0}},
    {.v = {1, 16, 32, 16, 0, 16, 0}},      {.v = {2, 17, 96, 24, 3, 16, 1}},
    {.v = {7, 100, 160, 100, 0, 16, 0}},   {.v = {1, 96, 256, 99, 3, 16, 1}},
    {.v = {1, 15, 64, 15, 0, 64, 0}},      {.v = {2, 100, 256, 103, 3, 64, 1}},
    {.v = {7, 1, 256, 4, 3, 64, 0}},       {.v = {1, 96, 256, 96, 0, 128, 0}},
    {.v = {2, 33, 128, 40, 3, 128, 1}},    {.v = {1, 17, 32, 17, 0, 0, 0}},
    {.v = {7, 16, 96, 16, 0, 0, 1}},       {.v = {2, 100, 160, 103, 3, 0, 0}},
    {.v = {1, 96, 256, 96, 0, 0, 1}},      {.v = {1, 1, 96, 7, 3, 96, 0}},
    {.v = {1, 512, 1024, 520, 3, 128, 1}}, {.v = {1, 512, 1024, 512, 0, 0, 0}},
    {.v = {2, 33, 128, 40, 3, 128, 2}},    {.v = {1, 100, 160, 103, 3, 16, 2}},
};

/* Baichuan-13B: query-key-value, attention output, gate and up, down, vocabulary. */
const clm_shape clm_gemv_tune_shapes[CLM_GEMV_TUNE_SHAPES] = {
    {.v = {1, 15360, 5120, 15360, 0, 32, 0}}, {.v = {1, 5120, 5120, 5120, 0, 32, 0}},
    {.v = {1, 27392, 5120, 27392, 0, 32, 0}}, {.v = {1, 5120, 13696, 5120, 0, 32, 0}},
    {.v = {1, 64000, 5120, 64000, 0, 32, 0}},
};

static size_t size_of(int v)
{
    return v > 0 ? (size_t)v : 0; /* 0 is not legal anywhere, except as GROUP */
}

clm_weight_layout clm_gemv_block_layout(const clm_shape *shape, clm_weight_format format)
{
    return (clm_weight_layout){.format = format,
                               .rows = size_of(shape->v[CLM_GEMV_N]),
                               .columns = size_of(shape->v[CLM_GEMV_K]),
                               .group = size_of(shape->v[CLM_GEMV_GROUP]),
                               .has_min = shape->v[CLM_GEMV_HAS_MIN]};
}

clm_weight_layout clm_gemv_float_layout(const clm_shape *shape)
{
    return (clm_weight_layout){.format = (clm_weight_format)shape->v[CLM_GEMV_FORMAT],
                               .rows = size_of(shape->v[CLM_GEMV_N]),
                               .columns = size_of(shape->v[CLM_GEMV_K])};
}

static bool sizes_legal(const int *v)
{
    for (int i = 0; i <= CLM_GEMV_LDY; i++) {
        if (v[i] < 1 || v[i] > SIZE_LIMIT) return false;
    }
    return v[CLM_GEMV_Y_OFF] >= 0 && v[CLM_GEMV_Y_OFF] <= v[CLM_GEMV_LDY] - v[CLM_GEMV_N];
}

bool clm_gemv_valid(const clm_weight_layout *w, const int *params, const clm_shape *shape,
                    const clm_caps *caps)
{
    if (!sizes_legal(shape->v) || !clm_weight_legal(w)) return false;
    if (clm_weight_quantised(w->format) &&
        (shape->v[CLM_GEMV_GROUP] < 0 || shape->v[CLM_GEMV_HAS_MIN] < 0 ||
         shape->v[CLM_GEMV_HAS_MIN] > CLM_MIN_STEPS))
        return false;
    if (params[CLM_GEMV_FAMILY] == 0)
        return params[CLM_GEMV_KSPLIT] == 1 && params[CLM_GEMV_TILES] >= 1;
    return params[CLM_GEMV_FAMILY] == 1 && params[CLM_GEMV_TILES] == 1 &&
           params[CLM_GEMV_KSPLIT] > 1 &&
           clm_op_group_fits(caps, CLM_TILE_ROWS * params[CLM_GEMV_KSPLIT]);
}

/* Eight splits hide latency well everywhere. A device without room for four has no use for splits:
 * it takes the CPU family, which runs on anything. */
void clm_gemv_defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    params[CLM_GEMV_FAMILY] = 0;
    params[CLM_GEMV_KSPLIT] = 1;
    params[CLM_GEMV_TILES] = 1;
    if (caps->type == CLM_DEVICE_CPU) return;
    for (size_t i = 1; i < CLM_COUNT(k_splits); i++) {
        if (k_splits[i] > 8 || !clm_op_group_fits(caps, CLM_TILE_ROWS * k_splits[i])) continue;
        params[CLM_GEMV_FAMILY] = 1;
        params[CLM_GEMV_KSPLIT] = k_splits[i];
    }
}

size_t clm_gemv_define_tunables(const int *params, clm_define *defs)
{
    for (size_t i = 0; i < CLM_GEMV_AXES; i++)
        defs[i] = (clm_define){clm_gemv_axes[i].name, params[i]};
    return CLM_GEMV_AXES;
}

size_t clm_gemv_define_blocks(const clm_weight_layout *w, const int *params, clm_define *defs)
{
    const size_t n = clm_gemv_define_tunables(params, defs);

    defs[n] = (clm_define){"GROUP", clm_weight_group_define(w)};
    defs[n + 1] = (clm_define){"HAS_MIN", w->has_min};
    return n + 2;
}

clm_status clm_gemv_fill(clm_case *c, const clm_weight_layout *w, uint32_t seed, clm_err *err)
{
    const size_t tokens = (size_t)c->shape.v[CLM_GEMV_M], ldy = (size_t)c->shape.v[CLM_GEMV_LDY];
    clm_random r = clm_random_init(seed);
    clm_status st = clm_weight_case_add(c, w, !clm_weight_quantised(w->format),
                                        1.0f / sqrtf((float)w->columns), &r, err);
    float *x;

    if (st != CLM_OK) return st;
    x = clm_case_add(c, "x", CLM_ELEM_F32, tokens * w->columns, CLM_CASE_IN);
    if (x == NULL || clm_case_add(c, "y", CLM_ELEM_F32, tokens * ldy, CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem("gemv", err);
    clm_random_fill(&r, x, tokens * w->columns, -1.0f, 1.0f);
    return CLM_OK;
}

clm_status clm_gemv_bind(clm_kernel *kernel, const clm_weight_layout *w, const clm_shape *shape,
                         const int *params, clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const size_t n_bufs = clm_weight_quantised(w->format) ? 5 : 3;
    const size_t tiles = clm_op_ceil_div(w->rows, CLM_TILE_ROWS);
    *range = (clm_range){.dims = 2,
                         .global = {clm_op_ceil_div(tiles, (size_t)params[CLM_GEMV_TILES]),
                                    (size_t)shape->v[CLM_GEMV_M]},
                         .local = {1, 1}};
    clm_arg args[10];
    size_t n = 0;
    clm_status st;

    if (params[CLM_GEMV_FAMILY] == 1) {
        range->local[0] = (size_t)CLM_TILE_ROWS * (size_t)params[CLM_GEMV_KSPLIT];
        range->global[0] = tiles * range->local[0];
    }
    while (n < n_bufs) {
        args[n] = CLM_BUF(bufs[n]);
        n++;
    }
    for (int i = CLM_GEMV_M; i <= CLM_GEMV_Y_OFF; i++) args[n++] = CLM_I32(shape->v[i]);
    st = clm_kernel_set_args(kernel, args, n, err);
    return st;
}

double clm_gemv_bytes(const clm_weight_layout *w, const clm_shape *shape)
{
    return clm_weight_bytes(w) +
           4.0 * shape->v[CLM_GEMV_M] * ((double)w->columns + (double)w->rows);
}

double clm_gemv_flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_GEMV_M] * shape->v[CLM_GEMV_N] * shape->v[CLM_GEMV_K];
}
