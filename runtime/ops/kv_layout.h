/* runtime/ops/kv_layout.h: how the keys and values of one layer lie in device memory.
 *
 * With C the context rounded up to a multiple of 16 (clm_kv_padded) and D the head's size:
 *     k     [kv_heads][C / 16][D][16]   16 consecutive positions are one vector: a CPU gets the scores
 *                                       of 16 keys without a horizontal sum, and 8 or 16 lanes of a GPU
 *                                       read whole sectors of 32 bytes, any D
 *     v     [kv_heads][C][D]            a position's elements are one row: the weighted sum runs along it
 *     ks,vs [kv_heads][C] f16           only with int8: element = scale * q, |q| <= 127;
 *                                         NaN and q = 0 where an element is NaN or infinite
 *     kmax  [kv_heads][C / 16] f32      at least the length |k| (2-norm) of every stored key of a block:
 *                                       what a block's keys can score at most, so that attention need
 *                                       not read blocks whose weights vanish
 * Elements of k and v are f32, f16 or int8 (enum clm_cache_type). int8 keys keep this order too: queries
 * stay in single precision, so integer dot products would have no use for groups of four.
 *
 * kmax of a block is set anew when its first position is written and grows with the others; positions
 * are written in ascending order, and what was written before and is overwritten (a shortened
 * conversation) can only make it larger than needed. A length that is no finite number is +infinity.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_KV_LAYOUT_H
#define CLM_RUNTIME_OPS_KV_LAYOUT_H

#include <stddef.h>
#include "host/buffer.h"

/* Element types of the caches (dim KV_TYPE of operators and -D KV_TYPE of kernels). */
enum clm_cache_type { CLM_CACHE_F32 = 0, CLM_CACHE_F16 = 1, CLM_CACHE_I8 = 2 };

enum { CLM_KV_BLOCK = 16 };

/* CLM_ELEM_F32, _F16 or _I8. */
clm_elem clm_cache_elem(int kv_type);

/* Bytes of a head's key (or value) at one position, scale included. */
double clm_kv_position_bytes(int head_dim, int kv_type);

static inline size_t clm_kv_padded(size_t ctx)
{
    return (ctx + CLM_KV_BLOCK - 1) / CLM_KV_BLOCK * CLM_KV_BLOCK;
}

/* Elements of k (and of v), of ks (and of vs), of kmax. */
static inline size_t clm_kv_elems(size_t kv_heads, size_t head_dim, size_t ctx)
{
    return kv_heads * clm_kv_padded(ctx) * head_dim;
}
static inline size_t clm_kv_scales(size_t kv_heads, size_t ctx)
{
    return kv_heads * clm_kv_padded(ctx);
}
static inline size_t clm_kv_blocks(size_t kv_heads, size_t ctx)
{
    return clm_kv_scales(kv_heads, ctx) / CLM_KV_BLOCK;
}

/* Index of element `d` of position `pos` of kv head `h` in k and in v. */
static inline size_t clm_kv_k_at(size_t h, size_t head_dim, size_t ctx, size_t pos, size_t d)
{
    const size_t block = h * (clm_kv_padded(ctx) / CLM_KV_BLOCK) + pos / CLM_KV_BLOCK;

    return (block * head_dim + d) * CLM_KV_BLOCK + pos % CLM_KV_BLOCK;
}
static inline size_t clm_kv_v_at(size_t h, size_t head_dim, size_t ctx, size_t pos, size_t d)
{
    return (h * clm_kv_padded(ctx) + pos) * head_dim + d;
}

#endif
