/* attention.cl: causal attention of new rows over the caches, with ALiBi's linear bias
 *
 *     out[m][h*HEAD_DIM + d] = sum_j p_j v[kv][j][d],  j = 0 .. pos0 + m
 *     p = softmax_j( q . k[kv][j] / sqrt(HEAD_DIM) - slope[h] * (pos0 + m - j) )
 *     q = x[m][q_off + h*HEAD_DIM ..],  kv = h / (n_heads / n_kv_heads)
 *
 * The softmax runs online: m, the largest score so far, l, the sum of exp(score - m), and acc, the
 * weighted sum of values, are rescaled once per chunk of keys. m starts at -FLT_MAX, not at -infinity,
 * so that no infinity is subtracted from another. Chunks are taken from the newest to the oldest: with
 * a bias the largest scores come first, and with WINDOW a chunk is left out when its keys together
 * cannot weigh more than 2^-24 of what is there: |q| kmax bounds their scores (Cauchy-Schwarz). So
 * each head reads as far back as its slope makes necessary, and the result stays exact.
 *
 * Reference  clm_ref_attention() in runtime/ops/ref_attention.c
 * Buffers    x: [rows][ld] f32.  k, v, ks, vs, kmax: runtime/ops/kv_layout.h.  slopes: [n_heads] f32,
 *            zeros for no ALiBi.  out: [rows][ldo] f32; columns from n_heads*HEAD_DIM on stay untouched.
 * Build      HEAD_DIM 1..512;  KV_TYPE as in kv.cl
 * Launch     2-D: local = (WG, 1), global = (groups of QUERIES rows * WG, n_heads): neighbours share
 *            the keys and values of a head, which then stay in a cache
 * Tunables   FAMILY   0: one work-item takes QUERIES rows of a head, for CPUs: keys and values are
 *                        widened to float16 once for all of them
 *                     1: a group takes QUERIES rows, in chunks of 64 keys, for GPUs
 *                     2: one work-item, one row, no vectors: the plain version to compare with
 *            QUERIES  rows per group: up to 8 in family 0, a multiple of WG / 8 in 1, 1 in 2
 *            CHUNK    keys per rescaling, a multiple of 16; 64 in family 1
 *            WG       work-items per group: 1 in families 0 and 2, a power of two from 64 in 1
 *            WINDOW   1: leave out chunks whose weights vanish (families 0 and 1)
 * Limits     pos0 + rows <= ctx. Values from there on are never read, and keys, which may share a block
 *            with older ones, never used.
 */
#include "kv.cl"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef QUERIES
#define QUERIES 8
#endif
#ifndef CHUNK
#define CHUNK 64
#endif
#ifndef WG
#define WG 1
#endif
#ifndef WINDOW
#define WINDOW 1
#endif
#if HEAD_DIM < 1 || HEAD_DIM > 512
#error "attention: HEAD_DIM must be 1 to 512"
#endif
#if WG < 1 || (WG & (WG - 1)) || (FAMILY != 1 && WG != 1) || (FAMILY == 1 && WG < 64)
#error "attention: WG must be 1, in family 1 a power of two from 64 on"
#endif
#if CHUNK < 16 || CHUNK % 16 != 0 || (FAMILY == 1 && CHUNK != 64)
#error "attention: CHUNK must be a multiple of 16, and 64 in family 1"
#endif

#define ARGUMENTS                                                                                   \
    __global const float *restrict x, __global const KV_ELEM *restrict k,                           \
        __global const KV_ELEM *restrict v, __global const half *restrict ks,                       \
        __global const half *restrict vs, __global const float *restrict kmax,                      \
        __global const float *restrict slopes, __global float *restrict out, const int ld,          \
        const int q_off, const int ldo, const int heads_per_kv, const int padded, const int pos0,   \
        const int rows, const float scale

/* The largest kmax of the blocks of positions first .. first + CHUNK - 1, first a multiple of CHUNK. */
CLM_INLINE float chunk_kmax(__global const float *kmax, const int first, const int padded)
{
    float top = 0.0f;

    for (int b = first / 16; b < min(first + CHUNK, padded) / 16; b++) top = fmax(top, kmax[b]);
    return top;
}

#if FAMILY == 0

#include "head_vector.cl"

