/* kv_store.cl: copies the keys and values of new positions into the caches
 *
 * Row m of x has the keys of all heads from k_off on and the values from v_off on; they go to
 * position pos0 + m. Other positions stay untouched. kmax of the blocks written is brought up to date.
 *
 * Reference  clm_ref_kv_store() in runtime/ops/ref_kv_store.c
 * Buffers    x: [rows][ld] f32.  k, v, ks, vs, kmax: runtime/ops/kv_layout.h, out (kmax also in).
 * Build      KV_TYPE  0 f32, 1 f16 (round to nearest even), 2 int8: scale = f16(max|x| / 127),
 *                     q = round(x / scale) within -127..127; a row of zeros has scale 0
 * Launch     2-D: local = (WG, 1), global = (n_kv_heads * WG, blocks of 16 positions that rows touch):
 *            a group per head and block. With WG > 1 item = lane * 16 + position in the block.
 *            With WG 1 a block that is written whole goes in vectors, if head_dim is a multiple of 16.
 * Tunables   WG  1, for CPUs, or a multiple of 16
 * Limits     any head_dim; pos0 + rows <= ctx, which the host checks. (No return in front of barriers with WG > 1: it makes
 *            PoCL 3.1 run the first work-item apart from the others, and conditions it keeps across
 *            a barrier are then the first item's: loops with nothing to do ran on and on.)
 */
#include "kv.cl"

#ifndef WG
#define WG 1
#endif
#if WG < 1 || (WG > 1 && WG % 16 != 0)
#error "kv_store: WG must be 1 or a multiple of 16"
#endif
#if WG == 1
#define AT_ONCE 1
#else
#define AT_ONCE 16
#endif
#define LANES (WG / AT_ONCE) /* per position */

/* Largest of absolute values, and sum, of the LANES values of a position. Every item of the group must call these. */
CLM_INLINE float lanes_max(__local float *part, const int lid, const float mine)
{
    float top = mine;

    part[lid] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = lid % AT_ONCE; i < WG; i += AT_ONCE) top = clm_top(top, part[i]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return top;
}

