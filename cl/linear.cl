/* linear.cl: what the kernels linear_q4, linear_q8 and linear_f16 share: a product of a weight matrix
 * with one token's vector, and what happens to its input and output on the way.
 *
 *     v[n] = r * sum_k w[n][k] x[k]
 *     r    = NORM 0: 1;  NORM 1: 1 / sqrt(sum(part) / columns + eps)
 *
 * With NORM 1, x is what a normalisation has multiplied by its weight but not by its factor, which
 * commutes with the product; `part` holds the sums of squares that make the factor.
 *
 *     EPILOGUE 0  y[row0 + n] = v[n]
 *     EPILOGUE 1  y[row0 + n] += v[n], the residual stream; out = gamma .* y goes on to the next
 *                 product, and part_out[(row0 + n) / 32] = sum of the squares of 32 of y
 *     EPILOGUE 2  out[i] = silu(gate[i]) * up[i]; the matrix has 16 rows of gate, 16 of up, in turn:
 *                 i = (row0 + n) / 32 * 16 + n % 16
 *
 * Reference  clm_ref_linear() in runtime/ops/ref_linear.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h.  x: [columns] f32 (ACT 0), or q, d, s of
 *            runtime/ops/act.h with T = 1 in x, xd, xs (ACT 1).  part: [n_part] f32, read with NORM 1.
 *            y: [row0 + rows] f32.  gamma: [row0 + rows] f32, EPILOGUE 1.
 *            out: f32 (OUT_ACT 0), or q, d, s in out, out_d, out_s (OUT_ACT 1).
 *            part_out: [ceil((row0 + rows) / 32)] f32.  What a build does not use may be any buffer.
 * Launch     FAMILY 0 (CPU): 1-D, a work-item per LINEAR_TILES tiles of 16 rows, local 1.
 *            FAMILY 1 (GPU): 1-D, local WG, a group per LINEAR_TILES tiles (linear_group.cl).
 * Build      ACT, OUT_ACT 0 or 1;  NORM 0 or 1;  EPILOGUE 0 to 2;  DOT: dot.cl, for ACT 1
 * Tunables   FAMILY;  STREAMS tiles that a work-item reads side by side: memory delivers more to
 *            several streams than to one;  AHEAD (FAMILY 0) KB between what is used and what is asked for, 0:
 *            left to the processor;  WG work-items of a group, MAGIC 1: integers become floats by way of
 *            bit patterns (both FAMILY 1)
 * Limits     EPILOGUE 1 and 2: row0 a multiple of 32. EPILOGUE 2: rows a multiple of 32. ACT 1:
 *            columns a multiple of 32.
 *            OUT_ACT 1: rows a multiple of 32, of 64 with EPILOGUE 2.
 */
#include "act.cl"
#include "dot.cl"

#ifndef ACT
#define ACT 0
#endif
#ifndef OUT_ACT
#define OUT_ACT 0
#endif
#ifndef NORM
#define NORM 0
#endif
#ifndef EPILOGUE
#define EPILOGUE 0
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef STREAMS
#define STREAMS 4
#endif
#ifndef AHEAD
#define AHEAD 0
#endif
#if ACT < 0 || ACT > 1 || OUT_ACT < 0 || OUT_ACT > 1 || NORM < 0 || NORM > 1
#error "linear: ACT, OUT_ACT and NORM must be 0 or 1"
#endif
#if EPILOGUE < 0 || EPILOGUE > 2
#error "linear: EPILOGUE must be 0, 1 or 2"
#endif
#if STREAMS != 1 && STREAMS != 2 && STREAMS != 4 && STREAMS != 8
#error "linear: STREAMS must be 1, 2, 4 or 8"
#endif
#if AHEAD < 0 || (FAMILY != 0 && AHEAD != 0)
#error "linear: AHEAD must not be negative, and is FAMILY 0's"
#endif

/* Tiles of a work-item or group: the fewest that hold whole groups of outputs. */
#define LINEAR_LEAST (EPILOGUE == 2 && OUT_ACT == 1 ? 4 : 2)
#define LINEAR_TILES (STREAMS > LINEAR_LEAST ? STREAMS : LINEAR_LEAST)

/* All arguments behind the weights, in the order of the operator's buffers. Helpers have pointers that are
 * `const`, not `restrict`: inlining those leaves calls that Oclgrind does not know. */
#if ACT == 0
#define LINEAR_X __global const float
#else
#define LINEAR_X __global const uint
#endif
#if OUT_ACT == 0
#define LINEAR_OUT __global float
#else
#define LINEAR_OUT __global char
#endif
#define LINEAR_LIST(QUALIFIER)                                                                     \
    LINEAR_X *QUALIFIER x, __global const float *QUALIFIER xd, __global const int *QUALIFIER xs,   \
        __global const float *QUALIFIER part, __global float *QUALIFIER y,                         \
        __global const float *QUALIFIER gamma, LINEAR_OUT *QUALIFIER out,                          \
        __global float *QUALIFIER out_d, __global int *QUALIFIER out_s,                            \
        __global float *QUALIFIER part_out, const int rows, const int columns, const int row0,     \
        const int n_part, const float eps
#define LINEAR_ARGS LINEAR_LIST(restrict)

#if FAMILY == 0

/* What lies AHEAD of unit i of a tile, of `units` with `bytes` each: a unit of the same tile or, behind its
 * end, of the one that is read next in the tile's place, STREAMS further. */
CLM_INLINE size_t linear_ahead(const int i, const int units, const int bytes)
{
    const int ahead = i + AHEAD * 1024 / bytes;

    return (size_t)(ahead < units ? ahead : ahead + (STREAMS - 1) * units);
}

