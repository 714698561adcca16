/* attention_amx.cl: causal attention of many new rows over the caches, with ALiBi's linear bias, by tiles of
 * bfloat16 numbers
 *
 *     out[m][h*HEAD_DIM + d] = sum_j p_j v[kv][j][d],  j = 0 .. pos0 + m
 *     p = softmax_j( q . k[kv][j] / sqrt(HEAD_DIM) - slope[h] * (pos0 + m - j) )
 *     q = x[m][q_off + h*HEAD_DIM ..],  kv = h / (n_heads / n_kv_heads)
 *
 * Rounded to bfloat16 are q, times log2(e) / sqrt(HEAD_DIM), keys (but int8, whose levels it holds), values
 * and weights; a row is divided by the sum of its weights as they were rounded. All sums are float.
 *
 * A work-item takes QUERIES rows, and chunks of keys from the newest to the oldest. Keys and values of a
 * chunk become tiles once for all rows; then 32 rows at a time their scores, weights and weighted sums. The
 * softmax runs online, in powers of two, beside a number that follows the largest score so far: only when
 * that exceeds it by RAISE are sums rescaled. 32 rows leave out a chunk whose keys together cannot weigh
 * more than 2^-24 of what is there, as in attention.cl.
 *
 * The order of numbers along a product is free, so that pairs are made of two vectors as they lie there:
 * pair p of 32 elements of a head (or of 32 keys) are numbers p and p + 16.
 *
 * Reference  clm_ref_attention_amx() in runtime/ops/ref_attention.c
 * Buffers    x: [rows][ld] f32.  k, v, kmax: runtime/ops/kv_layout.h; ks, vs: int8 only.  slopes:
 *            [n_heads] f32, zeros for no ALiBi.  out: [rows][ldo] f32; columns from n_heads*HEAD_DIM on stay
 *            untouched.
 * Launch     2-D: local 1, global = (groups of QUERIES rows, n_heads), those with the most keys first
 * Build      AMX: amx.cl;  HEAD_DIM a multiple of 32 up to 128;  KV_TYPE as in kv.cl
 * Tunables   QUERIES  rows of a work-item, a multiple of 32; each takes 6 HEAD_DIM bytes of private memory
 *            KEYS     of a chunk, a multiple of 32; each takes 4 HEAD_DIM + 192 bytes
 * Limits     pos0 + rows <= ctx. Values from there on are never read, and keys, which may share a block
 *            with older ones, never used. A value that is no finite number makes rows of its group NaN.
 */
#include "amx.cl"
#include "kv.cl"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef QUERIES
#define QUERIES 128
#endif
#ifndef KEYS
#define KEYS 64
#endif
#if HEAD_DIM < 32 || HEAD_DIM > 128 || HEAD_DIM % 32 != 0
#error "attention_amx: HEAD_DIM must be a multiple of 32 up to 128"
#endif
#if QUERIES < 32 || QUERIES > 512 || QUERIES % 32 != 0 || KEYS < 32 || KEYS % 32 != 0
#error "attention_amx: QUERIES and KEYS must be multiples of 32"
#endif

#define STEPS       (HEAD_DIM / 32) /* products along a head */
#define PAIRS       (KEYS / 32)     /* products along the keys */
#define KEY_TILES   (KEYS / 16)
#define VALUE_TILES (HEAD_DIM / 16)
#define LOG2_E      1.44269504f
/* Scores beside which masked ones, -FLT_MAX, weigh nothing, even when there are no others yet. */
#define LOWEST (-1e30f)
/* Weights up to 2^RAISE are as exact as those up to 1. */
#define RAISE 8.0f

#define IOTA ((float16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
/* One instruction, where fmax has to look for NaN; here it gives b where one of both is that. */
#define LARGER(a, b) select(b, a, isgreater(a, b))

/* Tiles 0 to 3, 32 x 32 sums, += two tiles A, below each other, by two tiles B, side by side. */
#define PRODUCT(a0, a1, b0, b1)                                                                    \
    CLM_TILE_LOAD(4, (const uint *)(a0), 16);                                                      \
    CLM_TILE_LOAD(6, (const uint *)(b0), 16);                                                      \
    CLM_TILE_DOT(0, 4, 6);                                                                         \
    CLM_TILE_LOAD(7, (const uint *)(b1), 16);                                                      \
    CLM_TILE_DOT(1, 4, 7);                                                                         \
    CLM_TILE_LOAD(5, (const uint *)(a1), 16);                                                      \
    CLM_TILE_DOT(2, 5, 6);                                                                         \
    CLM_TILE_DOT(3, 5, 7)

