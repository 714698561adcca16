/* gemm_q4.cl: int8 activations of many tokens times 4-bit blocks; formula, buffers, launch: gemm.cl
 *
 * Build  GROUP, HAS_MIN: weight_group.cl, GROUP not 16
 */
#include "gemm.cl"

#if PARTS != 1
#error "gemm_q4: GROUP 16 is for 8-bit weights"
#endif

#if FAMILY == 0

__kernel __attribute__((vec_type_hint(float16)))
void gemm_q4(GEMM_ARGS)
{
    const size_t panel = get_global_id(0);
    const int first = (int)get_global_id(1) * TILES, blocks = columns / 32;
    __global const uint *words[TILES];
    __global const uint *restrict xp = x + panel * (size_t)(columns / 4) * T;
    __global const float *restrict d = xd + panel * (size_t)blocks * T;
    __global const int *restrict sum = xs + panel * (size_t)blocks * T;
    size_t groups[TILES];
    float16 acc[TILES][T];

    gemm_begin(words, groups, acc, q, 64, first, rows, columns);
    for (int b = 0; b < blocks;) {
        const size_t group = (size_t)GROUP_OF(b, 0);
        const int end = GROUP_END(b, blocks);
        float16 s[TILES];
#if HAS_MIN
        float sum_x[T];

#pragma unroll
        for (int t = 0; t < T; t++) sum_x[t] = 0.0f;
#endif

#pragma unroll
        for (int i = 0; i < TILES; i++) s[i] = vload_half16(groups[i] + group, scale);
        for (; b < end; b++) {
#pragma unroll
            for (int i = 0; i < TILES; i++) {
                int16 c[T];

#pragma unroll
                for (int t = 0; t < T; t++) c[t] = clm_u4_start(HAS_MIN ? 0 : -8 * sum[t]);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const uint16 v = vload16((size_t)(4 * b + j), words[i]);
                    const uint16 low = v & 0x0f0f0f0fu, high = (v >> 4u) & 0x0f0f0f0fu;

#pragma unroll
                    for (int t = 0; t < T; t++) c[t] = clm_dot16_u4(low, xp + 2 * j * T + t, c[t]);
#pragma unroll
                    for (int t = 0; t < T; t++)
                        c[t] = clm_dot16_u4(high, xp + (2 * j + 1) * T + t, c[t]);
                }
#pragma unroll
                for (int t = 0; t < T; t++)
                    acc[i][t] += convert_float16(clm_u4_sums(c[t])) * (s[i] * d[t]);
            }
#if HAS_MIN
#pragma unroll
            for (int t = 0; t < T; t++) sum_x[t] += d[t] * (float)sum[t];
#endif
            xp += 8 * T;
            d += T;
            sum += T;
        }
#if HAS_MIN
        /* With a minimum the level of 0 is taken off together with it, once for all blocks of a group:
         * sum_k (s (q - 8) + min) x = s sum_k q x + (min - 8 s) sum_k x. Both terms are float sums of the
         * size of 8 s sum_k |x|, so rounding costs a few times what it does with centred levels. */
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            const float16 offset =
                CLM_MINIMUM(HAS_MIN, s[i], vload_half16(groups[i] + group, minimum)) - 8.0f * s[i];

#pragma unroll
            for (int t = 0; t < T; t++) acc[i][t] += offset * sum_x[t];
        }
#endif
    }
    gemm_store(y + panel * T * (size_t)ldy + (size_t)y_off, acc, first, rows,
               tokens - (int)panel * T, ldy);
}

#elif FAMILY == 1

