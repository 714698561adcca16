/* runtime/ops/op_attention.h: descriptor of cl/attention.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, k, v, ks, vs (one element without CLM_CACHE_I8), kmax, slopes, out
 */
#ifndef CLM_RUNTIME_OPS_OP_ATTENTION_H
#define CLM_RUNTIME_OPS_OP_ATTENTION_H

#include "runtime/ops/kv_layout.h"
#include "tuning/op_desc.h"

/* shape.v; LD is the row stride of x, LDO that of out; KV_TYPE: enum clm_cache_type.
 * shape.f[0] matters to test data only: 1 fills the slopes of ALiBi, 0 fills zeros. */
enum clm_attention_dim {
    CLM_ATTENTION_M,
    CLM_ATTENTION_LD,
    CLM_ATTENTION_Q_OFF,
    CLM_ATTENTION_LDO,
    CLM_ATTENTION_N_HEADS,
    CLM_ATTENTION_N_KV_HEADS,
    CLM_ATTENTION_HEAD_DIM,
    CLM_ATTENTION_CTX,
    CLM_ATTENTION_POS0,
    CLM_ATTENTION_KV_TYPE,
    CLM_ATTENTION_DIMS
};

extern const clm_op_desc clm_op_attention;

/* Slopes of ALiBi for any head count. With P the largest power of two up to n_heads:
 * slope[h] = 2^(-8(h+1)/P) for h < P, then 2^(-4(2i+1)/P), i = 0, 1, ... (every second slope of
 * the series for 2P heads). */
void clm_alibi_slopes(float *slopes, size_t n_heads);

#endif
