/* kv_store.cl: copies the keys and values of new positions into the caches
 *
 * Row m of x has the keys of all heads from k_off on and the values from v_off on; they go to
 * position pos0 + m. Other positions stay untouched.
 *
 * Reference  clm_ref_kv_store() in runtime/ops/ref_kv_store.c
 * Buffers    x: [rows][ld] f32.
 *            k, v: [kv_head][ctx][head_dim], out; f32, f16 or int8 by KV_TYPE.
 *            ks, vs: [kv_head][ctx] f16, out; scales of int8, otherwise not touched.
 * Build      KV_TYPE  0 f32, 1 f16 (round to nearest even), 2 int8: scale = f16(max|x| / 127),
 *                     q = round(x / scale) within -127..127; a row of zeros has scale 0
 * Launch     2-D: local = (WG, 1), global = (n_kv_heads * WG, rows): a group per head and row.
 * Tunables   WG  work-items per head, power of two
 * Limits     any head_dim; pos0 + rows <= ctx, which the host checks. (Not here: a return in front of
 *            barriers makes PoCL 3.1 run the first work-item apart from the others, and conditions it
 *            keeps across a barrier are then the first item's: loops with nothing to do ran on and on.)
 */
#ifndef KV_TYPE
#define KV_TYPE 0
#endif
#ifndef WG
#define WG 32
#endif
#if WG < 1 || (WG & (WG - 1))
#error "kv_store: WG must be a power of two"
#endif
#if KV_TYPE == 0
#define KV_ELEM float
#elif KV_TYPE == 1
#define KV_ELEM half
#elif KV_TYPE == 2
#define KV_ELEM char
#else
#error "kv_store: KV_TYPE must be 0, 1 or 2"
#endif

/* All items of the group copy one head of one row; the scale goes to scales[at]. (No restrict
 * here: inlined it becomes an intrinsic that Oclgrind 21.10 does not know.) */
CLM_INLINE void store_head(__global const float *src, __global KV_ELEM *dst,
                           __global half *scales, const size_t at, __local float *part,
                           const int lid, const int head_dim)
{
#if KV_TYPE == 0
    for (int d = lid; d < head_dim; d += WG) dst[d] = src[d];
#elif KV_TYPE == 1
    for (int d = lid; d < head_dim; d += WG) vstore_half_rte(src[d], (size_t)d, dst);
#else
    float top = 0.0f;

    for (int d = lid; d < head_dim; d += WG) top = fmax(top, fabs(src[d]));
    top = clm_group_max(part, lid, WG, top);
    barrier(CLK_LOCAL_MEM_FENCE); /* part is used again for the values */
    /* Divided by the scale as it is stored: rounding it costs nothing but range. */
    const float scale = clm_round_half(fmin(top / 127.0f, 65504.0f));
    if (lid == 0) vstore_half_rte(scale, at, scales);
    for (int d = lid; d < head_dim; d += WG) {
        const float q = scale > 0.0f ? rint(src[d] / scale) : 0.0f;
        dst[d] = convert_char_sat(clamp(q, -127.0f, 127.0f));
    }
#endif
    /* Used by one KV_TYPE only. */
    (void)scales;
    (void)at;
    (void)part;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void kv_store(__global const float *restrict x, __global KV_ELEM *restrict k,
              __global KV_ELEM *restrict v, __global half *restrict ks, __global half *restrict vs,
              const int ld, const int k_off, const int v_off, const int head_dim, const int ctx,
              const int pos0)
{
    __local float part[WG];
    const int lid = (int)get_local_id(0);
    const size_t h = get_group_id(0);
    const size_t m = get_group_id(1);
    const size_t pos = (size_t)pos0 + m;

    const size_t at = h * (size_t)ctx + pos;
    __global const float *restrict row = x + m * (size_t)ld + h * (size_t)head_dim;

    store_head(row + k_off, k + at * (size_t)head_dim, ks, at, part, lid, head_dim);
    store_head(row + v_off, v + at * (size_t)head_dim, vs, at, part, lid, head_dim);
}
