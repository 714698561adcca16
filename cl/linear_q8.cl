/* linear_q8.cl: a fused product with a matrix of 8-bit blocks; formula, buffers and launch: linear.cl
 *
 * Build  GROUP, HAS_MIN: weight_group.cl
 */
#include "weight_group.cl"
#define SLICES (8 / PARTS)
#include "linear.cl"

#if FAMILY == 0

/* sum_k q * x over a part of a block, and sum_k x. */
#if ACT == 0
CLM_INLINE float16 part_sum(__global const uint *words, __global const float *x)
{
    float16 even = 0.0f, odd = 0.0f;

#pragma unroll
    for (int j = 0; j < SLICES; j++) {
        const uint16 v = vload16(j, words);

#pragma unroll
        for (int i = 0; i < 4; i += 2) {
            even += convert_float16(as_int16(v << (uint)(24 - 8 * i)) >> 24) * x[4 * j + i];
            odd += convert_float16(as_int16(v << (uint)(16 - 8 * i)) >> 24) * x[4 * j + i + 1];
        }
    }
    return even + odd;
}
#else
CLM_INLINE float16 part_sum(__global const uint *words, __global const uint *x, const int sum_x)
{
    int16 even = (int16)(-CLM_DOT_I8_BIAS * sum_x), odd = (int16)(0);

#pragma unroll
    for (int j = 0; j < SLICES; j += 2) {
        even = clm_dot16_i8(vload16(j, words), x + j, even);
        odd = clm_dot16_i8(vload16(j + 1, words), x + j + 1, odd);
    }
    return convert_float16(even + odd);
}
#endif

__kernel __attribute__((vec_type_hint(float16)))
void linear_q8(__global const uint *restrict q, __global const half *restrict scale,
               __global const half *restrict minimum, LINEAR_ARGS)
{
    const int first = (int)get_global_id(0) * LINEAR_TILES, tiles = (rows + 15) / 16;
    const int blocks = columns / 32;
    const float r = linear_factor(part, n_part, columns, eps);
    float16 acc[LINEAR_TILES];

    if (first >= tiles) return;
    for (int begin = 0; begin < LINEAR_TILES; begin += STREAMS) {
        __global const uint *words[STREAMS];
        size_t groups[STREAMS];
        float16 sums[STREAMS];

        linear_begin(words, groups, sums, q, 128, first + begin, rows, columns);
        for (int b = 0; b < blocks; b++) {
            const size_t ahead = linear_ahead(b, blocks, 512);

#pragma unroll
            for (int t = 0; t < STREAMS; t++)
                linear_ask(words[t], scale, minimum, groups[t], ahead, 512);
#pragma unroll
            for (int p = 0; p < PARTS; p++) {
#if ACT == 0
                __global const float *xp = x + b * 32 + p * 16;
#if PARTS == 2
                const float sum_x = clm_sum16(vload16(0, xp));
#else
                const float sum_x = clm_sum16(vload16(0, xp) + vload16(1, xp));
#endif
                const float d = 1.0f;
#else
                __global const uint *xp = x + b * 8 + p * 4;
#if PARTS == 2
                const int sum_x = clm_dot4(0x01010101u, xp[0], 0) + clm_dot4(0x01010101u, xp[1], 0) +
                                  clm_dot4(0x01010101u, xp[2], 0) + clm_dot4(0x01010101u, xp[3], 0);
#else
                const int sum_x = xs[b];
#endif
                const float d = xd[b];
#endif

#pragma unroll
                for (int t = 0; t < STREAMS; t++) {
                    const size_t g = groups[t] + (size_t)GROUP_OF(b, p);

#if ACT == 0
                    const float16 v = part_sum(words[t] + b * 128 + p * 64, xp);
#else
                    const float16 v = part_sum(words[t] + b * 128 + p * 64, xp, sum_x);
#endif
                    const float16 s = vload_half16(g, scale);

                    sums[t] += v * (s * d);
#if HAS_MIN
                    sums[t] += CLM_MINIMUM(HAS_MIN, s, vload_half16(g, minimum)) * (d * (float)sum_x);
#else
                    (void)sum_x; /* float products need it for a minimum only */
#endif
                }
            }
        }
#pragma unroll
        for (int t = 0; t < STREAMS; t++) acc[begin + t] = sums[t] * r;
    }
    LINEAR_EPILOGUE(first, acc)
}

