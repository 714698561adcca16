/* linear_group.cl: FAMILY 1 of linear.cl, for GPUs: how a work-group shares out a product and what it
 * does with the sums. Included by linear.cl only.
 *
 * A group makes LINEAR_TILES tiles of 16 rows, the fewest that hold whole groups of outputs. A tile's
 * rows lie side by side in memory, so LINEAR_LANES work-items next to each other read one stretch of
 * it, 16 bytes each: LANE_ROWS rows. The columns are dealt out to LINEAR_SPLIT `slots`, one after the
 * other, so that the group walks along a tile in one front. Each work-item does so in STREAMS tiles at
 * once, with the same x. Its sums go through local memory.
 */
#ifndef WG
#define WG 64
#endif
#ifndef MAGIC
#define MAGIC 0
#endif
#ifndef LANE_ROWS
#define LANE_ROWS 4
#endif
#define LINEAR_LANES (16 / LANE_ROWS)
#define LINEAR_SPLIT (WG / LINEAR_LANES * STREAMS / LINEAR_TILES)
#define LINEAR_ROWS  (16 * LINEAR_TILES)
#if WG < 64 || (WG & (WG - 1)) || STREAMS > 4
#error "linear: WG must be a power of two from 64 on, STREAMS at most 4"
#endif

/* Local memory of a group, in floats: the slots' sums of a row (one more apart than there are slots,
 * so that neighbours are in different banks), sums of squares, and twice the rows. */
#define LINEAR_STRIDE  (LINEAR_SPLIT + 1)
#define LINEAR_SQUARES (LINEAR_ROWS * LINEAR_STRIDE)
#define LINEAR_VALUES  (LINEAR_SQUARES + WG)
#define LINEAR_LOCAL                                                                               \
    __local float local_memory[LINEAR_VALUES + 2 * LINEAR_ROWS] __attribute__((aligned(16)))

/* What linear_finish takes behind the sums. */
#define LINEAR_NAMES                                                                               \
    x, xd, xs, part, y, gamma, out, out_d, out_s, part_out, rows, columns, row0, n_part, eps

/* A work-item's share: its first row in each tile, its slot, and its first tile. */
#define LINEAR_LANE  ((int)get_local_id(0) % LINEAR_LANES)
#define LINEAR_SLOT  ((int)get_local_id(0) / LINEAR_LANES % LINEAR_SPLIT)
#define LINEAR_FIRST ((int)get_local_id(0) / (LINEAR_LANES * LINEAR_SPLIT) * STREAMS)

/* Tile `t` of a work-item. Behind the last tile the last one is read, and not stored. */
CLM_INLINE size_t linear_tile(const int t, const int rows)
{
    return (size_t)min((int)get_group_id(0) * LINEAR_TILES + LINEAR_FIRST + t, (rows + 15) / 16 - 1);
}

/* Sums up the slots of each row and multiplies by the factor r. The first LINEAR_ROWS work-items get
 * their row's result. All of the group must call it. */
CLM_INLINE float linear_total(__local float *memory, const float acc[STREAMS * LANE_ROWS],
                              __global const float *part, const int n_part, const int columns,
                              const float eps)
{
    /* Work-items to a row in the first of two steps; each adds up what leaves its own remainder, and
     * writes where no other reads. */
    const int helpers = min(WG / LINEAR_ROWS, LINEAR_SPLIT);
    const int lid = (int)get_local_id(0);
    __local float *row = memory + lid % LINEAR_ROWS * LINEAR_STRIDE;
    float sum = 0.0f;

#pragma unroll
    for (int i = 0; i < STREAMS * LANE_ROWS; i++)
        memory[((LINEAR_FIRST + i / LANE_ROWS) * 16 + LINEAR_LANE * LANE_ROWS + i % LANE_ROWS) *
                   LINEAR_STRIDE +
               LINEAR_SLOT] = acc[i];
#if NORM
    __local float *squares = memory + LINEAR_SQUARES;

    for (int i = lid; i < n_part; i += WG) sum += part[i];
    squares[lid] = sum;
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid / LINEAR_ROWS < helpers) {
        const int first = lid / LINEAR_ROWS;

        sum = 0.0f;
        for (int i = first; i < LINEAR_SPLIT; i += helpers) sum += row[i];
        row[first] = sum;
    }
#if NORM
    if (lid < 16) {
        sum = 0.0f;
        for (int i = lid; i < WG; i += 16) sum += squares[i];
        squares[lid] = sum;
    }
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid >= LINEAR_ROWS) return 0.0f;
    sum = 0.0f;
    for (int i = 0; i < helpers; i++) sum += row[i];