#define KV (CHUNK / 16) /* vectors of keys in a chunk */
/* Vectors handled at a time: with 8 queries two make 16 sums, which hide the latency of a
 * multiply-add and fit the registers. */
#define K_PAIR (KV % 2 == 0 ? 2 : 1)
#define V_PAIR (N_VEC % 2 == 0 ? 2 : 1)

/* s[i][at..] = q[i] . keys of K_PAIR blocks from `key` on, `step` vectors apart; q is
 * [QUERIES][HEAD_DIM]. */
CLM_INLINE void scores(const float *q, __global const KV_ELEM *key, const int step,
                       float16 s[QUERIES][KV], const int at)
{
    float16 sum[QUERIES][K_PAIR];

#pragma unroll
    for (int i = 0; i < QUERIES; i++) {
#pragma unroll
        for (int b = 0; b < K_PAIR; b++) sum[i][b] = 0.0f;
    }
    for (int d = 0; d < HEAD_DIM; d++) {
        float16 kd[K_PAIR];
#pragma unroll
        for (int b = 0; b < K_PAIR; b++) kd[b] = KV_LOADN(16, b * step + d, key);
#pragma unroll
        for (int i = 0; i < QUERIES; i++) {
#pragma unroll
            for (int b = 0; b < K_PAIR; b++) sum[i][b] = fma(kd[b], (float16)(q[i * HEAD_DIM + d]), sum[i][b]);
        }
    }
#pragma unroll
    for (int i = 0; i < QUERIES; i++) {
#pragma unroll
        for (int b = 0; b < K_PAIR; b++) s[i][at + b] = sum[i][b];
    }
}

