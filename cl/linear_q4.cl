/* linear_q4.cl: a fused product with a matrix of 4-bit blocks; formula, buffers and launch: linear.cl
 *
 * Build  GROUP, HAS_MIN: weight_group.cl, GROUP not 16
 */
#include "weight_group.cl"
#if PARTS != 1
#error "linear_q4: GROUP 16 is for 8-bit weights"
#endif
#include "linear.cl"

#if FAMILY == 0

/* sum_k (q - 8) * x over a block of 16 rows x 32 columns. */
#if ACT == 0
CLM_INLINE float16 block_sum(__global const uint *words, __global const float *x, const float sum_x)
{
    float16 low = -8.0f * sum_x, high = 0.0f;

#pragma unroll
    for (int j = 0; j < 4; j++) {
        const uint16 v = vload16(j, words);

#pragma unroll
        for (int i = 0; i < 4; i++) {
            low += convert_float16(as_int16((v >> (uint)(8 * i)) & 15u)) * x[8 * j + i];
            high += convert_float16(as_int16((v >> (uint)(8 * i + 4)) & 15u)) * x[8 * j + 4 + i];
        }
    }
    return low + high;
}
#else
CLM_INLINE float16 block_sum(__global const uint *words, __global const uint *x, const int sum_x)
{
    int16 low = clm_u4_start(-8 * sum_x), high = clm_u4_start(0);

#pragma unroll
    for (int j = 0; j < 4; j++) {
        const uint16 v = vload16(j, words);

        low = clm_dot16_u4(v & 0x0f0f0f0fu, x + 2 * j, low);
        high = clm_dot16_u4((v >> 4u) & 0x0f0f0f0fu, x + 2 * j + 1, high);
    }
    return convert_float16(clm_u4_sums(low) + clm_u4_sums(high));
}
#endif

__kernel __attribute__((vec_type_hint(float16)))
void linear_q4(__global const uint *restrict q, __global const half *restrict scale,
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

        linear_begin(words, groups, sums, q, 64, first + begin, rows, columns);
        for (int b = 0; b < blocks; b++) {
            const size_t ahead = linear_ahead(b, blocks, 256);
#if ACT == 0
            const float sum_x = clm_sum16(vload16(2 * b, x) + vload16(2 * b + 1, x));
            const float d = 1.0f;
#else
            const int sum_x = xs[b];
            const float d = xd[b];
#endif

#pragma unroll
            for (int t = 0; t < STREAMS; t++) {
                const size_t g = groups[t] + (size_t)GROUP_OF(b, 0);

                linear_ask(words[t], scale, minimum, groups[t], ahead, 256);
#if ACT == 0
                const float16 v = block_sum(words[t] + b * 64, x + b * 32, sum_x);
#else
                const float16 v = block_sum(words[t] + b * 64, x + b * 8, sum_x);
#endif
                const float16 s = vload_half16(g, scale);

                sums[t] += v * (s * d);
#if HAS_MIN
                sums[t] += CLM_MINIMUM(HAS_MIN, s, vload_half16(g, minimum)) * (d * (float)sum_x);
#endif
            }
        }
#pragma unroll
        for (int t = 0; t < STREAMS; t++) acc[begin + t] = sums[t] * r;
    }
    LINEAR_EPILOGUE(first, acc)
}

#else

/* Levels of four rows, from nibble n of their words (n % 2 the half of byte n / 2): q, or with MAGIC
 * 1 + q / 16, whose bits are q and a constant. LEVEL_ZERO stands for a weight of 0, LEVEL_STEP is the
 * distance of two levels. */
#if MAGIC
#define LEVEL_ZERO 1.5f
#define LEVEL_STEP 16.0f
#define LEVELS(v, n)                                                                               \
    as_float4((((n) < 5 ? (v) << (uint)(19 - 4 * (n)) : (v) >> (uint)(4 * (n)-19)) & 0x00780000u) |  \
              0x3f800000u)
#else
#define LEVEL_ZERO   8.0f
#define LEVEL_STEP   1.0f
#define LEVELS(v, n) convert_float4(((v) >> (uint)(4 * (n))) & 15u)
#endif

#if ACT == 0
/* sum_k (q - 8) * x of four rows over a block, whose x are given. */
CLM_INLINE float4 quad_sum(const uint4 v[4], const float x[32], const float sum_x)
{
    float4 sum = -LEVEL_ZERO * sum_x;

#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
        for (int n = 0; n < 8; n++) sum += LEVELS(v[j], n) * x[8 * j + n / 2 + n % 2 * 4];
    }
    return sum * LEVEL_STEP;
}
#else
CLM_INLINE float4 quad_sum(const uint4 v[4], const uint x[8], const int sum_x)
{
    int4 sum = -8 * sum_x;

#pragma unroll
    for (int j = 0; j < 4; j++) {
        sum = clm_dot4_by4(v[j] & 0x0f0f0f0fu, x[2 * j], sum);
        sum = clm_dot4_by4((v[j] >> 4u) & 0x0f0f0f0fu, x[2 * j + 1], sum);
    }
    return convert_float4(sum);
}
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void linear_q4(__global const uint *restrict q, __global const half *restrict scale,
               __global const half *restrict minimum, LINEAR_ARGS)
{
    LINEAR_LOCAL;
    const int blocks = columns / 32;
    __global const uint4 *words[STREAMS];
    __global const uint2 *scales[STREAMS];
#if HAS_MIN
    __global const uint2 *minima[STREAMS];
#endif
    float acc[STREAMS * 4];

#pragma unroll
    for (int t = 0; t < STREAMS; t++) {
        const size_t tile = linear_tile(t, rows), group = tile * (size_t)GROUPS(columns);

        words[t] = (__global const uint4 *)q + tile * (size_t)blocks * 16 + LINEAR_LANE;
        scales[t] = (__global const uint2 *)scale + group * 4 + LINEAR_LANE;
#if HAS_MIN
        minima[t] = (__global const uint2 *)minimum + group * 4 + LINEAR_LANE;
#endif
        vstore4((float4)(0.0f), t, acc);
    }
    for (int b = LINEAR_SLOT; b < blocks; b += LINEAR_SPLIT) {
        uint4 v[STREAMS][4]; /* all of a round is asked for before any of it is used */

#pragma unroll
        for (int t = 0; t < STREAMS; t++) {
#pragma unroll
            for (int j = 0; j < 4; j++) v[t][j] = words[t][b * 16 + j * 4];
        }
        LINEAR_BLOCK(b)
#pragma unroll
        for (int t = 0; t < STREAMS; t++) {
            const float4 s = clm_half4(scales[t][GROUP_OF(b, 0) * 4]);
            float4 sum = quad_sum(v[t], xb, sum_x) * (s * d);

#if HAS_MIN
            sum += CLM_MINIMUM(HAS_MIN, s, clm_half4(minima[t][GROUP_OF(b, 0) * 4])) * (d * (float)sum_x);
#endif
            vstore4(vload4(t, acc) + sum, t, acc);
        }
    }
    linear_finish(local_memory, acc, LINEAR_NAMES);
}

#endif
