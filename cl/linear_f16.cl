/* linear_f16.cl: a fused product with a matrix of floats; formula, buffers and launch: linear.cl
 *
 * Build  FORMAT 0 f32, 1 f16, 2 bf16.  ACT 0. scale and minimum are not read.
 * Limits columns: any number.
 */
#ifndef FORMAT
#define FORMAT 1
#endif
#define LANE_ROWS (FORMAT == 0 ? 4 : 8) /* 16 bytes */
#include "linear.cl"

#if FORMAT < 0 || FORMAT > 2 || ACT != 0
#error "linear_f16: FORMAT must be 0 to 2, ACT 0"
#endif

#if FAMILY == 0

#define COLUMN_BYTES (FORMAT == 0 ? 64 : 32) /* of a tile */

/* Column k of a tile. */
CLM_INLINE float16 load_column(__global const uchar *q, const size_t k)
{
#if FORMAT == 0
    return vload16(k, (__global const float *)q);
#elif FORMAT == 1
    return vload_half16(k, (__global const half *)q);
#else
    return as_float16(convert_uint16(vload16(k, (__global const ushort *)q)) << 16u);
#endif
}

__kernel __attribute__((vec_type_hint(float16)))
void linear_f16(__global const uchar *restrict q, __global const half *restrict scale,
                __global const half *restrict minimum, LINEAR_ARGS)
{
    const int first = (int)get_global_id(0) * LINEAR_TILES, tiles = (rows + 15) / 16;
    const float r = linear_factor(part, n_part, columns, eps);
    float16 acc[LINEAR_TILES];

    if (first >= tiles) return;
    for (int begin = 0; begin < LINEAR_TILES; begin += STREAMS) {
        size_t start[STREAMS];
        float16 sums[STREAMS];

#pragma unroll
        for (int t = 0; t < STREAMS; t++) {
            start[t] = (size_t)min(first + begin + t, tiles - 1) * (size_t)columns;
            sums[t] = 0.0f;
        }
        for (int k = 0; k < columns; k++) {
            const size_t ahead = linear_ahead(k, columns, COLUMN_BYTES);

#pragma unroll
            for (int t = 0; t < STREAMS; t++) {
                linear_prefetch(q, (start[t] + ahead) * COLUMN_BYTES, COLUMN_BYTES);
                sums[t] += load_column(q, start[t] + (size_t)k) * x[k];
            }
        }
#pragma unroll
        for (int t = 0; t < STREAMS; t++) acc[begin + t] = sums[t] * r;
    }
    LINEAR_EPILOGUE(first, acc)
}

#else

/* LANE_ROWS rows of one column, times x, on top of acc. */
CLM_INLINE void add_column(float acc[LANE_ROWS], const uint4 v, const float x)
{
#if FORMAT == 0
    vstore4(vload4(0, acc) + as_float4(v) * x, 0, acc);
#elif FORMAT == 1
    vstore4(vload4(0, acc) + clm_half4(v.s01) * x, 0, acc);
    vstore4(vload4(1, acc) + clm_half4(v.s23) * x, 1, acc);
#else
    const float4 even = as_float4(v << 16u), odd = as_float4(v & 0xffff0000u);

    vstore4(vload4(0, acc) + (float4)(even.s0, odd.s0, even.s1, odd.s1) * x, 0, acc);
    vstore4(vload4(1, acc) + (float4)(even.s2, odd.s2, even.s3, odd.s3) * x, 1, acc);
#endif
}

/* Columns in flight, so that enough is asked for at once. */
#define DEPTH 4

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void linear_f16(__global const uchar *restrict q, __global const half *restrict scale,
                __global const half *restrict minimum, LINEAR_ARGS)
{
    LINEAR_LOCAL;
    __global const uint4 *words[STREAMS];
    float acc[STREAMS * LANE_ROWS];
    int k = LINEAR_SLOT;

#pragma unroll
    for (int t = 0; t < STREAMS; t++) {
        const size_t column = linear_tile(t, rows) * (size_t)columns;

        words[t] = (__global const uint4 *)q + column * LINEAR_LANES + LINEAR_LANE;
    }
#pragma unroll
    for (int i = 0; i < STREAMS * LANE_ROWS; i++) acc[i] = 0.0f;
    for (; k + (DEPTH - 1) * LINEAR_SPLIT < columns; k += DEPTH * LINEAR_SPLIT) {
        uint4 v[DEPTH][STREAMS];

#pragma unroll
        for (int i = 0; i < DEPTH; i++) {
#pragma unroll
            for (int t = 0; t < STREAMS; t++)
                v[i][t] = words[t][(size_t)(k + i * LINEAR_SPLIT) * LINEAR_LANES];
        }
#pragma unroll
        for (int i = 0; i < DEPTH; i++) {
#pragma unroll
            for (int t = 0; t < STREAMS; t++)
                add_column(acc + t * LANE_ROWS, v[i][t], x[k + i * LINEAR_SPLIT]);
        }
    }
    for (; k < columns; k += LINEAR_SPLIT) {
#pragma unroll
        for (int t = 0; t < STREAMS; t++)
            add_column(acc + t * LANE_ROWS, words[t][(size_t)k * LINEAR_LANES], x[k]);
    }
    linear_finish(local_memory, acc, LINEAR_NAMES);
}

#endif
