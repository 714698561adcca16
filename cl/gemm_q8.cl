/* gemm_q8.cl: int8 activations of many tokens times 8-bit blocks; formula, buffers, launch: gemm.cl
 *
 * Build  GROUP, HAS_MIN: weight_group.cl
 */
#include "gemm.cl"

#define SLICES (8 / PARTS)

#if FAMILY == 0

__kernel __attribute__((vec_type_hint(float16)))
void gemm_q8(GEMM_ARGS)
{
    const size_t panel = get_global_id(0);
    const int first = (int)get_global_id(1) * TILES, blocks = columns / 32;
    __global const uint *words[TILES];
    __global const uint *restrict xp = x + panel * (size_t)(columns / 4) * T;
    __global const float *restrict d = xd + panel * (size_t)blocks * T;
    __global const int *restrict sum = xs + panel * (size_t)blocks * T;
    size_t groups[TILES];
    float16 acc[TILES][T];

    gemm_begin(words, groups, acc, q, 128, first, rows, columns);
    for (int b = 0; b < blocks; b++) {
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            int part[T]; /* sum of x over the part */

#pragma unroll
            for (int t = 0; t < T; t++) {
#if PARTS == 2
                part[t] = 0;
                for (int j = 0; j < SLICES; j++)
                    part[t] = clm_dot4(0x01010101u, xp[j * T + t], part[t]);
#else
                part[t] = sum[t];
#endif
            }
#pragma unroll
            for (int i = 0; i < TILES; i++) {
                const size_t group = groups[i] + (size_t)GROUP_OF(b, p);
                const float16 s = vload_half16(group, scale);
                int16 c[T];

#pragma unroll
                for (int t = 0; t < T; t++) c[t] = (int16)(-CLM_DOT_I8_BIAS * part[t]);
#pragma unroll
                for (int j = 0; j < SLICES; j++) {
                    const uint16 v = vload16((size_t)(8 * b + SLICES * p + j), words[i]);

#pragma unroll
                    for (int t = 0; t < T; t++) c[t] = clm_dot16_i8(v, xp + j * T + t, c[t]);
                }
#pragma unroll
                for (int t = 0; t < T; t++) {
                    acc[i][t] += convert_float16(c[t]) * (s * d[t]);
#if HAS_MIN
                    acc[i][t] += CLM_MINIMUM(HAS_MIN, s, vload_half16(group, minimum)) *
                                 (d[t] * (float)part[t]);
#endif
                }
            }
            xp += SLICES * T;
        }
        d += T;
        sum += T;
    }
    gemm_store(y + panel * T * (size_t)ldy + (size_t)y_off, acc, first, rows,
               tokens - (int)panel * T, ldy);
}

#elif FAMILY == 1