/* The processor is asked for `bytes` from `offset` on, which may lie behind the end. */
CLM_INLINE void linear_prefetch(__global const void *data, const size_t offset, const int bytes)
{
#if AHEAD > 0
    for (int i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((size_t)data + offset + (size_t)i), 0, 3);
#else
    (void)data;
    (void)offset;
    (void)bytes;
#endif
}

#ifdef GROUPS
/* Where STREAMS tiles from `first` on have their words, `block_words` of a block, and their scales, and sums of 0. */
CLM_INLINE void linear_begin(__global const uint *words[STREAMS], size_t groups[STREAMS],
                             float16 sums[STREAMS], __global const uint *q, const int block_words,
                             const int first, const int rows, const int columns)
{
    const int last = (rows + 15) / 16 - 1;

#pragma unroll
    for (int t = 0; t < STREAMS; t++) {
        const size_t tile = (size_t)min(first + t, last); /* one too many is not stored */

        words[t] = q + tile * (size_t)(columns / 32) * (size_t)block_words;
        groups[t] = tile * (size_t)GROUPS(columns);
        sums[t] = 0.0f;
    }
}

/* Block `ahead` of a tile is asked for, of `bytes`, with its scales and minima. */
CLM_INLINE void linear_ask(__global const uint *words, __global const half *scale,
                           __global const half *minimum, const size_t groups, const size_t ahead,
                           const int bytes)
{
    const size_t group = groups + (size_t)GROUP_OF(ahead, 0);

    linear_prefetch(words, ahead * (size_t)bytes, bytes);
    linear_prefetch(scale, group * 32, 32 * PARTS);
#if HAS_MIN
    linear_prefetch(minimum, group * 32, 32 * PARTS);
#else
    (void)minimum;
#endif
}
#endif

/* The factor r. */
CLM_INLINE float linear_factor(__global const float *part, const int n_part, const int columns,
                               const float eps)
{
#if NORM
    float16 wide = 0.0f;
    float sum;
    int i = 0;

    for (; i + 16 <= n_part; i += 16) wide += vload16(0, part + i);
    sum = clm_sum16(wide);
    for (; i < n_part; i++) sum += part[i];
    return 1.0f / sqrt(sum / (float)columns + eps);
#else
    return 1.0f;
#endif
}

#if EPILOGUE == 0
#define LINEAR_EPILOGUE(tile, v)                                                                   \
    for (int t = 0; t < LINEAR_TILES; t++)                                                         \
        if (tile + t < (rows + 15) / 16)                                                           \
            clm_store_tile(y + row0 + (tile + t) * 16, v[t], rows - (tile + t) * 16);
#elif EPILOGUE == 1
#define LINEAR_EPILOGUE(tile, v)                                                                   \
    for (int t = 0; t < LINEAR_TILES; t += 2)                                                      \
        if (tile + t < (rows + 15) / 16)                                                           \
            linear_residual(v[t], v[t + 1], rows - (tile + t) * 16, row0 + (tile + t) * 16, y,     \
                            gamma, out, out_d, out_s, part_out);

/* Rows n .. n + 31 of the stream, of which `rows` (1 to 32 or more) exist. */
CLM_INLINE void linear_residual(const float16 v0, const float16 v1, const int rows, const int n,
                                __global float *y, __global const float *gamma, LINEAR_OUT *out,
                                __global float *out_d, __global int *out_s,
                                __global float *part_out)
{
    const float16 y0 = clm_load_tile(y + n, rows) + v0;

    clm_store_tile(y + n, y0, rows);
    if (rows <= 16) { /* OUT_ACT 0 only */
        const float16 valid = clm_load_tile(y + n, rows); /* zeros behind the last row */
        part_out[n / 32] = clm_sum16(valid * valid);
#if OUT_ACT == 0
        clm_store_tile(out + n, valid * clm_load_tile(gamma + n, rows), rows);
#endif
        return;
    }
    const float16 y1 = clm_load_tile(y + n + 16, rows - 16) + v1;

    clm_store_tile(y + n + 16, y1, rows - 16);
    const float16 valid = clm_load_tile(y + n + 16, rows - 16);
    const float16 g0 = vload16(0, gamma + n), g1 = clm_load_tile(gamma + n + 16, rows - 16);
    part_out[n / 32] = clm_sum16(y0 * y0 + valid * valid);
#if OUT_ACT == 0
    vstore16(y0 * g0, 0, out + n);
    clm_store_tile(out + n + 16, valid * g1, rows - 16);
#else
    clm_act_store(out + n, out_d + n / 32, out_s + n / 32, y0 * g0, valid * g1);
#endif
}

#else /* EPILOGUE == 2 */

CLM_INLINE float16 linear_swiglu(const float16 gate, const float16 up)
{
    return gate / (1.0f + exp(-gate)) * up;
}

#if OUT_ACT == 0
#define LINEAR_EPILOGUE(tile, v)                                                                   \
    for (int t = 0; t < LINEAR_TILES; t += 2)                                                      \
        if ((tile + t) * 16 < rows)                                                                \
            vstore16(linear_swiglu(v[t], v[t + 1]), 0, out + (row0 + (tile + t) * 16) / 2);
#else
#define LINEAR_EPILOGUE(tile, v)                                                                   \
    for (int t = 0; t < LINEAR_TILES; t += 4) {                                                    \
        const int i = (row0 + (tile + t) * 16) / 2;                                                \
        if ((tile + t) * 16 < rows)                                                                \
            clm_act_store(out + i, out_d + i / 32, out_s + i / 32, linear_swiglu(v[t], v[t + 1]),  \
                          linear_swiglu(v[t + 2], v[t + 3]));                                      \
    }
#endif
#endif
#else
#include "linear_group.cl"
#endif
