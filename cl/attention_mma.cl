/* attention_mma.cl: causal attention of many new rows over f16 or int8 caches, with ALiBi's linear bias, on the
 * tensor cores of a GPU
 *
 *     out[m][h*HEAD_DIM + d] = sum_j p_j v[kv][j][d],  j = 0 .. pos0 + m
 *     p = softmax_j( q . k[kv][j] / sqrt(HEAD_DIM) - slope[h] * (pos0 + m - j) )
 *     q = x[m][q_off + h*HEAD_DIM ..],  kv = h / (n_heads / n_kv_heads)
 *
 * Rounded to f16 are q, times log2(e) / sqrt(HEAD_DIM), each weight beside the largest so far, and what comes
 * from int8 caches; all sums are float. The softmax runs online, in powers of two, over chunks of keys from
 * the newest to the oldest as in attention.cl; a group stops where all older keys together cannot weigh more
 * than 2^-24 of what it has, by the largest kmax of all.
 *
 * A warp takes 16 rows, and keeps their q, sums and a chunk's scores in registers: as pairs of numbers,
 * scores that come out of the first product are the factor of the second. Keys of the next chunk come into
 * local memory during the second product, values of this one during the first.
 *
 * Reference  clm_ref_attention_mma() in runtime/ops/ref_attention.c
 * Buffers    x: [rows][ld] f32.  k, v, kmax: runtime/ops/kv_layout.h; ks, vs: int8 only.  slopes:
 *            [n_heads] f32, zeros for no ALiBi.  out: [rows][ldo] f32; columns from n_heads*HEAD_DIM on stay
 *            untouched.
 * Launch     2-D: local = (32 WARPS, 1), global = (groups of 16 WARPS rows, n_heads)
 * Local      CHUNK (HEAD_DIM + 4 (HEAD_DIM / 8 | 1)) / 2 words and little more
 * Build      HEAD_DIM a multiple of 16 up to 128;  KV_TYPE 1, 2 as in kv.cl;  MMA_PLAIN: mma.cl, with MMA 1
 * Tunables   WARPS  of a group
 *            CHUNK  keys per rescaling, a multiple of 16
 * Limits     pos0 + rows <= ctx. Values from there on are never read, and keys, which may share a block
 *            with older ones, never used. What exceeds 65504 becomes infinite: elements of q, times that factor,
 *            and of int8 caches. An infinite value makes rows of its group NaN.
 */
#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef WARPS
#define WARPS 1
#endif
#ifndef CHUNK
#define CHUNK 64
#endif
#if HEAD_DIM < 16 || HEAD_DIM > 128 || HEAD_DIM % 16 != 0
#error "attention_mma: HEAD_DIM must be a multiple of 16 up to 128"
#endif
#if WARPS < 1 || CHUNK < 16 || CHUNK % 16 != 0
#error "attention_mma: WARPS or CHUNK out of range"
#endif
#ifndef KV_TYPE
#define KV_TYPE 1
#endif
#if KV_TYPE != 1 && KV_TYPE != 2
#error "attention_mma: KV_TYPE must be 1 or 2"
#endif
#define ITEMS     (32 * WARPS)
#define MMA_ITEMS ITEMS
#include "kv.cl"
#include "mma.cl"

#define STEPS      (HEAD_DIM / 16) /* products along a head */
#define KEY_BLOCKS (CHUNK / 16)
#define LOG2_E     1.44269504f
/* Scores beside which masked ones, -FLT_MAX, weigh nothing, even when there are no others yet. */
#define LOWEST     (-1e30f)

/* In units of 16 bytes: a block of keys, a row of values. Eight rows that a warp reads at once lie in
 * different banks: of keys, whose rows are two units, those of every second four are swapped; rows of
 * values are an odd number of units apart. */
#define KEY_UNITS    (2 * HEAD_DIM)
#define KEY_AT(unit) ((unit) ^ ((unit) >> 3 & 1))
#define VALUE_UNITS  (HEAD_DIM / 8)
#define VALUE_STRIDE (VALUE_UNITS | 1)

/* One unit: eight elements of the cache, as f16 numbers; or zeros, and then nothing is read. */
#if KV_TYPE == 1
#define COPY_UNIT(to, from, scale, exists)                                                         \
    clm_copy16_or_zero(to, (__global const uint *)(from), exists)
#else
#define COPY_UNIT(to, from, scale, exists) convert_unit(to, (exists) ? kv_load8(from) * (scale) : 0.0f)

CLM_INLINE void convert_unit(__local uint *to, const float8 v)
{
    float each[8];

    vstore8(v, 0, each);
    for (int i = 0; i < 4; i++) to[i] = clm_f16x2(each[2 * i], each[2 * i + 1]);
}

CLM_INLINE float8 eight_scales(__global const half *p)
{
    const uint4 bits = *(__global const uint4 *)p;

    return (float8)(clm_half4(bits.lo), clm_half4(bits.hi));
}
#endif