/* Copies the group's rows of block b. */
CLM_INLINE void load_w(__local uint4 *to, __global const uint *q, const int first_tile,
                       const int rows, const int blocks, const int b)
{
    for (int i = (int)(get_local_id(1) * GROUP_X + get_local_id(0)); i < 32 * TILES;
         i += GROUP_ITEMS) {
        const int tile = i / 32, slice = i / 4 % 8, quad = i % 4;
        const size_t at = (size_t)min(first_tile + tile, (rows - 1) / 16) * (size_t)blocks + (size_t)b;

        to[slice * (4 * TILES) + 4 * tile + quad] =
            ((__global const uint4 *)q)[at * 32 + (size_t)(i % 32)];
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
void gemm_q8(GEMM_ARGS)
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
        float d[LANE_T];

        load_w(w_tile, q, first, rows, blocks, b);
        gemm_load_x(x_tile, xp, b);
        gemm_load_tokens(d, xd + panel * (size_t)blocks * T, b);
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            int4 sum[LANE_T][ROW_QUADS];
            float4 scales[ROW_QUADS];

#pragma unroll
            for (int i = 0; i < ROW_QUADS; i++)
                scales[i] =
                    gemm_scales(scale, first * 16 + ROW_QUAD(i), rows, groups, GROUP_OF(b, p));
#pragma unroll
            for (int t = 0; t < LANE_T; t++) {
#pragma unroll
                for (int i = 0; i < ROW_QUADS; i++) sum[t][i] = 0;
            }
            gemm_multiply(sum, w_tile, x_tile, p * SLICES, SLICES);
            gemm_rescale(acc, sum, scales, d);
#if HAS_MIN
            int s[LANE_T];

#if PARTS == 1
            gemm_load_sums(s, xs + panel * (size_t)blocks * T, b);
#else
#pragma unroll
            for (int i = 0; i < TOKEN_QUADS; i++) {
                int4 part = 0;

                for (int j = p * SLICES; j < (p + 1) * SLICES; j++)
                    part = clm_dot4_by4(x_tile[(j * T + TOKEN_QUAD(i)) / 4], 0x01010101u, part);
                vstore4(part, i, s);
            }
#endif
#pragma unroll
            for (int i = 0; i < ROW_QUADS; i++) {
                const float4 stored =
                    gemm_scales(minimum, first * 16 + ROW_QUAD(i), rows, groups, GROUP_OF(b, p));
                const float4 low = CLM_MINIMUM(HAS_MIN, scales[i], stored);

#pragma unroll
                for (int t = 0; t < LANE_T; t++) acc[t][i] += low * (d[t] * (float)s[t]);
            }
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* the tiles are read before the next block comes */
    }
    gemm_store_quads(y + panel * T * (size_t)ldy + (size_t)y_off + first * 16, acc,
                     rows - first * 16, tokens - (int)panel * T, ldy);
}

#else

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void gemm_q8(GEMM_ARGS)
{
    FEW_LOCAL;
    const int blocks = columns / 32;
    const size_t tile = few_tile(rows), panel = get_group_id(0);
    const size_t group = tile * (size_t)GROUPS(columns);
    __global const uint4 *words = (__global const uint4 *)q + tile * (size_t)blocks * 32 + FEW_LANE;
    __global const uint2 *scales = (__global const uint2 *)scale + group * 4 + FEW_LANE;
#if HAS_MIN
    __global const uint2 *minima = (__global const uint2 *)minimum + group * 4 + FEW_LANE;
#endif
    __global const uint *xp = x + panel * (size_t)blocks * (8 * T);
    float4 acc[T];

#pragma unroll
    for (int t = 0; t < T; t++) acc[t] = 0.0f;
    for (int b = FEW_SLOT; b < blocks; b += FEW_SPLIT) {
        uint4 v[8];
        float d[T];

#pragma unroll
        for (int j = 0; j < 8; j++) v[j] = words[b * 32 + j * 4];
        few_load_d(d, xd + panel * (size_t)blocks * T, b);
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            const float4 s = clm_half4(scales[GROUP_OF(b, p) * 4]);
            int4 sum[T];

#pragma unroll
            for (int t = 0; t < T; t++) sum[t] = 0;
#if HAS_MIN
            const float4 low = CLM_MINIMUM(HAS_MIN, s, clm_half4(minima[GROUP_OF(b, p) * 4]));
            int sum_x[T];

#if PARTS == 1
            few_load_s(sum_x, xs + panel * (size_t)blocks * T, b);
#else
#pragma unroll
            for (int t = 0; t < T; t++) sum_x[t] = 0;
#endif
#endif
#pragma unroll
            for (int j = p * SLICES; j < (p + 1) * SLICES; j++) {
                uint xt[T];

                few_load_x(xt, xp, b * 8 + j);
#pragma unroll
                for (int t = 0; t < T; t++) sum[t] = clm_dot4_by4(v[j], xt[t], sum[t]);
#if HAS_MIN && PARTS == 2
#pragma unroll
                for (int t = 0; t < T; t++) sum_x[t] = clm_dot4(0x01010101u, xt[t], sum_x[t]);
#endif
            }
#pragma unroll
            for (int t = 0; t < T; t++) {
                acc[t] += convert_float4(sum[t]) * (s * d[t]);
#if HAS_MIN
                acc[t] += low * (d[t] * (float)sum_x[t]);
#endif
            }
        }
    }
    few_finish(memory, acc, y + panel * T * (size_t)ldy + (size_t)y_off, rows,
               tokens - (int)panel * T, ldy);
}

#endif