/* acc[i] = acc[i] * keep[i] + sum_c p[i][c] value c, c < count. */
CLM_INLINE void weighted_sum(VEC acc[QUERIES][N_VEC], const float *keep, const float *p,
                             __global const KV_ELEM *val, const int count)
{
    for (int n = 0; n < N_VEC; n += V_PAIR) {
        VEC sum[QUERIES][V_PAIR];

#pragma unroll
        for (int i = 0; i < QUERIES; i++) {
#pragma unroll
            for (int b = 0; b < V_PAIR; b++) sum[i][b] = acc[i][n + b] * keep[i];
        }
        for (int c = 0; c < count; c++) {
            VEC vc[V_PAIR];
#pragma unroll
            for (int b = 0; b < V_PAIR; b++) vc[b] = V_LOAD(c * N_VEC + n + b, val);
#pragma unroll
            for (int i = 0; i < QUERIES; i++) {
#pragma unroll
                for (int b = 0; b < V_PAIR; b++) sum[i][b] = fma(vc[b], (VEC)(p[i * CHUNK + c]), sum[i][b]);
            }
        }
#pragma unroll
        for (int i = 0; i < QUERIES; i++) {
#pragma unroll
            for (int b = 0; b < V_PAIR; b++) acc[i][n + b] = sum[i][b];
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void attention(ARGUMENTS)
{
    const int h = (int)get_global_id(1);
    const int m0 = (int)get_global_id(0) * QUERIES;
    const int last = pos0 + min(m0 + QUERIES, rows) - 1; /* position of the last query */
    const int kv = h / heads_per_kv;
    const size_t base = (size_t)kv * (size_t)padded;
    const float slope = slopes[h];
    const float16 iota = (float16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const float log_n = log((float)(last + 1));
    float q[HEAD_DIM * QUERIES], p[CHUNK * QUERIES];
    float m[QUERIES], keep[QUERIES], reach[QUERIES]; /* reach: |q|, to bound scores */
    float16 l[QUERIES];
    VEC acc[QUERIES][N_VEC];

    for (int i = 0; i < QUERIES; i++) {
        /* Rows behind the end repeat the last one, and are not written. */
        const int row = min(m0 + i, rows - 1);
        __global const float *from = x + (size_t)row * (size_t)ld + (size_t)q_off + (size_t)h * HEAD_DIM;
        float square = 0.0f;

        for (int d = 0; d < HEAD_DIM; d++) {
            const float e = from[d] * scale;
            q[i * HEAD_DIM + d] = e;
            square += e * e;
        }
        reach[i] = sqrt(square) * 1.0001f; /* more than rounding */
        m[i] = -FLT_MAX;
        l[i] = 0.0f;
        for (int n = 0; n < N_VEC; n++) acc[i][n] = 0.0f;
    }

    for (int first = last / CHUNK * CHUNK; first >= 0; first -= CHUNK) {
        const int count = min(CHUNK, last + 1 - first), used = (count + 15) / 16;
        float16 s[QUERIES][KV];

#if WINDOW
        const float longest = chunk_kmax(kmax + base / 16, first, padded);
        int needed = 0;
        for (int i = 0; i < QUERIES; i++) {
            const int pos = pos0 + min(m0 + i, rows - 1);
            const float bound = reach[i] * longest - slope * (float)(pos - first - CHUNK + 1) + log_n;
            needed |= !(bound < m[i] - KV_VANISH);
        }
        if (!needed) continue;
#endif
        /* Of a pair that ends behind the cache the first block stands for both: no score of the second
         * is used. */
        for (int b = 0; b < used; b += K_PAIR)
            scores(q, k + (base + (size_t)(first + b * 16)) * HEAD_DIM,
                   first + b * 16 + 16 < padded ? HEAD_DIM : 0, s, b);
        for (int i = 0; i < QUERIES; i++) {
            const int pos = pos0 + min(m0 + i, rows - 1);
            float16 top16 = m[i];

            for (int b = 0; b < used; b++) {
                const float16 at = iota + (float)(first + b * 16 - pos); /* minus the distance */
                float16 e = s[i][b];
#if KV_TYPE == 2
                e *= vload_half16(0, ks + base + first + b * 16);
#endif
                e = select((float16)(-FLT_MAX), e + slope * at, at <= 0.0f);
                s[i][b] = e;
                top16 = fmax(top16, e);
            }
            const float top = clm_max16(top16);

            keep[i] = exp(m[i] - top);
            l[i] *= keep[i];
            m[i] = top;
            for (int b = 0; b < used; b++) {
                float16 e = exp(s[i][b] - top);

                l[i] += e;
#if KV_TYPE == 2
                e *= vload_half16(0, vs + base + first + b * 16);
#endif
                vstore16(e, i * KV + b, p);
            }
        }
        weighted_sum(acc, keep, p, v + (base + (size_t)first) * HEAD_DIM, count);
    }

    for (int i = 0; i < min(QUERIES, rows - m0); i++) {
        __global float *to = out + (size_t)(m0 + i) * (size_t)ldo + (size_t)h * HEAD_DIM;
        const float sum = clm_sum16(l[i]);

        for (int n = 0; n < N_VEC; n++) STORE(acc[i][n] / sum, n, to);
    }
    /* Used by int8 and by WINDOW only. */
    (void)ks;
    (void)vs;
    (void)kmax;
    (void)log_n;
    (void)reach;
}

#elif FAMILY == 2

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void attention(ARGUMENTS)
{
    const int h = (int)get_global_id(1);
    const size_t row = get_global_id(0);
    const int n = pos0 + (int)row + 1;
    const size_t base = (size_t)(h / heads_per_kv) * (size_t)padded;
    __global const float *q = x + row * (size_t)ld + (size_t)q_off + (size_t)h * HEAD_DIM;
    __global float *to = out + row * (size_t)ldo + (size_t)h * HEAD_DIM;
    float acc[HEAD_DIM];
    float m = -FLT_MAX, l = 0.0f;

    for (int d = 0; d < HEAD_DIM; d++) acc[d] = 0.0f;
    for (int j = 0; j < n; j++) {
        const size_t at = base + (size_t)j;
        __global const KV_ELEM *key = k + at / 16 * 16 * HEAD_DIM + at % 16;
        __global const KV_ELEM *val = v + at * HEAD_DIM;
        float dot_k = 0.0f;

        for (int d = 0; d < HEAD_DIM; d++) dot_k += q[d] * KV_LOAD1((size_t)d * 16, key);
        const float s = dot_k * scale * KV_SCALE(at, ks) - slopes[h] * (float)(n - 1 - j);
        const float top = fmax(m, s);
        const float keep = exp(m - top), p = exp(s - top);
        const float pv = p * KV_SCALE(at, vs);

        l = l * keep + p;
        for (int d = 0; d < HEAD_DIM; d++) acc[d] = acc[d] * keep + pv * KV_LOAD1(d, val);
        m = top;
    }
    for (int d = 0; d < HEAD_DIM; d++) to[d] = acc[d] / l;
    (void)kmax;
    (void)rows;
}

#else /* FAMILY == 1 */

#if HEAD_DIM % 8 == 0
#define VW 8
#define VEC float8
#else
#define VW 1
#define VEC float
#endif
#define LANES   (HEAD_DIM / VW)               /* that hold one row of values or sums */
#define ROUNDS  ((LANES + WG - 1) / WG)       /* vectors of a row per item, when LANES > WG */
#define TEAMS   (LANES < WG ? WG / LANES : 1) /* that share the rows of the tile */
#define PER_TEAM ((QUERIES + TEAMS - 1) / TEAMS)
#define KEY_GROUPS (CHUNK / 8)
#define PER_ITEM (QUERIES * KEY_GROUPS / WG) /* rows whose scores an item computes, for 8 keys */
#if PER_ITEM < 1 || QUERIES * KEY_GROUPS % WG != 0
#error "attention: QUERIES must be a multiple of WG / 8"
#endif

/* The newest chunk from `first` on that matters to a row of the tile, which begins at position `pos`;
 * negative: there is none. All items come to the same result. */
CLM_INLINE int next_chunk(int first, __local const float *reach, __local const float *m,
                          __global const float *kmax, const float slope, const float log_n,
                          const int pos, const int last, const int padded)
{
#if WINDOW
    int needed = 0;

    while (first >= 0 && !needed) {
        const float longest = chunk_kmax(kmax, first, padded);

        for (int i = 0; i < QUERIES; i++) {
            const int distance = min(pos + i, last) - first - CHUNK + 1;
            const float bound = reach[i] * longest - slope * (float)distance + log_n;
            needed |= !(bound < m[i] - KV_VANISH);
        }
        first -= needed ? 0 : CHUNK;
    }
#else
    (void)reach, (void)m, (void)kmax, (void)slope, (void)log_n, (void)pos, (void)last, (void)padded;
#endif
    return first;
}

/* Scores: item = (8 keys, PER_ITEM rows), no sum over items. Values: item = (8 elements, every TEAMS-th
 * row). Both read the cache 16 bytes at a time, and hand over the weights in local memory. */
__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void attention(ARGUMENTS)
{
    __local float q[HEAD_DIM * QUERIES]; /* [HEAD_DIM][QUERIES], scaled */
    __local float p[CHUNK * QUERIES];    /* [CHUNK][QUERIES] weights, times the scale of int8 values */
    __local float part[KEY_GROUPS * QUERIES];
    __local float keep[QUERIES], m_of[QUERIES], reach[QUERIES];
    const int lid = (int)get_local_id(0);
    const int h = (int)get_group_id(1);
    const int m0 = (int)get_group_id(0) * QUERIES;
    const int last = pos0 + min(m0 + QUERIES, rows) - 1;
    const size_t base = (size_t)(h / heads_per_kv) * (size_t)padded;
    const float slope = slopes[h];
    const float log_n = log((float)(last + 1));
    const int group = lid % KEY_GROUPS, row0 = lid / KEY_GROUPS * PER_ITEM; /* scores */
    const int lane = lid % LANES, team = lid / LANES;                      /* values */
    float m[PER_ITEM], l[PER_ITEM];
    VEC acc[ROUNDS][PER_TEAM];

    for (int i = lid; i < HEAD_DIM * QUERIES; i += WG) {
        const int row = min(m0 + i / HEAD_DIM, rows - 1), d = i % HEAD_DIM;
        q[d * QUERIES + i / HEAD_DIM] =
            x[(size_t)row * (size_t)ld + (size_t)q_off + (size_t)h * HEAD_DIM + (size_t)d] * scale;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = lid; i < QUERIES; i += WG) {
        float square = 0.0f;
        for (int d = 0; d < HEAD_DIM; d++) square += q[d * QUERIES + i] * q[d * QUERIES + i];
        reach[i] = sqrt(square) * 1.0001f;
        m_of[i] = -FLT_MAX;
    }
    for (int i = 0; i < PER_ITEM; i++) {
        m[i] = -FLT_MAX;
        l[i] = 0.0f;
    }
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < PER_TEAM; i++) acc[r][i] = 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    int first = last / CHUNK * CHUNK;
    while (first >= 0) {
        const int count = min(CHUNK, last + 1 - first);
        const int key = first + group * 8; /* positions key .. key + 7 are this item's */
        /* Reading behind the cache is avoided by reading its last keys, whose scores are not used. */
        const int from = min(key, padded - 8);
        __global const KV_ELEM *keys =
            k + (base + (size_t)(from / 16 * 16)) * HEAD_DIM + (size_t)(from % 16);
        float8 s[PER_ITEM];

#pragma unroll
        for (int i = 0; i < PER_ITEM; i++) s[i] = 0.0f;
        for (int d = 0; d < HEAD_DIM; d++) {
            const float8 kd = kv_load8(keys + (size_t)d * 16);
#pragma unroll
            for (int i = 0; i < PER_ITEM; i++) s[i] += q[d * QUERIES + row0 + i] * kd;
        }
#pragma unroll
        for (int i = 0; i < PER_ITEM; i++) {
            const int pos = pos0 + min(m0 + row0 + i, rows - 1);
            float each[8], top = -FLT_MAX;

            vstore8(s[i], 0, each);
            for (int c = 0; c < 8; c++) {
                const float e = each[c] * KV_SCALE(base + (size_t)(from + c), ks) -
                                slope * (float)(pos - key - c);
                each[c] = key + c <= pos ? e : -FLT_MAX;
                top = fmax(top, each[c]);
            }
            s[i] = vload8(0, each);
            part[group * QUERIES + row0 + i] = top;
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* part is there; and p and keep of the last chunk were read */
#pragma unroll
        for (int i = 0; i < PER_ITEM; i++) {
            float top = m[i], each[8];

            for (int g = 0; g < KEY_GROUPS; g++) top = fmax(top, part[g * QUERIES + row0 + i]);
            const float old = exp(m[i] - top);
            const float8 e = exp(s[i] - top);
            m[i] = top;
            vstore8(e, 0, each);
            l[i] = l[i] * old + clm_sum8(e);
            if (group == 0) {
                keep[row0 + i] = old;
                m_of[row0 + i] = top;
            }
            for (int c = 0; c < 8; c++)
                p[(group * 8 + c) * QUERIES + row0 + i] = each[c] * KV_SCALE(base + (size_t)(from + c), vs);
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* p and keep are there; and part was read */
        if (team < TEAMS) {
            for (int r = 0; r < ROUNDS; r++) {
                const int at = lane + r * WG;
                __global const KV_ELEM *val = v + (base + (size_t)first) * HEAD_DIM + (size_t)(at * VW);

                if (at >= LANES) continue;
#pragma unroll
                for (int i = 0; i < PER_TEAM; i++) acc[r][i] *= keep[min(team + i * TEAMS, QUERIES - 1)];
                for (int c = 0; c < count; c++) {
#if VW == 8
                    const float8 vc = kv_load8(val + (size_t)c * HEAD_DIM);
#else
                    const float vc = KV_LOAD1((size_t)c * HEAD_DIM, val);
#endif
#pragma unroll
                    for (int i = 0; i < PER_TEAM; i++)
                        acc[r][i] += p[c * QUERIES + min(team + i * TEAMS, QUERIES - 1)] * vc;
                }
            }
        }
        first = next_chunk(first - CHUNK, reach, m_of, kmax + base / 16, slope, log_n, pos0 + m0, last,
                           padded);
        barrier(CLK_LOCAL_MEM_FENCE); /* none is needed, but PoCL 3.1 wants loops to end with one */
    }

    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
    for (int i = 0; i < PER_ITEM; i++) part[group * QUERIES + row0 + i] = l[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int r = 0; r < ROUNDS && team < TEAMS; r++) {
        const int at = lane + r * WG;

#pragma unroll
        for (int i = 0; i < PER_TEAM; i++) {
            const int row = team + i * TEAMS;
            float sum = 0.0f;

            if (at >= LANES || row >= QUERIES || m0 + row >= rows) continue;
            for (int g = 0; g < KEY_GROUPS; g++) sum += part[g * QUERIES + row];
            __global float *to =
                out + (size_t)(m0 + row) * (size_t)ldo + (size_t)h * HEAD_DIM + (size_t)(at * VW);
#if VW == 8
            vstore8(acc[r][i] / sum, 0, to);
#else
            *to = acc[r][i] / sum;
#endif
        }
    }
    (void)kmax;
    (void)log_n;
}
#endif