/* Keys of positions first .. first + CHUNK - 1; zeros behind the cache. */
CLM_INLINE void copy_keys(__local uint *to, __global const KV_ELEM *k, __global const half *ks,
                          const int first, const int padded, const int lid)
{
    CLM_MMA_UNROLL
    for (int i = lid; i < KEY_BLOCKS * KEY_UNITS; i += ITEMS) {
        const int at = first + i / KEY_UNITS * 16 + i % 2 * 8, exists = at < padded;
        const uint from = exists ? (uint)(first / 16 * KEY_UNITS + i) : 0u;

        COPY_UNIT(to + KEY_AT(i) * 4, k + from * 8, eight_scales(ks + at), exists);
    }
}

/* Values of the same positions; zeros behind position `last`, for whatever is there must not come into a
 * product, even one with zero. */
CLM_INLINE void copy_values(__local uint *to, __global const KV_ELEM *v, __global const half *vs,
                            const int first, const int last, const int lid)
{
    CLM_MMA_UNROLL
    for (int i = lid; i < CHUNK * VALUE_UNITS; i += ITEMS) {
        const int row = i / VALUE_UNITS, unit = i % VALUE_UNITS, at = first + row;
        const int exists = at <= last;
        const uint from = exists ? (uint)(at * VALUE_UNITS + unit) : 0u;

        COPY_UNIT(to + (row * VALUE_STRIDE + unit) * 4, v + from * 8, vload_half(at, vs), exists);
    }
}

