/* gemm.cl: what the kernels gemm_q4 and gemm_q8 share: products of a weight matrix with int8
 * activations of many tokens, for prompts.
 *
 *     y[m][y_off + n] = sum_k w[n][k] x[m][k]
 *
 * Reference  clm_ref_gemm() in runtime/ops/ref_gemm.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h.  x, xd, xs: q, d, s of runtime/ops/act.h in
 *            panels of T tokens.  y: [tokens][ldy] f32.
 * Launch     FAMILY 0 (CPU): 2-D, dimension 0 = panels of T tokens, dimension 1 = TILES tiles of 16 rows,
 *            local (1, 1): the work-items that follow each other share a tile of weights, which so
 *            stays in the first-level cache, while the panels come from the second.
 *            FAMILY 1 (GPU): 2-D, local (T / LANE_T, 16 * TILES / LANE_N), a group per panel
 *            (dimension 0) and per TILES tiles of rows (dimension 1); each work-item makes LANE_T
 *            tokens x LANE_N rows.
 *            FAMILY 2 (GPU, few tokens): 2-D, local (WG, 1), a group per panel (dimension 0) and per
 *            TILES tiles of rows (dimension 1): gemm_few.cl.
 * Build      T tokens per panel;  DOT: dot.cl;  GROUP, HAS_MIN: the weights'
 * Tunables   FAMILY;  TILES;  LANE_T, LANE_N (multiples of 4) of FAMILY 1;  WG of FAMILY 2
 * Limits     rows and tokens: any number.  columns a multiple of 32 and of GROUP.  FAMILY 1: T a
 *            multiple of LANE_T. FAMILY 2: T 4 or 8.
 */
#include "dot.cl"
#include "weight_group.cl"

#ifndef T
#define T 12
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#if T < 1 || T > 64
#error "gemm: T must be 1 to 64"
#endif

#define GEMM_ARGS                                                                                  \
    __global const uint *restrict q, __global const half *restrict scale,                          \
        __global const half *restrict minimum, __global const uint *restrict x,                    \
        __global const float *restrict xd, __global const int *restrict xs,                        \
        __global float *restrict y, const int tokens, const int rows, const int columns,           \
        const int ldy, const int y_off

#if FAMILY == 0
#ifndef TILES
#define TILES 1
#endif

/* Where the tiles from `first` on have their words, `block_words` of a block, and their scales, and sums of 0. */
CLM_INLINE void gemm_begin(__global const uint *words[TILES], size_t groups[TILES],
                           float16 acc[TILES][T], __global const uint *q, const int block_words,
                           const int first, const int rows, const int columns)
{
    const int last = (rows + 15) / 16 - 1;

#pragma unroll
    for (int i = 0; i < TILES; i++) {
        const size_t tile = (size_t)min(first + i, last); /* one too many is not stored */

        words[i] = q + tile * (size_t)(columns / 32) * (size_t)block_words;
        groups[i] = tile * (size_t)GROUPS(columns);
#pragma unroll
        for (int t = 0; t < T; t++) acc[i][t] = 0.0f;
    }
}

/* Writes T rows of y from tile `first` on, as far as they exist. */
CLM_INLINE void gemm_store(__global float *y, const float16 v[TILES][T], const int first,
                           const int rows, const int tokens, const int ldy)
{
#pragma unroll
    for (int i = 0; i < TILES; i++) {
#pragma unroll
        for (int t = 0; t < T; t++) {
            /* No break: the loop would not be unrolled, and v not be held in registers. */
            if (t < tokens)
                clm_store_tile(y + (size_t)t * (size_t)ldy + (size_t)(first + i) * 16, v[i][t],
                               rows - (first + i) * 16);
        }
    }
}
#elif FAMILY == 1

/* The group's tile of 32 columns lies in local memory, as words of four columns, x behind w:
 *     w [8][ROWS], x [8][T]
 * A work-item reads words of four rows and of four tokens at a time. Its quads of rows are spread over
 * the group's, so that neighbours read neighbours; and so are its quads of tokens. */
#ifndef TILES
#define TILES 4
#endif
#ifndef LANE_T
#define LANE_T 4
#endif
#ifndef LANE_N
#define LANE_N 4
#endif
#define GEMM_ROWS    (16 * TILES)
#define ROW_QUADS    (LANE_N / 4)
#define TOKEN_QUADS  (LANE_T / 4)
#define GROUP_X      (T / LANE_T)
#define GROUP_Y      (GEMM_ROWS / LANE_N)
#define GROUP_ITEMS  (GROUP_X * GROUP_Y)
#if LANE_T % 4 || LANE_N % 4 || T % LANE_T || TILES < 1 || GEMM_ROWS % LANE_N
#error "gemm: LANE_T and LANE_N must be multiples of 4, T of LANE_T, 16 * TILES of LANE_N"
#endif

