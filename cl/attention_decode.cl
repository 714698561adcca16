/* attention_decode.cl: attention of one new token, whose key and value enter the cache on the way
 *
 *     q, k, v = row x of all heads, q and k turned by the position's angles when ROPE
 *     for each head h and split s: the keys of chunks newest - s, newest - s - SPLITS, ... of 64
 *     positions (the newest key belongs to split 0) give
 *         M = max over them and over the newest key of  score_j = q . k_j / sqrt(HEAD_DIM) - slope * (pos - j)
 *         l = sum exp(score_j - M),   acc = sum exp(score_j - M) v_j
 * cl/attention_combine.cl puts the splits of a head together. The newest key and value are used as the
 * cache gives them back, rounded; they are written by split 0 of the first head of each kv head.
 *
 * The position is read from a buffer, and the launch does not depend on it: arguments are set once for
 * all tokens. Chunks alternate between splits, so that splits have equal work although the weights of
 * far keys vanish: with WINDOW a block is left out when its keys together cannot weigh more than 2^-24
 * of what is there (as in attention.cl).
 *
 * Reference  clm_ref_attention_decode() in runtime/ops/ref_attention_decode.c
 * Buffers    x: [q | k | v] f32 from q_off, k_off, v_off.  cs: [positions][rope_dims/2][2] f32, as for
 *            rope.cl (ROPE only).  k, v, ks, vs, kmax: runtime/ops/kv_layout.h, in and out.
 *            slopes: [n_heads] f32.  pos: int32[1], the new token's position.
 *            part: [n_heads][SPLITS][HEAD_DIM + 2] f32 from part_off on: M, l, acc; out.
 * Build      HEAD_DIM 1..512;  KV_TYPE as in kv.cl;  ROPE 0, 1;  SPLITS
 * Launch     2-D: local = (WG, 1), global = (n_heads * WG, SPLITS)
 * Tunables   FAMILY  0: one work-item per head and split, for CPUs
 *                    1: a group per head and split, for GPUs
 *            WG      work-items per group: 1 in family 0, a power of two from 64 on in 1
 *            WINDOW  1: leave out what vanishes
 * Limits     0 <= pos < ctx, the caller's to ensure. Values from pos on are not read, keys not used.
 */
#include "kv.cl"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef ROPE
#define ROPE 0
#endif
#ifndef SPLITS
#define SPLITS 2
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef WG
#define WG 1
#endif
#ifndef WINDOW
#define WINDOW 1
#endif
#if HEAD_DIM < 1 || HEAD_DIM > 512
#error "attention_decode: HEAD_DIM must be 1 to 512"
#endif
#if WG < 1 || (WG & (WG - 1)) || (FAMILY == 0 && WG != 1) || (FAMILY == 1 && WG < 64)
#error "attention_decode: WG must be 1 in family 0, a power of two from 64 on in family 1"
#endif
#define CHUNK 64 /* keys; CLM_DECODE_CHUNK in op_attention_decode.h */

#define ARGUMENTS                                                                                   \
    __global const float *restrict x, __global const float *restrict cs, __global KV_ELEM *restrict k, \
        __global KV_ELEM *restrict v, __global half *restrict ks, __global half *restrict vs,       \
        __global float *restrict kmax, __global const float *restrict slopes,                       \
        __global const int *restrict pos_in, __global float *restrict part, const int q_off,        \
        const int k_off, const int v_off, const int part_off, const int heads_per_kv,               \
        const int padded, const int rope_dims, const float scale

/* Element d of a head, turned by the angles `turn` of its position when ROPE. */
CLM_INLINE float turned(__global const float *head, __global const float *turn, const int d,
                        const int rope_dims)
{
#if ROPE
    if (d < rope_dims) {
        const float c = turn[d / 2 * 2], s = turn[d / 2 * 2 + 1];

        return d % 2 == 0 ? head[d] * c - head[d + 1] * s : head[d - 1] * s + head[d] * c;
    }
#endif
    (void)turn;
    (void)rope_dims;
    return head[d];
}

/* kmax of the block of the new key at `pos` that is `length` long. */
CLM_INLINE void grow_kmax(__global float *kmax, const int pos, const float length)
{
    kmax[pos / 16] = pos % 16 == 0 ? length : fmax(kmax[pos / 16], length);
}