CLM_INLINE float top_of(const float16 v)
{
    float of[16];

    vstore16(v, 0, of);
    const float8 a = vload8(0, of), b = vload8(1, of), v8 = LARGER(a, b);
    vstore8(v8, 0, of);
    const float4 c = vload4(0, of), d = vload4(1, of), v4 = LARGER(c, d);
    return fmax(fmax(v4.s0, v4.s2), fmax(v4.s1, v4.s3));
}

/* 2^x of x <= RAISE to 4e-6 of it (a polynomial through the nodes of Chebyshev), 0 below 2^-127; NaN stays.
 * A sum with MAGIC is rounded to a whole number, and its lowest bits are that plus 127, the exponent. */
#define MAGIC 12583039.0f /* 1.5 * 2^23 + 127 */
CLM_INLINE float16 power_of_two(const float16 x)
{
    const float16 y = LARGER((float16)(-127.0f), x), whole = y + MAGIC, f = y - (whole - MAGIC);
    float16 v = fma(f, (float16)(0.00966636852f), (float16)(0.0559219758f));

    v = fma(f, v, (float16)(0.240223490f));
    v = fma(f, v, (float16)(0.693121045f));
    v = fma(f, v, (float16)(1.0f));
    return v * as_float16(as_uint16(whole) << 23u);
}

/* The largest kmax of the blocks of a chunk. */
CLM_INLINE float chunk_kmax(__global const float *kmax, const int first, const int padded)
{
    float top = 0.0f;

    for (int b = first / 16; b < min(first + KEYS, padded) / 16; b++) top = fmax(top, kmax[b]);
    return top;
}

/* Whether a chunk can matter to one of 32 rows at positions from pos on, `last` standing for those behind
 * it. */
CLM_INLINE bool matters(const float *m, const float *reach, const float longest, const float slope,
                        const float log_n, const int first, const int pos, const int last)
{
    int each[16], any_of = 0;
    int16 needed = 0;

    for (int i = 0; i < 2; i++) {
        const float16 at = fmin(IOTA + (float)(pos + 16 * i), (float16)((float)last));
        const float16 bound =
            vload16(i, reach) * longest - slope * (at - (float)(first + KEYS - 1)) + log_n;

        needed |= ~isless(bound, vload16(i, m) - KV_VANISH * LOG2_E);
    }
    vstore16(needed, 0, each);
    for (int i = 0; i < 16; i++) any_of |= each[i];
    return any_of != 0;
}

/* Keys of a chunk, and scales of int8 ones; zeros behind the cache. */
CLM_INLINE void take_keys(__global const KV_ELEM *k, __global const half *ks, const int first,
                          const int padded, uint16 *keys, float16 *scales)
{
    for (int b = 0; b < KEY_TILES; b++) {
        const bool exists = first + b * 16 < padded;
        __global const KV_ELEM *from = k + (size_t)(first + (exists ? b * 16 : 0)) * HEAD_DIM;
        uint16 *to = keys + b * STEPS * 16;

#if KV_TYPE == 2
        scales[b] = exists ? vload_half16(0, ks + first + b * 16) : 0.0f;
#endif
        for (int i = 0; i < STEPS; i++) {
            for (int p = 0; p < 16; p++) {
                const uint16 pair = clm_bf16_pair(KV_LOADN(16, i * 32 + p, from),
                                                  KV_LOADN(16, i * 32 + p + 16, from));

                to[i * 16 + p] = exists ? pair : (uint16)(0u);
            }
        }
    }
    (void)ks;
    (void)scales;
}

/* Values; zeros behind position `last`, for whatever is there must not come into a product, even one with
 * zero. */
