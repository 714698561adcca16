/* runtime/ops/op_kv_store.h: descriptor of cl/kv_store.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, k, v (out), ks, vs (out with CLM_CACHE_I8, else one element, not touched)
 */
#ifndef CLM_RUNTIME_OPS_OP_KV_STORE_H
#define CLM_RUNTIME_OPS_OP_KV_STORE_H

#include "tuning/op_desc.h"

/* How keys and values lie in the caches (dim KV_TYPE and -D KV_TYPE). */
enum clm_cache_type { CLM_CACHE_F32 = 0, CLM_CACHE_F16 = 1, CLM_CACHE_I8 = 2 };

/* Element type of a cache of `kv_type`. */
clm_elem clm_cache_elem(int kv_type);

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
