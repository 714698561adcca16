/* gemv_q4.cl: y[m][y_off + n] = sum_k x[m][k] * w[n][k], w in 4-bit blocks
 *
 * Reference  clm_ref_gemv_q4() in runtime/ops/ref_gemv_q4.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h; minimum is not read with HAS_MIN 0.
 *            x: [tokens][columns] f32. y: [tokens][ldy] f32; other columns stay as they are.
 * Launch     dimension 1 = token, local 1.
 *            FAMILY 0 (CPU): dimension 0 = tiles of 16 rows / TILES, local 1; lanes = rows.
 *            FAMILY 1 (GPU): dimension 0 = tiles * 16 * KSPLIT, local 16 * KSPLIT; item =
 *            split * 16 + row; a split takes every KSPLIT-th block, local memory adds them.
 * Build      GROUP elements per scale (0: a whole row), HAS_MIN
 * Tunables   FAMILY, KSPLIT (FAMILY 1), TILES (FAMILY 0: tiles per work-item, which share the
 *            loads and the sum of x); space: runtime/ops/op_gemv.c
 * Limits     columns a multiple of 32 and of GROUP; rows and tokens >= 1, any value.
 */
#ifndef GROUP
#define GROUP 32
#endif
#ifndef HAS_MIN
#define HAS_MIN 0
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef KSPLIT
#define KSPLIT 1
#endif
#ifndef TILES
#define TILES 1
#endif
#if GROUP != 0 && GROUP != 16 && (GROUP < 0 || GROUP % 32 != 0)
#error "gemv_q4: GROUP must be 0, 16 or a multiple of 32"
#endif
#if HAS_MIN < 0 || HAS_MIN > 2
#error "gemv_q4: HAS_MIN must be 0, 1 or 2"
#endif
#if FAMILY != 0 && FAMILY != 1
#error "gemv_q4: FAMILY must be 0 or 1"
#endif
#if KSPLIT < 1 || KSPLIT > 64 || TILES < 1 || TILES > 8
#error "gemv_q4: KSPLIT must be 1 to 64, TILES 1 to 8"
#endif

/* A block is taken in PARTS of SLICES slices, each under one scale. Larger groups are taken block
 * by block too: the scale is loaded again, but sums stay short, which keeps them exact. */
#if GROUP == 16
#define PARTS 2
#else
#define PARTS 1
#endif
#define SLICES (4 / PARTS)

#if GROUP == 0
#define GROUPS(columns)   1
#define GROUP_AT(b, part) 0
#elif GROUP == 16
#define GROUPS(columns)   ((columns) / 16)
#define GROUP_AT(b, part) ((b) * 2 + (part))
#else
#define GROUPS(columns)   ((columns) / GROUP)
#define GROUP_AT(b, part) ((b) / (GROUP / 32))
#endif

#if FAMILY == 0

/* sum_k q * x over one part of a block, for 16 rows. */
CLM_INLINE float16 part_sum(__global const uint *words, __global const float *x)
{
    float16 low = 0.0f, high = 0.0f;

#pragma unroll
    for (int j = 0; j < SLICES; j++) {
        const uint16 v = vload16(j, words);

#pragma unroll
        for (int i = 0; i < 4; i++) {
            low += convert_float16(as_int16((v >> (uint)(8 * i)) & 15u)) * x[8 * j + i];
            high += convert_float16(as_int16((v >> (uint)(8 * i + 4)) & 15u)) * x[8 * j + 4 + i];
        }
    }
    return low + high;
}

__kernel __attribute__((vec_type_hint(float16)))
void gemv_q4(__global const uint *restrict q, __global const half *restrict scale,
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
#if PARTS == 2
            const float sum_x = clm_sum16(vload16(0, xp));
#else
            const float sum_x = clm_sum16(vload16(0, xp) + vload16(1, xp));
#endif

#pragma unroll
            for (int t = 0; t < TILES; t++) {
                const size_t g = tile[t] * groups + (size_t)GROUP_AT(b, p);
                const float16 s = vload_half16(g, scale);
                const float16 sum =
                    part_sum(q + (tile[t] * blocks + (size_t)b) * 64 + p * 32, xp);

#if HAS_MIN
                acc[t] += s * (sum - 8.0f * sum_x) + CLM_MINIMUM(HAS_MIN, s, vload_half16(g, minimum)) * sum_x;
#else
                acc[t] += s * (sum - 8.0f * sum_x);
#endif
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
void gemv_q4(__global const uint *restrict q, __global const half *restrict scale,
             __global const half *restrict minimum, __global const float *restrict x,
             __global float *restrict y, const int tokens, const int rows, const int columns,
             const int ldy, const int y_off)
{
    __local float part[16 * KSPLIT];
    const uint id = (uint)get_local_id(0); /* unsigned: see clm_weight_at() */
    const int item = (int)id, split = (int)(id / 16), row = (int)(id % 16);
    const int tile = (int)get_group_id(0), token = (int)get_group_id(1);
    const int blocks = columns / 32;
    __global const uint *restrict words = q + (size_t)tile * (size_t)blocks * 64 + row;
    const size_t s_off = (size_t)tile * (size_t)GROUPS(columns) * 16 + (size_t)row;
    __global const float *restrict xt = x + (size_t)token * (size_t)columns;
    float acc = 0.0f;

    for (int b = split; b < blocks; b += KSPLIT) {
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            const size_t g = s_off + (size_t)GROUP_AT(b, p) * 16;
            const float s = vload_half(g, scale);
            float4 sum = 0.0f, sum_x = 0.0f;

#pragma unroll
            for (int j = p * SLICES; j < (p + 1) * SLICES; j++) {
                const uint v = words[(size_t)b * 64 + (size_t)(j * 16)];
                const float4 x0 = vload4(b * 8 + j * 2, xt), x1 = vload4(b * 8 + j * 2 + 1, xt);

                sum += convert_float4(as_uchar4(v & 0x0f0f0f0fu)) * x0;
                sum += convert_float4(as_uchar4((v >> 4) & 0x0f0f0f0fu)) * x1;
                sum_x += x0 + x1;
            }
#if HAS_MIN
            acc += s * clm_sum4(sum - 8.0f * sum_x) +
                   CLM_MINIMUM(HAS_MIN, s, vload_half(g, minimum)) * clm_sum4(sum_x);
#else
            acc += s * clm_sum4(sum - 8.0f * sum_x);
#endif
        }
    }
    acc = clm_split_sum(part, item, KSPLIT, acc);
    if (item < 16 && token < tokens && tile * 16 + row < rows)
        y[(size_t)token * (size_t)ldy + (size_t)(y_off + tile * 16 + row)] = acc;
}

#endif