#if FAMILY == 0

#include "head_vector.cl"

/* q . the 16 keys of a block. Four sums hide the latency of a multiply-add. */
CLM_INLINE float16 block_scores(const float *q, __global const KV_ELEM *key)
{
    float16 s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    int d = 0;

    for (; d + 4 <= HEAD_DIM; d += 4) {
        s0 = fma(KV_LOADN(16, d, key), (float16)(q[d]), s0);
        s1 = fma(KV_LOADN(16, d + 1, key), (float16)(q[d + 1]), s1);
        s2 = fma(KV_LOADN(16, d + 2, key), (float16)(q[d + 2]), s2);
        s3 = fma(KV_LOADN(16, d + 3, key), (float16)(q[d + 3]), s3);
    }
    for (; d < HEAD_DIM; d++) s0 = fma(KV_LOADN(16, d, key), (float16)(q[d]), s0);
    return (s0 + s1) + (s2 + s3);
}

/* The same for the first `count` keys, one by one: heads that share keys must not touch the place of
 * the newest key while one of them writes it. */
CLM_INLINE float16 few_scores(const float *q, __global const KV_ELEM *key, const int count)
{
    float s[16];

    for (int c = 0; c < 16; c++) s[c] = 0.0f;
    for (int d = 0; d < HEAD_DIM; d++) {
        for (int c = 0; c < count; c++) s[c] = fma(KV_LOAD1((size_t)d * 16 + (size_t)c, key), q[d], s[c]);
    }
    return vload16(0, s);
}

#if KV_TYPE == 1 && HEAD_DIM % 16 == 0
#define HALF_VECTORS 1 /* halves are made 16 at a time */
#else
#define HALF_VECTORS 0
#endif

/* A key or value as the cache gives it back: `rounded`; `bits` of its halves with HALF_VECTORS. */
CLM_INLINE void round_all(const float *from, const float scale, float *rounded, ushort *bits)
{
#if HALF_VECTORS
    for (int n = 0; n < HEAD_DIM / 16; n++) {
        vstore16(clm_half_bits16(vload16(n, from)), n, bits);
        vstore16(vload_half16(n, (const half *)bits), n, rounded);
    }
    (void)scale;
#else
    for (int d = 0; d < HEAD_DIM; d++) rounded[d] = kv_round(from[d], scale);
    (void)bits;
#endif
}

/* Stores the new key and value as they were rounded; the scales are those of int8. */
CLM_INLINE void write_new(const float *key, const float *value, const ushort *key_bits,
                          const ushort *value_bits, const float k_scale, const float v_scale,
                          const float length, __global KV_ELEM *k, __global KV_ELEM *v,
                          __global half *ks, __global half *vs, __global float *kmax, const int pos)
{
    const size_t k_at = (size_t)(pos / 16) * HEAD_DIM * 16 + (size_t)(pos % 16);
    const size_t v_at = (size_t)pos * HEAD_DIM;

#if HALF_VECTORS
    for (int d = 0; d < HEAD_DIM; d++) {
        ((__global ushort *)k)[k_at + (size_t)d * 16] = key_bits[d];
        ((__global ushort *)v)[v_at + (size_t)d] = value_bits[d];
    }
    (void)key;
    (void)value;
#else
    for (int d = 0; d < HEAD_DIM; d++) {
        kv_store1(key[d], k_scale, k_at + (size_t)d * 16, k);
        kv_store1(value[d], v_scale, v_at + (size_t)d, v);
    }
    (void)key_bits;
    (void)value_bits;
#endif
#if KV_TYPE == 2
    vstore_half_rte(k_scale, (size_t)pos, ks);
    vstore_half_rte(v_scale, (size_t)pos, vs);
#endif
    grow_kmax(kmax, pos, length);
    (void)ks;
    (void)vs;
}

/* What the scores and weights of a whole block, or of its first `count` keys, are multiplied with. */
CLM_INLINE float16 block_scales(__global const half *scales)
{
#if KV_TYPE == 2
    return vload_half16(0, scales);
#else
    (void)scales;
    return 1.0f;
#endif
}