#else

/* Levels of four rows, from byte i of their words with the sign bits turned: q + 128, or with MAGIC
 * 1 + (q + 128) / 256, whose bits are q + 128 and a constant. LEVEL_ZERO stands for a weight of 0,
 * LEVEL_STEP is the distance of two levels. */
#if MAGIC
#define LEVEL_ZERO 1.5f
#define LEVEL_STEP 256.0f
#define LEVELS(v, i)                                                                               \
    as_float4((((i) < 2 ? (v) << (uint)(15 - 8 * (i)) : (v) >> (uint)(8 * (i)-15)) & 0x007f8000u) |  \
              0x3f800000u)
#else
#define LEVEL_ZERO   128.0f
#define LEVEL_STEP   1.0f
#define LEVELS(v, i) convert_float4(((v) >> (uint)(8 * (i))) & 255u)
#endif

#if ACT == 0
/* sum_k q * x of four rows over a part of a block, whose x are given. */
CLM_INLINE float4 quad_sum(const uint4 v[SLICES], const float x[SLICES * 4], const float sum_x)
{
    float4 sum = -LEVEL_ZERO * sum_x;

#pragma unroll
    for (int j = 0; j < SLICES; j++) {
        const uint4 turned = v[j] ^ 0x80808080u;

#pragma unroll
        for (int i = 0; i < 4; i++) sum += LEVELS(turned, i) * x[4 * j + i];
    }
    return sum * LEVEL_STEP;
}
#else
CLM_INLINE float4 quad_sum(const uint4 v[SLICES], const uint x[SLICES], const int sum_x)
{
    int4 sum = 0;

    (void)sum_x;
#pragma unroll
    for (int j = 0; j < SLICES; j++) sum = clm_dot4_by4(v[j], x[j], sum);
    return convert_float4(sum);
}
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void linear_q8(__global const uint *restrict q, __global const half *restrict scale,
               __global const half *restrict minimum, LINEAR_ARGS)
{
    LINEAR_LOCAL;
    const int parts = columns / 32 * PARTS;
    __global const uint4 *words[STREAMS];
    __global const uint2 *scales[STREAMS];
#if HAS_MIN
    __global const uint2 *minima[STREAMS];
#endif
    float acc[STREAMS * 4];

#pragma unroll
    for (int t = 0; t < STREAMS; t++) {
        const size_t tile = linear_tile(t, rows), group = tile * (size_t)GROUPS(columns);

        words[t] = (__global const uint4 *)q + tile * (size_t)parts * (SLICES * 4) + LINEAR_LANE;
        scales[t] = (__global const uint2 *)scale + group * 4 + LINEAR_LANE;
#if HAS_MIN
        minima[t] = (__global const uint2 *)minimum + group * 4 + LINEAR_LANE;
#endif
        vstore4((float4)(0.0f), t, acc);
    }
    for (int p = LINEAR_SLOT; p < parts; p += LINEAR_SPLIT) {
        const int group = GROUP_OF(p / PARTS, p % PARTS) * 4;
        uint4 v[STREAMS][SLICES]; /* all of a round is asked for before any of it is used */

#pragma unroll
        for (int t = 0; t < STREAMS; t++) {
#pragma unroll
            for (int j = 0; j < SLICES; j++) v[t][j] = words[t][(p * SLICES + j) * 4];
        }
        LINEAR_BLOCK(p)
#pragma unroll
        for (int t = 0; t < STREAMS; t++) {
            const float4 s = clm_half4(scales[t][group]);
            float4 sum = quad_sum(v[t], xb, sum_x) * (s * d);

#if HAS_MIN
            sum += CLM_MINIMUM(HAS_MIN, s, clm_half4(minima[t][group])) * (d * (float)sum_x);
#endif
            vstore4(vload4(t, acc) + sum, t, acc);
        }
    }
    linear_finish(local_memory, acc, LINEAR_NAMES);
}

#endif