#if NORM
    float square = 0.0f;

    for (int i = 0; i < 16; i++) square += squares[i];
    sum *= 1.0f / sqrt(square / (float)columns + eps);
#endif
    return sum;
}

/* 16 floats of local memory, four at a time. */
CLM_INLINE float16 linear_local16(__local const float *p)
{
    __local const float4 *v = (__local const float4 *)p;

    return (float16)(v[0], v[1], v[2], v[3]);
}

/* From the work-items' sums to the outputs. All of the group must call it. */
CLM_INLINE void linear_finish(__local float *memory, const float acc[STREAMS * LANE_ROWS],
                              LINEAR_LIST(const))
{
    const int lid = (int)get_local_id(0), first = (int)get_group_id(0) * LINEAR_ROWS;
    const float v = linear_total(memory, acc, part, n_part, columns, eps);

#if EPILOGUE == 0
    if (lid < LINEAR_ROWS && first + lid < rows) y[row0 + first + lid] = v;
#elif EPILOGUE == 1
    __local float *squares = memory + LINEAR_VALUES, *scaled = squares + LINEAR_ROWS;
    const int at = row0 + first + lid;
    const bool exists = lid < LINEAR_ROWS && first + lid < rows;

    if (lid < LINEAR_ROWS) {
        const float now = exists ? y[at] + v : 0.0f, z = exists ? now * gamma[at] : 0.0f;

        if (exists) y[at] = now;
        squares[lid] = now * now;
        scaled[lid] = z;
#if OUT_ACT == 0
        if (exists) out[at] = z;
#endif
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (exists && lid % 32 == 0) {
        part_out[at / 32] =
            clm_sum16(linear_local16(squares + lid) + linear_local16(squares + lid + 16));
#if OUT_ACT == 1
        clm_act_store(out + at, out_d + at / 32, out_s + at / 32, linear_local16(scaled + lid),
                      linear_local16(scaled + lid + 16));
#endif
    }
#else
    __local float *sums = memory + LINEAR_VALUES, *values = sums + LINEAR_ROWS;
    const int gate_row = lid / 16 * 32 + lid % 16, at = (row0 + first) / 2 + lid;
    const bool exists = lid < LINEAR_ROWS / 2 && first + gate_row < rows;

    if (lid < LINEAR_ROWS) sums[lid] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (exists) {
        const float gate = sums[gate_row], z = gate / (1.0f + exp(-gate)) * sums[gate_row + 16];

#if OUT_ACT == 0
        out[at] = z;
#else
        values[lid] = z;
#endif
    }
#if OUT_ACT == 1
    barrier(CLK_LOCAL_MEM_FENCE);
    if (exists && lid % 32 == 0)
        clm_act_store(out + at, out_d + at / 32, out_s + at / 32, linear_local16(values + lid),
                      linear_local16(values + lid + 16));
#endif
#endif
}

/* x of part p of the columns, 32 / PARTS elements: xb, their sum sum_x and scale d. A macro, because
 * what it declares differs. */
#ifndef PARTS
#define PARTS 1
#endif
#if ACT == 0
#define LINEAR_BLOCK(p)                                                                            \
    const float d = 1.0f;                                                                          \
    float xb[32 / PARTS];                                                                          \
    const float sum_x = linear_load_x(xb, x, p);

CLM_INLINE float linear_load_x(float xb[32 / PARTS], __global const float *x, const int p)
{
    __global const float4 *from = (__global const float4 *)x + (size_t)p * (8 / PARTS);
    float4 sum = 0.0f;

#pragma unroll
    for (int i = 0; i < 8 / PARTS; i++) {
        vstore4(from[i], i, xb);
        sum += from[i];
    }
    return clm_sum4(sum);
}
#else
#define LINEAR_BLOCK(p)                                                                            \
    const float d = xd[(p) / PARTS];                                                               \
    uint xb[8 / PARTS];                                                                            \
    const int sum_x = linear_load_x(xb, x, xs, p);

CLM_INLINE int linear_load_x(uint xb[8 / PARTS], __global const uint *x, __global const int *xs,
                             const int p)
{
    __global const uint4 *from = (__global const uint4 *)x + (size_t)p * (2 / PARTS);

#pragma unroll
    for (int i = 0; i < 2 / PARTS; i++) vstore4(from[i], i, xb);
#if PARTS == 1
    return xs[p];
#else
    const int4 sum = clm_dot4_by4(from[0], 0x01010101u, (int4)(0));
    return (sum.s0 + sum.s1) + (sum.s2 + sum.s3);
#endif
}
#endif