CLM_INLINE float16 few_scales(__global const half *scales, const int count)
{
#if KV_TYPE == 2
    float of[16];

    for (int c = 0; c < 16; c++) of[c] = c < count ? vload_half((size_t)c, scales) : 0.0f;
    return vload16(0, of);
#else
    (void)scales;
    (void)count;
    return 1.0f;
#endif
}

/* Makes `top` the score that weighs 1, if it is more than m. */
CLM_INLINE void raise(const float top, float *m, float16 *l, VEC *acc)
{
    if (top > *m) {
        const float keep = exp(*m - top);

        *l *= keep;
        for (int n = 0; n < N_VEC; n++) acc[n] *= keep;
        *m = top;
    }
}

CLM_INLINE void add_values(const float *p, __global const KV_ELEM *values, const int count, VEC *acc)
{
    for (int c = 0; c < count; c++) {
#pragma unroll
        for (int n = 0; n < N_VEC; n++)
            acc[n] = fma(V_LOAD((size_t)c * N_VEC + (size_t)n, values), (VEC)(p[c]), acc[n]);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void attention_decode(ARGUMENTS)
{
    const int h = (int)get_global_id(0), split = (int)get_global_id(1);
    const int kv = h / heads_per_kv, pos = pos_in[0];
    const size_t base = (size_t)kv * (size_t)padded;
    const float slope = slopes[h];
    const float16 iota = (float16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __global const float *turn = cs + (size_t)pos * (size_t)rope_dims;
    __global float *to = part + (size_t)part_off + ((size_t)h * SPLITS + (size_t)split) * (HEAD_DIM + 2);
    float q[HEAD_DIM], key[HEAD_DIM], value[HEAD_DIM];
    float new_key[HEAD_DIM], new_value[HEAD_DIM]; /* as the cache gives them back */
    ushort key_bits[HEAD_DIM], value_bits[HEAD_DIM];
    float k_top = 0.0f, v_top = 0.0f, k_scale = 1.0f, v_scale = 1.0f;
    float square = 0.0f, key_square = 0.0f, own = 0.0f;
    VEC acc[N_VEC];

    for (int d = 0; d < HEAD_DIM; d++) {
        q[d] = turned(x + q_off + h * HEAD_DIM, turn, d, rope_dims) * scale;
        key[d] = turned(x + k_off + kv * HEAD_DIM, turn, d, rope_dims);
        value[d] = x[v_off + kv * HEAD_DIM + d];
        k_top = clm_top(k_top, fabs(key[d]));
        v_top = clm_top(v_top, fabs(value[d]));
    }
#if KV_TYPE == 2
    k_scale = kv_int8_scale(k_top);
    v_scale = kv_int8_scale(v_top);
#endif
    round_all(key, k_scale, new_key, key_bits);
    for (int d = 0; d < HEAD_DIM; d++) {
        square += q[d] * q[d];
        key_square += new_key[d] * new_key[d];
        own += q[d] * new_key[d];
    }
    /* Split 0 begins with the newest key, of weight 1; for the others its score is a bound only. */
    if (split == 0) round_all(value, v_scale, new_value, value_bits);
    for (int n = 0; n < N_VEC; n++) {
        VEC first = 0.0f;

        if (split == 0) first = LOAD(n, new_value);
        acc[n] = first;
    }

    float m = own;
    float16 l = 0.0f;
    const float reach = sqrt(square) * 1.0001f; /* more than rounding */
    const float margin = KV_VANISH + log((float)(pos + 1));
    const int newest = pos / CHUNK, whole = pos / 16 * 16; /* from `whole` on the block is being filled */

    if (split == 0 && pos > whole) {
        const int count = pos - whole;
        __global const KV_ELEM *keys = k + (base + (size_t)whole) * HEAD_DIM;
        float16 s = heads_per_kv > 1 ? few_scores(q, keys, count) : block_scores(q, keys);
        float p[16];

        s *= few_scales(ks + base + whole, count);
        s = select((float16)(-FLT_MAX), s + slope * (iota + (float)(whole - pos)), iota < (float)count);
        raise(clm_max16(s), &m, &l, acc);
        s = exp(s - m);
        l += s;
        vstore16(s * few_scales(vs + base + whole, count), 0, p);
        add_values(p, v + (base + (size_t)whole) * HEAD_DIM, count, acc);
    }
    /* Oldest first, and a chunk's keys before its values: memory is read ahead of long ascending runs,
     * and 16 KB of each are one where a block's 4 KB are not. */
    for (int first = (newest + SPLITS - split) % SPLITS * CHUNK; first < whole; first += SPLITS * CHUNK) {
        const int n_blocks = min(CHUNK, whole - first) / 16;
        float p[CHUNK], top = m;
        int matters[CHUNK / 16];

        for (int b = 0; b < n_blocks; b++) {
            const int at = first + 16 * b;
            float16 s;

            matters[b] = 1;
#if WINDOW
            matters[b] = !(reach * kmax[(base + (size_t)at) / 16] - slope * (float)(pos - at - 15) < m - margin);
            if (!matters[b]) continue;
#endif
            s = block_scores(q, k + (base + (size_t)at) * HEAD_DIM) * block_scales(ks + base + at);
            s += slope * (iota + (float)(at - pos));
            top = fmax(top, clm_max16(s));
            vstore16(s, b, p);
        }
        raise(top, &m, &l, acc);
        for (int b = 0; b < n_blocks; b++) {
            const int at = first + 16 * b;
            float16 s;

            if (!matters[b]) continue;
            s = exp(vload16(b, p) - m);
            l += s;
            vstore16(s * block_scales(vs + base + at), b, p);
            add_values(p + 16 * b, v + (base + (size_t)at) * HEAD_DIM, 16, acc);
        }
    }

    to[0] = m;
    to[1] = clm_sum16(l) + (split == 0 ? exp(own - m) : 0.0f);
    for (int n = 0; n < N_VEC; n++) STORE(acc[n], n, to + 2);
    if (split == 0 && h % heads_per_kv == 0)
        write_new(key, value, key_bits, value_bits, k_scale, v_scale, kv_length(key_square),
                  k + base * HEAD_DIM, v + base * HEAD_DIM, ks + base, vs + base, kmax + base / 16, pos);
    (void)k_top;
    (void)v_top;
    (void)reach;
    (void)margin;
}

#else /* FAMILY == 1 */

#if HEAD_DIM % 8 == 0
#define VW 8
#define VEC float8
#else
#define VW 1
#define VEC float
#endif
#define V_LANES  (HEAD_DIM / VW)                   /* that hold the values' sum */
#define ROUNDS   ((V_LANES + WG - 1) / WG)         /* vectors per item, when V_LANES > WG */
#define TEAMS    (V_LANES < WG ? WG / V_LANES : 1) /* that share the keys of a chunk */
#define K_LANES  (WG / 8)                          /* that share 8 keys, each with every K_LANES-th element */
#define RED      (K_LANES * CHUNK > TEAMS * HEAD_DIM ? K_LANES * CHUNK : TEAMS * HEAD_DIM)

/* Sum, and largest, over the group, in two steps: loops around barriers take PoCL seconds to compile.
 * `red` has room for WG + 16; every item must call these. */
CLM_INLINE float group_sum(__local float *red, const int lid, const float mine)
{
    float sum = 0.0f;

    red[lid] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = lid; i < WG && lid < 16; i += 16) sum += red[i];
    if (lid < 16) red[WG + lid] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    sum = 0.0f;
    for (int i = 0; i < 16; i++) sum += red[WG + i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

/* Of absolute values. */
CLM_INLINE float group_max(__local float *red, const int lid, const float mine)
{
    float top = mine;

    red[lid] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = lid; i < WG && lid < 16; i += 16) top = clm_top(top, red[i]);
    if (lid < 16) red[WG + lid] = top;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 16; i++) top = clm_top(top, red[WG + i]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return top;
}

/* The newest chunk from `first` on that matters; negative: none. The same for all items. */
CLM_INLINE int next_chunk(int first, __global const float *kmax, const int pos, const float reach,
                          const float slope, const float limit)
{
#if WINDOW
    while (first >= 0) {
        float longest = 0.0f;

        for (int b = first / 16; b < (first + CHUNK) / 16 && b < pos / 16; b++)
            longest = fmax(longest, kmax[b]);
        /* The chunk that the new key enters is always read, for its kmax is being written. (A flag in place of the
         * break makes PoCL 6.0 end the process.) */
        if (first + CHUNK > pos || !(reach * longest - slope * (float)(pos - first - CHUNK + 1) < limit)) break;
        first -= SPLITS * CHUNK;
    }
#else
    (void)kmax, (void)pos, (void)reach, (void)slope, (void)limit;
#endif
    return first;
}

/* Scores: item = (8 keys, every K_LANES-th element), 16 bytes a load; the sums over items go through
 * local memory. Values: item = (8 elements, every TEAMS-th key). */
__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void attention_decode(ARGUMENTS)
{
    __local float q[HEAD_DIM], key[HEAD_DIM], value[HEAD_DIM];
    __local float red[RED];
    __local float s[CHUNK], p[CHUNK];
    const int lid = (int)get_local_id(0);
    const int h = (int)get_group_id(0), split = (int)get_group_id(1);
    const int kv = h / heads_per_kv, pos = pos_in[0];
    const size_t base = (size_t)kv * (size_t)padded;
    const float slope = slopes[h];
    const int half_of = lid % 2, k_lane = lid / 2 % K_LANES, block = lid / 2 / K_LANES;
    const int lane = lid % V_LANES, team = lid / V_LANES;
    __global const float *turn = cs + (size_t)pos * (size_t)rope_dims;
    __global float *to = part + (size_t)part_off + ((size_t)h * SPLITS + (size_t)split) * (HEAD_DIM + 2);
    float k_top = 0.0f, v_top = 0.0f, k_scale = 1.0f, v_scale = 1.0f;
    float square = 0.0f, key_square = 0.0f, own = 0.0f;
    VEC acc[ROUNDS];

    for (int d = lid; d < HEAD_DIM; d += WG) {
        q[d] = turned(x + q_off + h * HEAD_DIM, turn, d, rope_dims) * scale;
        key[d] = turned(x + k_off + kv * HEAD_DIM, turn, d, rope_dims);
        value[d] = x[v_off + kv * HEAD_DIM + d];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#if KV_TYPE == 2
    for (int d = lid; d < HEAD_DIM; d += WG) {
        k_top = clm_top(k_top, fabs(key[d]));
        v_top = clm_top(v_top, fabs(value[d]));
    }
    k_scale = kv_int8_scale(group_max(red, lid, k_top));
    v_scale = kv_int8_scale(group_max(red, lid, v_top));
#endif
    for (int d = lid; d < HEAD_DIM; d += WG) {
        const float rounded = kv_round(key[d], k_scale);

        square += q[d] * q[d];
        key_square += rounded * rounded;
        own += q[d] * rounded;
    }
    square = group_sum(red, lid, square);
    key_square = group_sum(red, lid, key_square);
    own = group_sum(red, lid, own);
    for (int r = 0; r < ROUNDS; r++) {
        VEC first = 0.0f;
        const int at = (lane + r * WG) * VW;
#if VW == 8
        float rounded[8];
        for (int i = 0; i < 8; i++) rounded[i] = kv_round(value[min(at + i, HEAD_DIM - 1)], v_scale);
        if (split == 0 && team == 0) first = vload8(0, rounded);
#else
        if (split == 0 && team == 0) first = kv_round(value[min(at, HEAD_DIM - 1)], v_scale);
#endif
        acc[r] = first;
    }

    float m = own, l = 0.0f; /* m: the same in all items; l: of one key per chunk */
    const float reach = sqrt(square) * 1.0001f;
    const float margin = KV_VANISH + log((float)(pos + 1));
    int first = next_chunk((pos / CHUNK - split) * CHUNK, kmax + base / 16, pos, reach, slope, m - margin);

    while (first >= 0) {
        const int count = min(CHUNK, pos - first); /* 0: the new key opens the chunk */
        const int mine = first + block * 16 + half_of * 8;
        const int from = min(mine, padded - 8); /* behind the cache: scores that are not used */
        __global const KV_ELEM *keys =
            k + (base + (size_t)(from / 16 * 16)) * HEAD_DIM + (size_t)(from % 16);
        float8 sum = 0.0f;

        if (mine + 8 <= pos || (mine < pos && heads_per_kv == 1)) {
#if HEAD_DIM >= 8 * K_LANES
#pragma unroll 8
#endif
            for (int d = k_lane; d < HEAD_DIM; d += K_LANES) sum += q[d] * kv_load8(keys + (size_t)d * 16);
        } else if (mine < pos) {
            /* Heads share the keys, and one of them writes the newest: its place is left alone. */
            float each[8];

            for (int c = 0; c < 8; c++) each[c] = 0.0f;
            for (int d = k_lane; d < HEAD_DIM; d += K_LANES) {
                for (int c = 0; c < pos - mine; c++) each[c] += q[d] * KV_LOAD1((size_t)(d * 16 + c), keys);
            }
            sum = vload8(0, each);
        }
        vstore8(sum, 0, red + (k_lane * CHUNK + block * 16 + half_of * 8));
        barrier(CLK_LOCAL_MEM_FENCE); /* red is there; and s and p of the last chunk were read */
        for (int c = lid; c < CHUNK; c += WG) {
            float dot_k = 0.0f;

            for (int i = 0; i < K_LANES; i++) dot_k += red[i * CHUNK + c];
            s[c] = c < count ? dot_k * KV_SCALE(base + (size_t)(first + c), ks) - slope * (float)(pos - first - c)
                             : -FLT_MAX;
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* s is there; and red was read */
        float top = m;
        for (int c = 0; c < CHUNK; c++) top = fmax(top, s[c]);
        const float keep = exp(m - top);
        l *= keep;
        m = top;
        for (int c = lid; c < CHUNK; c += WG) {
            const float e = exp(s[c] - top);

            l += e;
            p[c] = c < count ? e * KV_SCALE(base + (size_t)(first + c), vs) : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* p is there */
        for (int r = 0; r < ROUNDS; r++) {
            const int at = min(lane + r * WG, V_LANES - 1);
            __global const KV_ELEM *val = v + (base + (size_t)first) * HEAD_DIM + (size_t)(at * VW);
            VEC sum_v = acc[r] * keep;

            for (int c = team < TEAMS ? team : count; c < count; c += TEAMS)
#if VW == 8
                sum_v += p[c] * kv_load8(val + (size_t)c * HEAD_DIM);
#else
                sum_v += p[c] * KV_LOAD1((size_t)c * HEAD_DIM, val);
#endif
            acc[r] = sum_v;
        }
        first = next_chunk(first - SPLITS * CHUNK, kmax + base / 16, pos, reach, slope, m - margin);
        barrier(CLK_LOCAL_MEM_FENCE); /* none is needed, but PoCL 3.1 wants loops to end with one */
    }

    l = group_sum(red, lid, l);
    for (int r = 0; r < ROUNDS; r++) {
        const int at = lane + r * WG;

#if VW == 8
        if (team < TEAMS && at < V_LANES) vstore8(acc[r], at, red + team * HEAD_DIM);
#else
        if (team < TEAMS && at < V_LANES) red[team * HEAD_DIM + at] = acc[r];
#endif
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int d = lid; d < HEAD_DIM; d += WG) {
        float sum = 0.0f;

        for (int t = 0; t < TEAMS; t++) sum += red[t * HEAD_DIM + d];
        to[2 + d] = sum;
    }
    if (lid == 0) {
        to[0] = m;
        to[1] = l + (split == 0 ? exp(own - m) : 0.0f);
    }
    if (split == 0 && h % heads_per_kv == 0) {
        for (int d = lid; d < HEAD_DIM; d += WG) {
            kv_store1(key[d], k_scale,
                      base * HEAD_DIM + ((size_t)(pos / 16) * HEAD_DIM + (size_t)d) * 16 + (size_t)(pos % 16), k);
            kv_store1(value[d], v_scale, (base + (size_t)pos) * HEAD_DIM + (size_t)d, v);
        }
        if (lid == 0) {
#if KV_TYPE == 2
            vstore_half_rte(k_scale, base + (size_t)pos, ks);
            vstore_half_rte(v_scale, base + (size_t)pos, vs);
#endif
            grow_kmax(kmax + base / 16, pos, kv_length(key_square));
        }
    }
    (void)k_top;
    (void)v_top;
}
#endif