CLM_INLINE float lanes_sum(__local float *part, const int lid, const float mine)
{
    float sum = 0.0f;

    part[lid] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = lid % AT_ONCE; i < WG; i += AT_ONCE) sum += part[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

/* This lane's share of the largest absolute value, 0 for a position that is not written. */
CLM_INLINE float largest(__global const float *src, const int lane, const int written,
                         const int head_dim)
{
    float top = 0.0f;

    for (int d = lane; d < head_dim && written; d += LANES) top = clm_top(top, fabs(src[d]));
    return top;
}

#if WG == 1
/* Scales of 16 rows of x, which are stored as well; ones for types that have none. */
CLM_INLINE float16 block_scales(__global const float *x, const int ld, const int head_dim,
                                __global half *stored)
{
#if KV_TYPE == 2
    float scale[16];

    for (int m = 0; m < 16; m++) {
        float16 top = 0.0f;

        for (int d = 0; d < head_dim; d += 16)
            top = clm_top16(top, fabs(vload16(0, x + (size_t)m * (size_t)ld + d)));
        scale[m] = kv_int8_scale(clm_top_of16(top));
        vstore_half_rte(scale[m], (size_t)m, stored);
    }
    return vload16(0, scale);
#else
    return (float16)(1.0f);
#endif
}

/* One of four steps that transpose 16 by 16 elements: components of vectors i and i + 8 in turn. With the numbers of
 * vector and component as one of eight bits, a step turns it by one bit. */
#define IN_TURN(a, b, c0, c1, c2, c3, c4, c5, c6, c7)                                              \
    (KV_STORED16)(a.c0, b.c0, a.c1, b.c1, a.c2, b.c2, a.c3, b.c3, a.c4, b.c4, a.c5, b.c5, a.c6,    \
                  b.c6, a.c7, b.c7)
#define TURN(from, to)                                                                             \
    for (int i = 0; i < 8; i++) {                                                                  \
        to[2 * i] = IN_TURN(from[i], from[i + 8], s0, s1, s2, s3, s4, s5, s6, s7);                 \
        to[2 * i + 1] = IN_TURN(from[i], from[i + 8], s8, s9, sa, sb, sc, sd, se, sf);             \
    }

/* A whole block of 16 keys from the rows of x on: 16 by 16 elements are transposed at a time. Stored vectors
 * lie at multiples of their size (vstore16 of whole numbers is 16 stores on PoCL). Returns the largest
 * length. */
CLM_INLINE float store_keys(__global const float *x, const int ld, const int head_dim,
                            __global KV_ELEM *k, __global half *ks)
{
    const float16 scale = block_scales(x, ld, head_dim, ks);
    float scales[16], squares[16], top = 0.0f;
    float16 square = 0.0f;

    vstore16(scale, 0, scales);
    for (int d = 0; d < head_dim; d += 16) {
        __global KV_STORED16 *to = (__global KV_STORED16 *)(k + d * 16);
        KV_STORED16 tile[16], turned[16];

        for (int m = 0; m < 16; m++)
            tile[m] = kv_stored16(vload16(0, x + (size_t)m * (size_t)ld + d), scales[m]);
        TURN(tile, turned);
        TURN(turned, tile);
        TURN(tile, turned);
        TURN(turned, tile);
        for (int i = 0; i < 16; i++) {
            const float16 key = kv_value16(tile[i], scale);

            to[i] = tile[i];
            square += key * key;
        }
    }
    vstore16(square, 0, squares);
    for (int m = 0; m < 16; m++) top = fmax(top, kv_length(squares[m]));
    return top;
}

CLM_INLINE void store_values(__global const float *x, const int ld, const int head_dim,
                             __global KV_ELEM *v, __global half *vs)
{
    float scales[16];

    vstore16(block_scales(x, ld, head_dim, vs), 0, scales);
    for (int m = 0; m < 16; m++) {
        __global KV_STORED16 *to = (__global KV_STORED16 *)(v + m * head_dim);

        for (int d = 0; d < head_dim; d += 16)
            to[d / 16] = kv_stored16(vload16(0, x + (size_t)m * (size_t)ld + d), scales[m]);
    }
}
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void kv_store(__global const float *restrict x, __global KV_ELEM *restrict k,
              __global KV_ELEM *restrict v, __global half *restrict ks, __global half *restrict vs,
              __global float *restrict kmax, const int ld, const int k_off, const int v_off,
              const int head_dim, const int padded, const int pos0, const int rows)
{
    __local float part[WG];
    const int lid = (int)get_local_id(0);
    const int lane = lid / AT_ONCE;
    const size_t h = get_group_id(0);
    const size_t block = (size_t)pos0 / 16 + get_group_id(1);
    const size_t row_block = h * (size_t)(padded / 16) + block;
    float length = 0.0f; /* the longest key among this item's positions */

#if WG == 1
    const int start = (int)block * 16 - pos0;

    if (start >= 0 && start + 16 <= rows && head_dim % 16 == 0) {
        __global const float *from = x + (size_t)start * (size_t)ld + h * (size_t)head_dim;
        const size_t pos = row_block * 16, to = pos * (size_t)head_dim;

        kmax[row_block] = store_keys(from + k_off, ld, head_dim, k + to, ks + pos);
        store_values(from + v_off, ld, head_dim, v + to, vs + pos);
        return; /* in front of barriers, which a group of one item may */
    }
#endif
    for (int first = 0; first < 16; first += AT_ONCE) {
        const int at = first + lid % AT_ONCE;
        const int m = (int)block * 16 + at - pos0;
        const int written = m >= 0 && m < rows;
        const size_t pos = h * (size_t)padded + block * 16 + (size_t)at;
        __global const float *src =
            x + (size_t)(written ? m : 0) * (size_t)ld + h * (size_t)head_dim;
        float k_scale = 1.0f, v_scale = 1.0f, square = 0.0f;

#if KV_TYPE == 2
        k_scale = kv_int8_scale(lanes_max(part, lid, largest(src + k_off, lane, written, head_dim)));
        v_scale = kv_int8_scale(lanes_max(part, lid, largest(src + v_off, lane, written, head_dim)));
        if (written && lane == 0) {
            vstore_half_rte(k_scale, pos, ks);
            vstore_half_rte(v_scale, pos, vs);
        }
#endif
        for (int d = lane; d < head_dim && written; d += LANES) {
            const float key = kv_round(src[k_off + d], k_scale);

            kv_store1(src[k_off + d], k_scale, (row_block * (size_t)head_dim + (size_t)d) * 16 + (size_t)at, k);
            kv_store1(src[v_off + d], v_scale, pos * (size_t)head_dim + (size_t)d, v);
            square += key * key;
        }
        length = fmax(length, kv_length(lanes_sum(part, lid, square)));
    }

    part[lid] = length;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid == 0) {
        float top = (int)block * 16 < pos0 ? kmax[row_block] : 0.0f;

        for (int i = 0; i < AT_ONCE; i++) top = fmax(top, part[i]);
        kmax[row_block] = top;
    }
    /* Used by int8 only. */
    (void)ks;
    (void)vs;
}