CLM_INLINE void take_values(__global const KV_ELEM *v, __global const half *vs, const int first,
                            const int last, uint16 *values)
{
    for (int i = 0; i < PAIRS; i++) {
        for (int p = 0; p < 16; p++) {
            const int a = first + i * 32 + p, b = a + 16;
            __global const KV_ELEM *va = v + (size_t)min(a, last) * HEAD_DIM;
            __global const KV_ELEM *vb = v + (size_t)min(b, last) * HEAD_DIM;
            const float sa = KV_SCALE(min(a, last), vs), sb = KV_SCALE(min(b, last), vs);
            const uint there = (a <= last ? 0xffffu : 0u) | (b <= last ? 0xffff0000u : 0u);

            for (int n = 0; n < VALUE_TILES; n++)
                values[(i * VALUE_TILES + n) * 16 + p] =
                    clm_bf16_pair(KV_LOADN(16, n, va) * sa, KV_LOADN(16, n, vb) * sb) & there;
        }
    }
}

/* Scores of 32 rows become weights: s and p are tiles, [2 of 16 rows][chunk]; m, l and o are those rows'.
 * `masked`: a key of the chunk is a row's future. */
CLM_INLINE void weigh(const float16 *s, const float16 *scales, const float16 *bias, uint16 *p, float *m,
                      float16 *l, float16 *o, const float slope, const int first, const int pos,
                      const int last, const bool masked)
{
    for (int r = 0; r < 32; r++) {
        const int at = min(pos + r, last) - first, tile = r / 16, row = r % 16;
        const float behind = slope * (float)(-at);
        float16 e[KEY_TILES], top16 = -FLT_MAX;
        float top = m[r];

#pragma unroll
        for (int b = 0; b < KEY_TILES; b++) {
            e[b] = s[(tile * KEY_TILES + b) * 16 + row];
#if KV_TYPE == 2
            e[b] *= scales[b];
#endif
            e[b] += bias[b] + behind;
            if (masked)
                e[b] = select((float16)(-FLT_MAX), e[b], IOTA + (float)(16 * b) <= (float)at);
            top16 = LARGER(e[b], top16);
        }
        const float highest = top_of(top16);

        if (highest > top + RAISE) {
            const float16 keep = power_of_two((float16)(fmax(top - highest, -127.0f)));

            top = m[r] = highest;
            l[r] *= keep;
            for (int n = 0; n < VALUE_TILES; n++) o[(tile * VALUE_TILES + n) * 16 + row] *= keep;
        }
        float16 sum = l[r];
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            const uint16 a = clm_bf16_round(power_of_two(e[2 * i] - top)) & 0xffff0000u;
            const uint16 b = clm_bf16_round(power_of_two(e[2 * i + 1] - top)) & 0xffff0000u;

            sum += as_float16(a) + as_float16(b);
            p[(tile * PAIRS + i) * 16 + row] = a >> 16u | b;
        }
        l[r] = sum;
    }
    (void)scales;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void attention_amx(__global const float *restrict x, __global const KV_ELEM *restrict k,
                   __global const KV_ELEM *restrict v, __global const half *restrict ks,
                   __global const half *restrict vs, __global const float *restrict kmax,
                   __global const float *restrict slopes, __global float *restrict out,
                   const int ld, const int q_off, const int ldo, const int heads_per_kv,
                   const int padded, const int pos0, const int rows, const float scale)
{
    const int h = (int)get_global_id(1);
    /* The last rows have the most to do, and come first. */
    const int m0 = (int)(get_global_size(0) - 1 - get_global_id(0)) * QUERIES;
    const int n_rows = min(QUERIES, rows - m0), last = pos0 + m0 + n_rows - 1;
    const size_t base = (size_t)(h / heads_per_kv) * (size_t)padded;
    const float slope = slopes[h] * LOG2_E, log_n = log2((float)(last + 1));
    /* Tiles, of which each is 16 vectors, and numbers of each row. */
    uint16 q[QUERIES / 16 * STEPS * 16], keys[KEY_TILES * STEPS * 16];
    uint16 values[PAIRS * VALUE_TILES * 16], p[2 * PAIRS * 16];
    float16 s[2 * KEY_TILES * 16], o[QUERIES / 16 * VALUE_TILES * 16];
    float16 l[QUERIES], bias[KEY_TILES], scales[KEY_TILES];
    float m[QUERIES], reach[QUERIES];

    k += base * HEAD_DIM;
    v += base * HEAD_DIM;
    kmax += base / 16;
#if KV_TYPE == 2
    ks += base;
    vs += base;
#endif
    for (int b = 0; b < KEY_TILES; b++) bias[b] = slope * (IOTA + (float)(16 * b));
    for (int r = 0; r < (n_rows + 31) / 32 * 32; r++) {
        /* Rows behind the end repeat the last one, and are not written. */
        __global const float *from = x + (size_t)(m0 + min(r, n_rows - 1)) * (size_t)ld + (size_t)q_off +
                                     (size_t)h * HEAD_DIM;
        float16 square = 0.0f;

        for (int i = 0; i < STEPS; i++) {
            const float16 a = vload16(2 * i, from) * (scale * LOG2_E);
            const float16 b = vload16(2 * i + 1, from) * (scale * LOG2_E);

            square += a * a + b * b;
            q[(r / 16 * STEPS + i) * 16 + r % 16] = clm_bf16_pair(a, b);
        }
        reach[r] = sqrt(clm_sum16(square)) * 1.01f; /* more than rounding, of keys too */
        m[r] = LOWEST;
        l[r] = 0.0f;
        for (int n = 0; n < VALUE_TILES; n++) o[(r / 16 * VALUE_TILES + n) * 16 + r % 16] = 0.0f;
    }

    CLM_TILES_BEGIN;
    for (int first = last / KEYS * KEYS; first >= 0; first -= KEYS) {
        const float longest = chunk_kmax(kmax, first, padded);
        uint needed = 0;

        for (int r = 0; r < n_rows; r += 32) {
            const int pos = pos0 + m0 + r;

            if (first <= pos + 31 && matters(m + r, reach + r, longest, slope, log_n, first, pos, last))
                needed |= 1u << (r / 32);
        }
        if (needed == 0) continue;
        take_keys(k, ks, first, padded, keys, scales);
        take_values(v, vs, first, last, values);

        for (int r = 0; r < n_rows; r += 32) {
            const int pos = pos0 + m0 + r;
            const uint16 *queries = q + r / 16 * STEPS * 16;
            float16 *sums = o + r / 16 * VALUE_TILES * 16;

            if ((needed >> (r / 32) & 1u) == 0) continue;
            for (int b = 0; b < KEY_TILES; b += 2) {
                const uint16 *two = keys + b * STEPS * 16;
                float *to = (float *)(s + b * 16);

                CLM_TILE_ZERO(0);
                CLM_TILE_ZERO(1);
                CLM_TILE_ZERO(2);
                CLM_TILE_ZERO(3);
                for (int i = 0; i < STEPS; i++) {
                    PRODUCT(queries + i * 16, queries + (STEPS + i) * 16, two + i * 16,
                            two + (STEPS + i) * 16);
                }
                CLM_TILE_STORE(0, to, 16);
                CLM_TILE_STORE(1, to + 256, 16);
                CLM_TILE_STORE(2, to + KEY_TILES * 256, 16);
                CLM_TILE_STORE(3, to + (KEY_TILES + 1) * 256, 16);
            }
            weigh(s, scales, bias, p, m + r, l + r, sums, slope, first, pos, last, first + KEYS - 1 > pos);
            for (int n = 0; n < VALUE_TILES; n += 2) {
                float *to = (float *)(sums + n * 16);

                CLM_TILE_LOAD(0, to, 16);
                CLM_TILE_LOAD(1, to + 256, 16);
                CLM_TILE_LOAD(2, to + VALUE_TILES * 256, 16);
                CLM_TILE_LOAD(3, to + (VALUE_TILES + 1) * 256, 16);
                for (int i = 0; i < PAIRS; i++) {
                    const uint16 *two = values + (i * VALUE_TILES + n) * 16;

                    PRODUCT(p + i * 16, p + (PAIRS + i) * 16, two, two + 16);
                }
                CLM_TILE_STORE(0, to, 16);
                CLM_TILE_STORE(1, to + 256, 16);
                CLM_TILE_STORE(2, to + VALUE_TILES * 256, 16);
                CLM_TILE_STORE(3, to + (VALUE_TILES + 1) * 256, 16);
            }
        }
    }
    CLM_TILES_END;

    for (int r = 0; r < n_rows; r++) {
        __global float *to = out + (size_t)(m0 + r) * (size_t)ldo + (size_t)h * HEAD_DIM;
        const float sum = clm_sum16(l[r]);

        for (int n = 0; n < VALUE_TILES; n++)
            vstore16(o[(r / 16 * VALUE_TILES + n) * 16 + r % 16] / sum, n, to);
    }
}