/* Splits the nibbles of the group's rows of block b into words of four columns. */
CLM_INLINE void load_w(__local uint4 *to, __global const uint *q, const int first_tile,
                       const int rows, const int blocks, const int b)
{
    for (int i = (int)(get_local_id(1) * GROUP_X + get_local_id(0)); i < 16 * TILES;
         i += GROUP_ITEMS) {
        const int tile = i / 16, slice = i / 4 % 4, quad = i % 4;
        const size_t at = (size_t)min(first_tile + tile, (rows - 1) / 16) * (size_t)blocks + (size_t)b;
        const uint4 v = ((__global const uint4 *)q)[at * 16 + (size_t)(i % 16)];

        to[2 * slice * (4 * TILES) + 4 * tile + quad] = v & 0x0f0f0f0fu;
        to[(2 * slice + 1) * (4 * TILES) + 4 * tile + quad] = (v >> 4u) & 0x0f0f0f0fu;
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
void gemm_q4(GEMM_ARGS)
{
    __local uint4 w_tile[2 * GEMM_ROWS], x_tile[2 * T];
    const int blocks = columns / 32, first = (int)get_group_id(1) * TILES;
    const size_t panel = get_group_id(0), groups = (size_t)GROUPS(columns);
    __global const uint *restrict xp = x + panel * (size_t)blocks * (8 * T);
    float4 acc[LANE_T][ROW_QUADS];

#pragma unroll
    for (int t = 0; t < LANE_T; t++) {
#pragma unroll
        for (int i = 0; i < ROW_QUADS; i++) acc[t][i] = 0.0f;
    }
    for (int b = 0; b < blocks; b++) {
        int4 sum[LANE_T][ROW_QUADS];
        float4 scales[ROW_QUADS];
        float d[LANE_T];
        int s[LANE_T];

        load_w(w_tile, q, first, rows, blocks, b);
        gemm_load_x(x_tile, xp, b);
        gemm_load_tokens(d, xd + panel * (size_t)blocks * T, b);
        gemm_load_sums(s, xs + panel * (size_t)blocks * T, b);
#pragma unroll
        for (int i = 0; i < ROW_QUADS; i++)
            scales[i] = gemm_scales(scale, first * 16 + ROW_QUAD(i), rows, groups, GROUP_OF(b, 0));
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int t = 0; t < LANE_T; t++) {
#pragma unroll
            for (int i = 0; i < ROW_QUADS; i++) sum[t][i] = -8 * s[t];
        }
        gemm_multiply(sum, w_tile, x_tile, 0, 8);
        gemm_rescale(acc, sum, scales, d);
#if HAS_MIN
#pragma unroll
        for (int i = 0; i < ROW_QUADS; i++) {
            const float4 stored =
                gemm_scales(minimum, first * 16 + ROW_QUAD(i), rows, groups, GROUP_OF(b, 0));
            const float4 low = CLM_MINIMUM(HAS_MIN, scales[i], stored);

#pragma unroll
            for (int t = 0; t < LANE_T; t++) acc[t][i] += low * (d[t] * (float)s[t]);
        }
#endif
        barrier(CLK_LOCAL_MEM_FENCE); /* the tiles are read before the next block comes */
    }
    gemm_store_quads(y + panel * T * (size_t)ldy + (size_t)y_off + first * 16, acc,
                     rows - first * 16, tokens - (int)panel * T, ldy);
}

#else

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void gemm_q4(GEMM_ARGS)
{
    FEW_LOCAL;
    const int blocks = columns / 32;
    const size_t tile = few_tile(rows), panel = get_group_id(0);
    const size_t group = tile * (size_t)GROUPS(columns);
    __global const uint4 *words = (__global const uint4 *)q + tile * (size_t)blocks * 16 + FEW_LANE;
    __global const uint2 *scales = (__global const uint2 *)scale + group * 4 + FEW_LANE;
#if HAS_MIN
    __global const uint2 *minima = (__global const uint2 *)minimum + group * 4 + FEW_LANE;
#endif
    __global const uint *xp = x + panel * (size_t)blocks * (8 * T);
    float4 acc[T];

#pragma unroll
    for (int t = 0; t < T; t++) acc[t] = 0.0f;
    for (int b = FEW_SLOT; b < blocks; b += FEW_SPLIT) {
        const float4 s = clm_half4(scales[GROUP_OF(b, 0) * 4]);
        uint4 v[4];
        int4 sum[T];
        int sum_x[T];
        float d[T];

#pragma unroll
        for (int j = 0; j < 4; j++) v[j] = words[b * 16 + j * 4];
        few_load_d(d, xd + panel * (size_t)blocks * T, b);
        few_load_s(sum_x, xs + panel * (size_t)blocks * T, b);
#pragma unroll
        for (int t = 0; t < T; t++) sum[t] = -8 * sum_x[t];
#pragma unroll
        for (int j = 0; j < 8; j++) {
            const uint4 w = (v[j / 2] >> (uint)(4 * (j % 2))) & 0x0f0f0f0fu;
            uint xt[T];

            few_load_x(xt, xp, b * 8 + j);
#pragma unroll
            for (int t = 0; t < T; t++) sum[t] = clm_dot4_by4(w, xt[t], sum[t]);
        }
#if HAS_MIN
        const float4 low = CLM_MINIMUM(HAS_MIN, s, clm_half4(minima[GROUP_OF(b, 0) * 4]));
#endif
#pragma unroll
        for (int t = 0; t < T; t++) {
            acc[t] += convert_float4(sum[t]) * (s * d[t]);
#if HAS_MIN
            acc[t] += low * (d[t] * (float)sum_x[t]);
#endif
        }
    }
    few_finish(memory, acc, y + panel * T * (size_t)ldy + (size_t)y_off, rows,
               tokens - (int)panel * T, ldy);
}

#endif
