/* gemv.cl: y[m][y_off + n] = sum_k x[m][k] * w[n][k] with w in blocks of 4 or 8 bits: what gemv_q4 and
 * gemv_q8 share. They include it behind what differs: the kernel's name GEMV; SLICE, the columns of a slice,
 * which is a word of each of 16 rows; CENTRE, the level of a weight of 0; and
 *
 *     add_rows(sum, v, x)        sum[0] + sum[1] += levels x  of a slice's words v, 16 rows
 *     add_row(sum, sum_x, v, x)  the same of one row, whose parts are added up later; sum_x += x
 *
 * Reference  clm_ref_gemv() in runtime/ops/ref_gemv.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h; minimum is not read with HAS_MIN 0.
 *            x: [tokens][columns] f32. y: [tokens][ldy] f32; other columns stay as they are.
 * Launch     dimension 1 = token, local 1.
 *            FAMILY 0 (CPU): dimension 0 = tiles of 16 rows / TILES, local 1; lanes = rows.
 *            FAMILY 1 (GPU): dimension 0 = tiles * 16 * KSPLIT, local 16 * KSPLIT; item =
 *            split * 16 + row; a split takes every KSPLIT-th block, local memory adds them.
 * Build      GROUP, HAS_MIN: weight_group.cl
 * Tunables   FAMILY, KSPLIT (FAMILY 1), TILES (FAMILY 0: tiles per work-item, which share the
 *            loads and the sum of x); space: runtime/ops/op_gemv.c
 * Limits     columns a multiple of 32 and of GROUP; rows and tokens >= 1, any value.
 *
 * Groups of several blocks are taken block by block too: the scale is loaded again, but sums stay
 * short, which keeps them exact.
 */
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef KSPLIT
#define KSPLIT 1
#endif
#ifndef TILES
#define TILES 1
#endif
#if FAMILY != 0 && FAMILY != 1
#error "gemv: FAMILY must be 0 or 1"
#endif
#if KSPLIT < 1 || KSPLIT > 64 || TILES < 1 || TILES > 8
#error "gemv: KSPLIT must be 1 to 64, TILES 1 to 8"
#endif
#include "weight_group.cl"
#define SLICES (32 / SLICE / PARTS)

/* A weight is a factor times its level less CENTRE, the level of 0, and a minimum. */
#if CENTRE == 0
#define LEVELS(sum, sum_x) (sum)
#else
#define LEVELS(sum, sum_x) ((sum) - (float)(CENTRE) * (sum_x))
#endif
/* Nothing without minima: adding 0 would be a sum of its own. */
#if HAS_MIN
#define ADD_MINIMA(acc, s, stored, sum_x) (acc) += CLM_MINIMUM(HAS_MIN, s, stored) * (sum_x)
#else
#define ADD_MINIMA(acc, s, stored, sum_x)
#endif

#if FAMILY == 0

__kernel __attribute__((vec_type_hint(float16)))
void GEMV(__global const uint *restrict q, __global const half *restrict scale,
          __global const half *restrict minimum, __global const float *restrict x,
          __global float *restrict y, const int tokens, const int rows, const int columns,
          const int ldy, const int y_off)
{
    const int first = (int)get_global_id(0) * TILES, tiles = (rows + 15) / 16;
    const int token = (int)get_global_id(1);
    const size_t blocks = (size_t)(columns / 32), groups = (size_t)GROUPS(columns);
    __global const float *restrict xt = x + (size_t)token * (size_t)columns;
    size_t tile[TILES];
    float16 acc[TILES];

    if (first >= tiles || token >= tokens) return;
#pragma unroll
    for (int t = 0; t < TILES; t++) {
        tile[t] = (size_t)min(first + t, tiles - 1); /* a tile too many is computed, not stored */
        acc[t] = 0.0f;
    }
    for (int b = 0; b < (int)blocks; b++) {
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            __global const float *restrict xp = xt + b * 32 + p * 16;
#if CENTRE == 0 && HAS_MIN == 0 /* not needed */
#elif PARTS == 2
            const float sum_x = clm_sum16(vload16(0, xp));
#else
            const float sum_x = clm_sum16(vload16(0, xp) + vload16(1, xp));
#endif

#pragma unroll
            for (int t = 0; t < TILES; t++) {
                const size_t g = tile[t] * groups + (size_t)GROUP_OF(b, p);
                const size_t slice = ((tile[t] * blocks + (size_t)b) * PARTS + (size_t)p) * SLICES;
                const float16 s = vload_half16(g, scale);
                float16 sum[2] = {0.0f, 0.0f};

#pragma unroll
                for (int j = 0; j < SLICES; j++)
                    add_rows(sum, vload16(slice + (size_t)j, q), xp + SLICE * j);
                acc[t] += s * LEVELS(sum[0] + sum[1], sum_x);
                ADD_MINIMA(acc[t], s, vload_half16(g, minimum), sum_x);
            }
        }
    }
#pragma unroll
    for (int t = 0; t < TILES; t++) {
        if (first + t < tiles)
            clm_store_tile(y + (size_t)token * (size_t)ldy + (size_t)(y_off + (first + t) * 16),
                           acc[t], rows - (first + t) * 16);
    }
}

#else

__kernel __attribute__((reqd_work_group_size(16 * KSPLIT, 1, 1)))
void GEMV(__global const uint *restrict q, __global const half *restrict scale,
          __global const half *restrict minimum, __global const float *restrict x,
          __global float *restrict y, const int tokens, const int rows, const int columns,
          const int ldy, const int y_off)
{
    __local float part[16 * KSPLIT];
    const uint id = (uint)get_local_id(0); /* unsigned: see clm_weight_at() */
    const int item = (int)id, split = (int)(id / 16), row = (int)(id % 16);
    const int tile = (int)get_group_id(0), token = (int)get_group_id(1);
    const int blocks = columns / 32;
    __global const uint *restrict words = q + (size_t)tile * (size_t)blocks * (512 / SLICE) + row;
    const size_t s_off = (size_t)tile * (size_t)GROUPS(columns) * 16 + (size_t)row;
    __global const float *restrict xt = x + (size_t)token * (size_t)columns;
    float acc = 0.0f;

    for (int b = split; b < blocks; b += KSPLIT) {
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            const size_t g = s_off + (size_t)GROUP_OF(b, p) * 16;
            const float s = vload_half(g, scale);
            float4 sum = 0.0f, sum_x = 0.0f;

#pragma unroll
            for (int j = p * SLICES; j < (p + 1) * SLICES; j++)
                add_row(&sum, &sum_x, words[(size_t)b * (512 / SLICE) + (size_t)(j * 16)],
                        xt + b * 32 + j * SLICE);
            acc += s * clm_sum4(LEVELS(sum, sum_x));
            ADD_MINIMA(acc, s, vload_half(g, minimum), clm_sum4(sum_x));
        }
    }
    acc = clm_split_sum(part, item, KSPLIT, acc);
    if (item < 16 && token < tokens && tile * 16 + row < rows)
        y[(size_t)token * (size_t)ldy + (size_t)(y_off + tile * 16 + row)] = acc;
}

#endif
