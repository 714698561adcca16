/* runtime/ops/attention_case.c: see attention_case.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/attention_case.h"

#include <math.h>
#include <string.h>

#include "runtime/ops/fill.h"
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_util.h"

const char *const clm_attention_dims[CLM_ATTENTION_DIMS] = {
    "M", "LD", "Q_OFF", "LDO", "N_HEADS", "N_KV_HEADS", "HEAD_DIM", "CTX", "POS0", "KV_TYPE"};

const clm_shape clm_attention_prompts[CLM_ATTENTION_PROMPTS] = {
    CLM_ATTENTION_SHAPE(512, 40, 40, 128, 4096, 0, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(512, 40, 40, 128, 4096, 2048, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(32, 40, 40, 128, 4096, 2048, CLM_CACHE_F16, 0, 1),
    CLM_ATTENTION_SHAPE(512, 40, 40, 128, 4096, 2048, CLM_CACHE_I8, 0, 1),
};

size_t clm_attention_defines(const clm_axis *axes, size_t n, const clm_shape *shape,
                             const int *params, clm_define *defs)
{
    for (size_t i = 0; i < n; i++) defs[i] = (clm_define){axes[i].name, params[i]};
    defs[n++] = (clm_define){"HEAD_DIM", shape->v[CLM_ATTENTION_HEAD_DIM]};
    defs[n++] = (clm_define){"KV_TYPE", shape->v[CLM_ATTENTION_KV_TYPE]};
    return n;
}

void clm_alibi_slopes(float *slopes, size_t n_heads)
{
    size_t power = 1;

    while (power <= n_heads / 2) power *= 2;
    for (size_t h = 0; h < n_heads; h++) {
        const double exponent = h < power ? -8.0 * (double)(h + 1) / (double)power
                                          : -4.0 * (double)(2 * (h - power) + 1) / (double)power;

        slopes[h] = (float)exp2(exponent);
    }
}

static clm_kv_dims kv_dims(const clm_shape *shape)
{
    return (clm_kv_dims){(size_t)shape->v[CLM_ATTENTION_N_KV_HEADS],
                         (size_t)shape->v[CLM_ATTENTION_HEAD_DIM],
                         (size_t)shape->v[CLM_ATTENTION_CTX], shape->v[CLM_ATTENTION_KV_TYPE]};
}

clm_status clm_attention_fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const size_t rows = (size_t)v[CLM_ATTENTION_M], ld = (size_t)v[CLM_ATTENTION_LD];
    const size_t heads = (size_t)v[CLM_ATTENTION_N_HEADS];
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM];
    const clm_kv_dims dims = kv_dims(&c->shape);
    clm_random r = clm_random_init(seed);
    float *x = clm_case_add(c, "x", CLM_ELEM_F32, rows * ld, CLM_CASE_IN), *slopes;

    if (x == NULL ||
        !clm_kv_case_add(c, &r, &dims, (size_t)v[CLM_ATTENTION_POS0] + rows, CLM_CASE_IN) ||
        (slopes = clm_case_add(c, "slopes", CLM_ELEM_F32, heads, CLM_CASE_IN)) == NULL ||
        clm_case_add(c, "out", CLM_ELEM_F32, rows * (size_t)v[CLM_ATTENTION_LDO], CLM_CASE_OUT) ==
            NULL)
        return clm_op_fill_nomem("attention", err);
    /* Wide enough for scores that differ by several units; NaN outside of the queries. */
    memset(x, 0xFF, rows * ld * sizeof *x);
    for (size_t m = 0; m < rows; m++)
        clm_random_fill(&r, x + m * ld + v[CLM_ATTENTION_Q_OFF], heads * n, -6.0f, 6.0f);
    if (c->shape.f[0] > 0.0f) clm_alibi_slopes(slopes, heads);
    return CLM_OK;
}

clm_status clm_attention_set_args(clm_kernel *kernel, const clm_shape *shape,
                                  clm_buffer *const *bufs, clm_err *err)
{
    const int *v = shape->v;
    const int heads = v[CLM_ATTENTION_N_HEADS], kv_heads = v[CLM_ATTENTION_N_KV_HEADS];

    if (kv_heads < 1 || heads % kv_heads != 0)
        return clm_fail(err, CLM_E_INTERNAL, "attention: %d heads on %d kv heads", heads, kv_heads);
    if (v[CLM_ATTENTION_POS0] < 0 ||
        v[CLM_ATTENTION_POS0] > v[CLM_ATTENTION_CTX] - v[CLM_ATTENTION_M])
        return clm_fail(err, CLM_E_INTERNAL, "attention: %d rows from position %d on, context %d",
                        v[CLM_ATTENTION_M], v[CLM_ATTENTION_POS0], v[CLM_ATTENTION_CTX]);
    const clm_arg args[] = {
        CLM_BUF(bufs[0]),
        CLM_BUF(bufs[1]),
        CLM_BUF(bufs[2]),
        CLM_BUF(bufs[3]),
        CLM_BUF(bufs[4]),
        CLM_BUF(bufs[5]),
        CLM_BUF(bufs[6]),
        CLM_BUF(bufs[7]),
        CLM_I32(v[CLM_ATTENTION_LD]),
        CLM_I32(v[CLM_ATTENTION_Q_OFF]),
        CLM_I32(v[CLM_ATTENTION_LDO]),
        CLM_I32(heads / kv_heads),
        CLM_I32(clm_kv_padded((size_t)v[CLM_ATTENTION_CTX])),
        CLM_I32(v[CLM_ATTENTION_POS0]),
        CLM_I32(v[CLM_ATTENTION_M]),
        CLM_F32(1.0f / sqrtf((float)v[CLM_ATTENTION_HEAD_DIM])),
    };
    return clm_kernel_set_args(kernel, args, CLM_COUNT(args), err);
}

/* Keys and values read once, however many rows share them. */
double clm_attention_bytes(const clm_shape *shape)
{
    const int *v = shape->v;
    const double position =
        clm_kv_position_bytes(v[CLM_ATTENTION_HEAD_DIM], v[CLM_ATTENTION_KV_TYPE]);
    const double keys = (double)v[CLM_ATTENTION_POS0] + v[CLM_ATTENTION_M];

    return 2.0 * v[CLM_ATTENTION_N_KV_HEADS] * keys * position +
           8.0 * v[CLM_ATTENTION_M] * v[CLM_ATTENTION_N_HEADS] * v[CLM_ATTENTION_HEAD_DIM];
}

double clm_attention_flops(const clm_shape *shape)
{
    const int *v = shape->v;
    const double m = v[CLM_ATTENTION_M];
    const double pairs = m * v[CLM_ATTENTION_POS0] + m * (m + 1.0) / 2.0;

    return pairs * v[CLM_ATTENTION_N_HEADS] * (4.0 * v[CLM_ATTENTION_HEAD_DIM] + 5.0);
}

bool clm_attention_may_skip(const clm_shape *shape)
{
    return shape->f[0] > 0.0f;
}