CLM_MMA_KERNEL
void attention_mma(__global const float *restrict x, __global const KV_ELEM *restrict k,
                   __global const KV_ELEM *restrict v, __global const half *restrict ks,
                   __global const half *restrict vs, __global const float *restrict kmax,
                   __global const float *restrict slopes, __global float *restrict out,
                   const int ld, const int q_off, const int ldo, const int heads_per_kv,
                   const int padded, const int pos0, const int rows, const float scale)
{
    __local __attribute__((aligned(16))) uint keys[KEY_BLOCKS * KEY_UNITS * 4];
    __local __attribute__((aligned(16))) uint values[CHUNK * VALUE_STRIDE * 4];
    __local float longest_of[WARPS];
    __local int more[2]; /* whether an older chunk matters, by turns */
    CLM_MMA_LOCAL;
    const int lid = (int)get_local_id(0), lane = lid % 32, g = lane / 4, t = lane % 4;
    const int h = (int)get_group_id(1);
    /* The last rows have the most to do, and come first. */
    const int m0 = (int)(get_num_groups(0) - 1 - get_group_id(0)) * 16 * WARPS;
    const int last = pos0 + min(m0 + 16 * WARPS, rows) - 1;
    const size_t base = (size_t)(h / heads_per_kv) * (size_t)padded;
    const float slope = slopes[h] * LOG2_E, log_n = log2((float)(last + 1));
    /* Where this lane's row of four matrices is, see CLM_LOAD_MATRICES: of keys, two of 8 elements for 8
     * keys and two for the next 8; of values, two of 8 keys for 8 elements and two for the next 8. */
    const int matrix = lane / 8, line = lane % 8;
    const int key_at = KEY_AT((matrix % 2 * 8 + line) * 2 + matrix / 2) * 4;
    const int value_at = ((matrix % 2 * 8 + line) * VALUE_STRIDE + matrix / 2) * 4;
    uint q[STEPS][4];
    float acc[2 * STEPS][4], m[2], l[2], reach[2], longest = 0.0f;
    int pos[2];

    k += base * HEAD_DIM;
    v += base * HEAD_DIM;
    kmax += base / 16;
#if KV_TYPE == 2
    ks += base;
    vs += base;
#endif
    for (int i = lid; i <= last / 16; i += ITEMS) longest = fmax(longest, kmax[i]);
    CLM_MMA_UNROLL
    for (int i = 1; i < 32; i *= 2) longest = fmax(longest, CLM_LANE_XOR(longest, i));
    if (lane == 0) longest_of[lid / 32] = longest;
    if (lid < 2) more[lid] = 0;
    copy_keys(keys, k, ks, last / CHUNK * CHUNK, padded, lid);
    CLM_COPY_COMMIT;

    CLM_MMA_UNROLL
    for (int r = 0; r < 2; r++) {
        /* Rows behind the end repeat the last one, and are not written. */
        const int row = min(m0 + lid / 32 * 16 + g + 8 * r, rows - 1);
        __global const float *from =
            x + (size_t)row * (size_t)ld + (size_t)q_off + (size_t)(h * HEAD_DIM + 2 * t);
        float square = 0.0f;

        CLM_MMA_UNROLL
        for (int i = 0; i < 2 * STEPS; i++) {
            const float2 e = vload2(0, from + i * 8) * (scale * LOG2_E);

            square += e.x * e.x + e.y * e.y;
            q[i / 2][i % 2 * 2 + r] = clm_f16x2(e.x, e.y);
        }
        square += CLM_LANE_XOR(square, 1);
        square += CLM_LANE_XOR(square, 2);
        reach[r] = sqrt(square) * 1.001f; /* more than rounding */
        pos[r] = pos0 + row;
        m[r] = LOWEST;
        l[r] = 0.0f;
    }
    CLM_MMA_UNROLL
    for (int i = 0; i < 2 * STEPS; i++) {
        CLM_MMA_UNROLL
        for (int j = 0; j < 4; j++) acc[i][j] = 0.0f;
    }
    CLM_COPY_WAIT(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < WARPS; i++) longest = fmax(longest, longest_of[i]);

    for (int first = last / CHUNK * CHUNK, turn = 0; first >= 0; turn ^= 1) {
        float s[2 * KEY_BLOCKS][4], keep[2];
        int needed = 0, next;

        copy_values(values, v, vs, first, last, lid);
        CLM_COPY_COMMIT;
        CLM_MMA_UNROLL
        for (int b = 0; b < 2 * KEY_BLOCKS; b++) {
            CLM_MMA_UNROLL
            for (int j = 0; j < 4; j++) s[b][j] = 0.0f;
        }
        CLM_MMA_UNROLL
        for (int i = 0; i < STEPS; i++) {
            CLM_MMA_UNROLL
            for (int b = 0; b < KEY_BLOCKS; b++) {
                uint pair[4];

                CLM_LOAD_MATRICES(pair, keys, key_at + (b * KEY_UNITS + i * 32) * 4);
                CLM_MMA_F16(s[2 * b], q[i], pair);
                CLM_MMA_F16(s[2 * b + 1], q[i], pair + 2);
            }
        }

        CLM_MMA_UNROLL
        for (int r = 0; r < 2; r++) {
            const float bias = slope * (float)(first + 2 * t - pos[r]);
            float top = m[r];

            CLM_MMA_UNROLL
            for (int i = 0; i < 4 * KEY_BLOCKS; i++) {
                const int key = i / 2 * 8 + i % 2; /* behind first + 2t */
                float *e = &s[i / 2][2 * r + i % 2];

                *e += bias + slope * (float)key;
                if (first + CHUNK > pos0 + m0) *e = first + 2 * t + key <= pos[r] ? *e : -FLT_MAX;
                top = fmax(top, *e);
            }
            top = fmax(top, CLM_LANE_XOR(top, 1));
            top = fmax(top, CLM_LANE_XOR(top, 2));
            keep[r] = native_exp2(m[r] - top);
            m[r] = top;
            l[r] *= keep[r];
            CLM_MMA_UNROLL
            for (int i = 0; i < 4 * KEY_BLOCKS; i++) {
                float *e = &s[i / 2][2 * r + i % 2];

                *e = native_exp2(*e - top);
                l[r] += *e;
            }
            needed |= !(reach[r] * longest - slope * (float)(pos[r] - first + 1) + log_n <
                        top - KV_VANISH * LOG2_E);
        }
        if (needed) more[turn] = 1;
        CLM_COPY_WAIT(0);
        barrier(CLK_LOCAL_MEM_FENCE); /* values and `more` are there, and keys were read */
        next = more[turn] ? first - CHUNK : -1;
        if (lid == 0) more[turn ^ 1] = 0;
        if (next >= 0) copy_keys(keys, k, ks, next, padded, lid);
        CLM_COPY_COMMIT;

        if (keep[0] != 1.0f || keep[1] != 1.0f) {
            CLM_MMA_UNROLL
            for (int i = 0; i < 2 * STEPS; i++) {
                CLM_MMA_UNROLL
                for (int j = 0; j < 4; j++) acc[i][j] *= keep[j / 2];
            }
        }
        CLM_MMA_UNROLL
        for (int b = 0; b < KEY_BLOCKS; b++) {
            uint p[4];

            CLM_MMA_UNROLL
            for (int i = 0; i < 4; i++)
                p[i] = clm_f16x2(s[2 * b + i / 2][i % 2 * 2], s[2 * b + i / 2][i % 2 * 2 + 1]);
            CLM_MMA_UNROLL
            for (int i = 0; i < STEPS; i++) {
                uint pair[4];

                CLM_LOAD_MATRICES(pair, values, value_at + (b * 16 * VALUE_STRIDE + 2 * i) * 4);
                CLM_MMA_F16(acc[2 * i], p, pair);
                CLM_MMA_F16(acc[2 * i + 1], p, pair + 2);
            }
        }
        first = next;
        CLM_COPY_WAIT(0);
        barrier(CLK_LOCAL_MEM_FENCE); /* keys are there, and values were read */
    }

    CLM_MMA_UNROLL
    for (int r = 0; r < 2; r++) {
        const int row = m0 + lid / 32 * 16 + g + 8 * r;
        __global float *to = out + (size_t)row * (size_t)ldo + (size_t)(h * HEAD_DIM + 2 * t);

        l[r] += CLM_LANE_XOR(l[r], 1);
        l[r] += CLM_LANE_XOR(l[r], 2);
        if (row < rows) {
            CLM_MMA_UNROLL
            for (int i = 0; i < 2 * STEPS; i++)
                vstore2((float2)(acc[i][2 * r], acc[i][2 * r + 1]) / l[r], 0, to + i * 8);
        }
    }
}
