/* runtime/ops/op_kv_store.h: descriptor of cl/kv_store.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, k, v, ks, vs (one element each without CLM_CACHE_I8), kmax
 */
#ifndef CLM_RUNTIME_OPS_OP_KV_STORE_H
#define CLM_RUNTIME_OPS_OP_KV_STORE_H

#include "runtime/ops/kv_layout.h"
#include "tuning/op_desc.h"

/* shape.v; LD is the row stride of x, CTX the positions a cache holds. */
enum clm_kv_store_dim {
    CLM_KV_STORE_M,
    CLM_KV_STORE_LD,
    CLM_KV_STORE_K_OFF,
    CLM_KV_STORE_V_OFF,
    CLM_KV_STORE_N_KV_HEADS,
    CLM_KV_STORE_HEAD_DIM,
    CLM_KV_STORE_CTX,
    CLM_KV_STORE_POS0,
    CLM_KV_STORE_KV_TYPE,
    CLM_KV_STORE_DIMS
};

extern const clm_op_desc clm_op_kv_store;

#endif
