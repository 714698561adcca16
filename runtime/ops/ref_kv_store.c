/* runtime/ops/ref_kv_store.c: rows of keys and values into the caches, rounded as KV_TYPE says
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include "runtime/ops/op_kv_store.h"

/* One head of one row to position index `at` of a cache. */
static void store(const float *src, size_t n, clm_case_buffer *cache, clm_case_buffer *scales,
                  size_t at)
{
    double top = 0.0, scale;
    uint16_t half;

    if (cache->type == CLM_ELEM_F32) {
        for (size_t d = 0; d < n; d++) ((float *)cache->expected)[at * n + d] = src[d];
        return;
    }
    if (cache->type == CLM_ELEM_F16) {
        for (size_t d = 0; d < n; d++)
            ((uint16_t *)cache->expected)[at * n + d] = clm_ref_float_to_half(src[d]);
        return;
    }
    for (size_t d = 0; d < n; d++) top = fmax(top, fabs((double)src[d]));
    half = clm_ref_float_to_half((float)fmin(top / 127.0, 65504.0));
    ((uint16_t *)scales->expected)[at] = half;
    scale = (double)clm_ref_half_to_float(half);
    for (size_t d = 0; d < n; d++) {
        const double q = scale > 0.0 ? nearbyint((double)src[d] / scale) : 0.0;

        ((int8_t *)cache->expected)[at * n + d] = (int8_t)fmin(fmax(q, -127.0), 127.0);
    }
}

void clm_ref_kv_store(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_KV_STORE_HEAD_DIM], ctx = (size_t)v[CLM_KV_STORE_CTX];
    const float *x = c->bufs[0].data;

    for (size_t i = 1; i <= 4; i++) {
        if (c->bufs[i].role == CLM_CASE_OUT) clm_ref_untouched(&c->bufs[i]);
    }
    for (size_t m = 0; m < (size_t)v[CLM_KV_STORE_M]; m++) {
        const float *row = x + m * (size_t)v[CLM_KV_STORE_LD];

        for (size_t h = 0; h < (size_t)v[CLM_KV_STORE_N_KV_HEADS]; h++) {
            const size_t at = h * ctx + (size_t)v[CLM_KV_STORE_POS0] + m;

            store(row + v[CLM_KV_STORE_K_OFF] + h * n, n, &c->bufs[1], &c->bufs[3], at);
            store(row + v[CLM_KV_STORE_V_OFF] + h * n, n, &c->bufs[2], &c->bufs[4], at);
        }
    }
}
