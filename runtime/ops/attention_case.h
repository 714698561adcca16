/* runtime/ops/attention_case.h: what the descriptors of attention, attention_amx and attention_mma share:
 * sizes, test data, arguments, work.
 *
 * Layer    runtime.
 * Threads  no state.
 * Buffers  x, k, v, ks, vs (one element without CLM_CACHE_I8), kmax, slopes, out
 */
#ifndef CLM_RUNTIME_OPS_ATTENTION_CASE_H
#define CLM_RUNTIME_OPS_ATTENTION_CASE_H

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

extern const char *const clm_attention_dims[CLM_ATTENTION_DIMS];

/* For tables of shapes: packed q, k, v rows; `gap` more columns in front of the queries and behind the
 * outputs. */
#define CLM_ATTENTION_SHAPE(m, heads, kv, n, ctx, pos0, type, gap, alibi)                          \
    {                                                                                              \
        .v = {m,     ((heads) + 2 * (kv)) * (n) + (gap),                                           \
              gap,   (heads) * (n) + (gap),                                                        \
              heads, kv,                                                                           \
              n,     ctx,                                                                          \
              pos0,  type},                                                                        \
        .f = {alibi},                                                                              \
    }

/* To tune with, Baichuan-13B: a prompt, one behind a long context, a short question behind it, and the second over an
 * int8 cache. */
enum { CLM_ATTENTION_PROMPTS = 4 };
extern const clm_shape clm_attention_prompts[CLM_ATTENTION_PROMPTS];

/* Slopes of ALiBi for any head count. With P the largest power of two up to n_heads:
 * slope[h] = 2^(-8(h+1)/P) for h < P, then 2^(-4(2i+1)/P), i = 0, 1, ... (every second slope of
 * the series for 2P heads). */
void clm_alibi_slopes(float *slopes, size_t n_heads);

/* The functions of a descriptor. clm_attention_set_args is bind() without the range; clm_attention_defines takes the
 * tunables of `n` axes besides. */
size_t clm_attention_defines(const clm_axis *axes, size_t n, const clm_shape *shape,
                             const int *params, clm_define *defs);
clm_status clm_attention_fill(clm_case *c, uint32_t seed, clm_err *err);
clm_status clm_attention_set_args(clm_kernel *kernel, const clm_shape *shape,
                                  clm_buffer *const *bufs, clm_err *err);
double clm_attention_bytes(const clm_shape *shape);
double clm_attention_flops(const clm_shape *shape);
/* With ALiBi; f[0] says so in every shape of attention, that of attention_decode too. */
bool clm_attention_may_skip(const clm_shape *shape);

#endif
