/* runtime/ops/op_attention_decode.h: descriptor of cl/attention_decode.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, cs (one element without rope), k, v, ks, vs, kmax (in and out), slopes, pos, part (out)
 */
#ifndef CLM_RUNTIME_OPS_OP_ATTENTION_DECODE_H
#define CLM_RUNTIME_OPS_OP_ATTENTION_DECODE_H

#include "runtime/ops/kv_layout.h"
#include "tuning/op_desc.h"

/* Consecutive positions that go to one split. */
enum { CLM_DECODE_CHUNK = 64, CLM_DECODE_MAX_SPLITS = 32 };

/* shape.v; x holds q, k and v of all heads from Q_OFF, K_OFF and V_OFF on. POS matters to test data only
 * (the kernel reads the buffer pos), like shape.f[0]: 1 fills the slopes of ALiBi, 0 zeros. */
enum clm_attention_decode_dim {
    CLM_ATTENTION_DECODE_Q_OFF,
    CLM_ATTENTION_DECODE_K_OFF,
    CLM_ATTENTION_DECODE_V_OFF,
    CLM_ATTENTION_DECODE_N_HEADS,
    CLM_ATTENTION_DECODE_N_KV_HEADS,
    CLM_ATTENTION_DECODE_HEAD_DIM,
    CLM_ATTENTION_DECODE_CTX,
    CLM_ATTENTION_DECODE_KV_TYPE,   /* enum clm_cache_type */
    CLM_ATTENTION_DECODE_ROPE_DIMS, /* 0: no rotation */
    CLM_ATTENTION_DECODE_SPLITS,    /* 1 .. CLM_DECODE_MAX_SPLITS */
    CLM_ATTENTION_DECODE_POS,
    CLM_ATTENTION_DECODE_PART_OFF, /* of the results in part */
    CLM_ATTENTION_DECODE_DIMS
};

extern const clm_op_desc clm_op_attention_decode;

/* How many splits a device wants for `n_heads` heads in a context of `ctx`: as many as make four groups
 * for each of its units. One where heads suffice: it reads each head's memory in one ascending run. */
int clm_attention_splits(const clm_caps *caps, size_t n_heads, size_t ctx);

/* Floats of `part` of one token: [n_heads][splits][head_dim + 2]. */
size_t clm_attention_part_floats(size_t n_heads, size_t head_dim, size_t splits);

#endif
