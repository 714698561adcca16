/* runtime/ops/ref_kv_store.c: rows of keys and values into the caches, rounded as KV_TYPE says
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <string.h>
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_kv_store.h"

void clm_ref_kv_store(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_KV_STORE_HEAD_DIM];
    const clm_kv_dims dims = {(size_t)v[CLM_KV_STORE_N_KV_HEADS], n, (size_t)v[CLM_KV_STORE_CTX],
                              v[CLM_KV_STORE_KV_TYPE]};
    const float *x = c->bufs[0].data;

    for (size_t i = 1; i <= 4; i++) {
        if (c->bufs[i].role == CLM_CASE_OUT) clm_ref_untouched(&c->bufs[i]);
    }
    /* The ref backend works in place. */
    memmove(c->bufs[5].expected, c->bufs[5].data, c->bufs[5].count * sizeof(float));
    for (size_t m = 0; m < (size_t)v[CLM_KV_STORE_M]; m++) {
        const float *row = x + m * (size_t)v[CLM_KV_STORE_LD];

        for (size_t h = 0; h < dims.kv_heads; h++)
            clm_kv_case_store(&c->bufs[1], &dims, h, (size_t)v[CLM_KV_STORE_POS0] + m,
                              row + v[CLM_KV_STORE_K_OFF] + h * n,
                              row + v[CLM_KV_STORE_V_OFF] + h * n);
    }
}
