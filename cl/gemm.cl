/* gemm.cl: what the kernels gemm_q4 and gemm_q8 share: products of a weight matrix with int8
 * activations of many tokens, for prompts.
 *
 *     y[m][y_off + n] = sum_k w[n][k] x[m][k]
 *
 * Reference  clm_ref_gemm() in runtime/ops/ref_gemm.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h.  x, xd, xs: q, d, s of runtime/ops/act.h in
 *            panels of T tokens.  y: [tokens][ldy] f32.
 * Launch     FAMILY 0 (CPU): 2-D, dimension 0 = panels of T tokens, dimension 1 = tiles of 16 rows,
 *            local (1, 1): the work-items that follow each other share a tile of weights, which so
 *            stays in the first-level cache, while the panels come from the second.
 * Build      T tokens per panel;  DOT: dot.cl;  GROUP, HAS_MIN: the weights'
 * Tunables   FAMILY
 * Limits     rows and tokens: any number.  columns a multiple of 32 and of GROUP.
 */
#include "dot.cl"

#ifndef T
#define T 12
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef GROUP
#define GROUP 32
#endif
#ifndef HAS_MIN
#define HAS_MIN 0
#endif
#if T < 1 || T > 64 || HAS_MIN < 0 || HAS_MIN > 2
#error "gemm: T must be 1 to 64, HAS_MIN 0 to 2"
#endif

#define GEMM_ARGS                                                                                  \
    __global const uint *restrict q, __global const half *restrict scale,                          \
        __global const half *restrict minimum, __global const uint *restrict x,                    \
        __global const float *restrict xd, __global const int *restrict xs,                        \
        __global float *restrict y, const int tokens, const int rows, const int columns,           \
        const int ldy, const int y_off

#if FAMILY == 0
/* Writes T rows of y, as far as they exist. */
CLM_INLINE void gemm_store(__global float *y, const float16 v[T], const int rows, const int tokens,
                           const int ldy)
{
#pragma unroll
    for (int t = 0; t < T; t++) {
        /* No break: the loop would not be unrolled, and v not be held in registers. */
        if (t < tokens) clm_store_tile(y + (size_t)t * (size_t)ldy, v[t], rows);
    }
}
#endif