/* First row (in the group) and token (in the panel) of a work-item's quad i. */
#define ROW_QUAD(i)   (((i)*GROUP_Y + (int)get_local_id(1)) * 4)
#define TOKEN_QUAD(i) (((i)*GROUP_X + (int)get_local_id(0)) * 4)

/* A quad's part of scales or minimums, of group g of the columns. */
CLM_INLINE float4 gemm_scales(__global const half *scale, const int row, const int rows,
                              const size_t groups, const size_t g)
{
    const size_t tile = (size_t)min(row / 16, (rows - 1) / 16);

    return clm_half4(((__global const uint2 *)scale)[(tile * groups + g) * 4 + (size_t)(row % 16 / 4)]);
}

/* Copies the panel's words of block b. */
CLM_INLINE void gemm_load_x(__local uint4 *to, __global const uint *x, const int b)
{
    __global const uint4 *from = (__global const uint4 *)x + (size_t)b * (2 * T);

    for (int i = (int)(get_local_id(1) * GROUP_X + get_local_id(0)); i < 2 * T; i += GROUP_ITEMS)
        to[i] = from[i];
}

/* Adds a block's (or part's) integer sums, with the scales of rows and tokens, to the result. */
CLM_INLINE void gemm_rescale(float4 acc[LANE_T][ROW_QUADS], const int4 sum[LANE_T][ROW_QUADS],
                             const float4 scales[ROW_QUADS], const float d[LANE_T])
{
#pragma unroll
    for (int t = 0; t < LANE_T; t++) {
#pragma unroll
        for (int i = 0; i < ROW_QUADS; i++)
            acc[t][i] += convert_float4(sum[t][i]) * (scales[i] * d[t]);
    }
}

/* Adds the products of `words` words of four columns, from the word `first` of the tile on. */
CLM_INLINE void gemm_multiply(int4 sum[LANE_T][ROW_QUADS], __local const uint4 *w,
                              __local const uint4 *x, const int first, const int words)
{
#pragma unroll
    for (int j = first; j < first + words; j++) {
        uint4 wq[ROW_QUADS];
        uint xt[LANE_T];

#pragma unroll
        for (int i = 0; i < ROW_QUADS; i++) wq[i] = w[(j * GEMM_ROWS + ROW_QUAD(i)) / 4];
#pragma unroll
        for (int i = 0; i < TOKEN_QUADS; i++) vstore4(x[(j * T + TOKEN_QUAD(i)) / 4], i, xt);
#pragma unroll
        for (int t = 0; t < LANE_T; t++) {
#pragma unroll
            for (int i = 0; i < ROW_QUADS; i++)
                sum[t][i] = clm_dot4_by4(wq[i], xt[t], sum[t][i]);
        }
    }
}

/* The scales d of the work-item's tokens (or their sums, as integers) at block b. */
CLM_INLINE void gemm_load_tokens(float to[LANE_T], __global const float *from, const int b)
{
#pragma unroll
    for (int i = 0; i < TOKEN_QUADS; i++)
        vstore4(((__global const float4 *)from)[(b * T + TOKEN_QUAD(i)) / 4], i, to);
}

CLM_INLINE void gemm_load_sums(int to[LANE_T], __global const int *from, const int b)
{
#pragma unroll
    for (int i = 0; i < TOKEN_QUADS; i++)
        vstore4(((__global const int4 *)from)[(b * T + TOKEN_QUAD(i)) / 4], i, to);
}

/* Writes the work-item's part of y, as far as it exists; `y` is the group's first element. */
CLM_INLINE void gemm_store_quads(__global float *y, const float4 acc[LANE_T][ROW_QUADS],
                                 const int rows, const int tokens, const int ldy)
{
#pragma unroll
    for (int t = 0; t < LANE_T; t++) {
        const int token = TOKEN_QUAD(t / 4) + t % 4;

#pragma unroll
        for (int i = 0; i < ROW_QUADS; i++) {
            float v[4];

            vstore4(acc[t][i], 0, v);
#pragma unroll
            for (int r = 0; r < 4; r++) {
                if (token < tokens && ROW_QUAD(i) + r < rows)
                    y[(size_t)token * (size_t)ldy + (size_t)(ROW_QUAD(i) + r)] = v[r];
            }
        }
    }
}
#else
#ifndef TILES
#define TILES 1
#endif
#include "gemm_few.cl"
#endif
