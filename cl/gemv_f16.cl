/* gemv_f16.cl: y[m][y_off + n] = sum_k x[m][k] * w[n][k], w in F32, F16 or BF16
 *
 * Reference  clm_ref_gemv() in runtime/ops/ref_gemv.c
 * Buffers    q: [tiles][columns][16] elements (runtime/ops/weight.h).
 *            x: [tokens][columns] f32. y: [tokens][ldy] f32; other columns stay as they are.
 * Launch     dimension 1 = token, local 1.
 *            FAMILY 0 (CPU): dimension 0 = tiles of 16 rows / TILES, local 1; lanes = rows.
 *            FAMILY 1 (GPU): dimension 0 = tiles * 16 * KSPLIT, local 16 * KSPLIT; item =
 *            split * 16 + row; a split takes every KSPLIT-th k, local memory adds them.
 * Build      FORMAT 0 F32, 1 F16, 2 BF16
 * Tunables   FAMILY, KSPLIT (FAMILY 1), TILES (FAMILY 0: tiles per work-item, which share the
 *            loads of x); space: runtime/ops/op_gemv.c
 * Limits     rows, columns, tokens >= 1, any value.
 */
#ifndef FORMAT
#define FORMAT 1
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
#if FAMILY != 0 && FAMILY != 1
#error "gemv_f16: FAMILY must be 0 or 1"
#endif
#if KSPLIT < 1 || KSPLIT > 64 || TILES < 1 || TILES > 8
#error "gemv_f16: KSPLIT must be 1 to 64, TILES 1 to 8"
#endif

#if FORMAT == 0
typedef float weight;
#define LOAD16(i, p) vload16(i, p)
#define LOAD(i, p)   ((p)[i])
#elif FORMAT == 1
typedef half weight;
#define LOAD16(i, p) vload_half16(i, p)
#define LOAD(i, p)   vload_half(i, p)
#elif FORMAT == 2
typedef ushort weight;
#define LOAD16(i, p) as_float16(convert_uint16(vload16(i, p)) << 16)
#define LOAD(i, p)   as_float((uint)((p)[i]) << 16)
#else
#error "gemv_f16: FORMAT must be 0 (F32), 1 (F16) or 2 (BF16)"
#endif

/* Independent sums, which hide the latency of an addition and keep sums short. */
#define SUMS 4

#if FAMILY == 0

__kernel __attribute__((vec_type_hint(float16)))
void gemv_f16(__global const weight *restrict q, __global const float *restrict x,
              __global float *restrict y, const int tokens, const int rows, const int columns,
              const int ldy, const int y_off)
{
    const int first = (int)get_global_id(0) * TILES, tiles = (rows + 15) / 16;
    const int token = (int)get_global_id(1);
    __global const float *restrict xt = x + (size_t)token * (size_t)columns;
    size_t start[TILES];
    float16 acc[TILES * SUMS];
    int k = 0;

    if (first >= tiles || token >= tokens) return;
#pragma unroll
    for (int t = 0; t < TILES; t++)
        start[t] = (size_t)min(first + t, tiles - 1) * (size_t)columns;
#pragma unroll
    for (int i = 0; i < TILES * SUMS; i++) acc[i] = 0.0f;
    for (; k + SUMS <= columns; k += SUMS) {
#pragma unroll
        for (int i = 0; i < TILES * SUMS; i++)
            acc[i] += LOAD16(start[i / SUMS] + (size_t)(k + i % SUMS), q) * xt[k + i % SUMS];
    }
    for (; k < columns; k++) {
#pragma unroll
        for (int t = 0; t < TILES; t++) acc[t * SUMS] += LOAD16(start[t] + (size_t)k, q) * xt[k];
    }
#pragma unroll
    for (int t = 0; t < TILES; t++) {
        const float16 sum = (acc[t * SUMS] + acc[t * SUMS + 1]) +
                            (acc[t * SUMS + 2] + acc[t * SUMS + 3]);

        if (first + t < tiles)
            clm_store_tile(y + (size_t)token * (size_t)ldy + (size_t)(y_off + (first + t) * 16),
                           sum, rows - (first + t) * 16);
    }
}

#else

__kernel __attribute__((reqd_work_group_size(16 * KSPLIT, 1, 1)))
void gemv_f16(__global const weight *restrict q, __global const float *restrict x,
              __global float *restrict y, const int tokens, const int rows, const int columns,
              const int ldy, const int y_off)
{
    __local float part[16 * KSPLIT];
    const uint id = (uint)get_local_id(0); /* unsigned: see clm_weight_at() */
    const int item = (int)id, split = (int)(id / 16), row = (int)(id % 16);
    const int tile = (int)get_group_id(0), token = (int)get_group_id(1);
    __global const weight *restrict w = q + (size_t)tile * (size_t)columns * 16 + row;
    __global const float *restrict xt = x + (size_t)token * (size_t)columns;
    float acc[SUMS] = {0.0f, 0.0f, 0.0f, 0.0f};
    int k = split;

    for (; k + (SUMS - 1) * KSPLIT < columns; k += SUMS * KSPLIT) {
#pragma unroll
        for (int i = 0; i < SUMS; i++)
            acc[i] += LOAD((size_t)(k + i * KSPLIT) * 16, w) * xt[k + i * KSPLIT];
    }
    for (; k < columns; k += KSPLIT) acc[0] += LOAD((size_t)k * 16, w) * xt[k];
    acc[0] = clm_split_sum(part, item, KSPLIT, (acc[0] + acc[1]) + (acc[2] + acc[3]));
    if (item < 16 && token < tokens && tile * 16 + row < rows)
        y[(size_t)token * (size_t)ldy + (size_t)(y_off + tile * 16 + row)] = acc[0];
}

#endif
