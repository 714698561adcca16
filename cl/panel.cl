/* panel.cl: writing bfloat16 activations in panels (layout: runtime/ops/act.h), shared by the kernels that do.
 *
 * Build      SHUFFLED  0: columns as they are;  1: of each eight, 0 2 4 6 1 3 5 7 (gemm_mma.cl)
 */
#include "bf16.cl"

#ifndef SHUFFLED
#define SHUFFLED 0
#endif
#if SHUFFLED
#define ORDER8  s02461357
#define ORDER16 s024613578ace9bdf
#else
#define ORDER8  s01234567
#define ORDER16 s0123456789abcdef
#endif
#define PANEL 32

/* Where column k of token m is, k a multiple of 8 (16), in panels of rows of `columns`. */
CLM_INLINE __global ushort *panel_at(__global ushort *z, const int columns, const size_t m, const size_t k)
{
    const size_t block = m / PANEL * (size_t)(columns / 32) + k / 32;

    return z + (block * PANEL + m % PANEL) * 32 + k % 32;
}

/* Rounds 8 or 16 columns into such a place, whose address is a multiple of their size: vstore16 of ushorts is 16
 * stores on PoCL. */
CLM_INLINE void panel_store8(const float8 v, __global ushort *at)
{
    *(__global ushort8 *)at = convert_ushort8(clm_bf16_round8(v) >> 16u).ORDER8;
}

CLM_INLINE void panel_store16(const float16 v, __global ushort *at)
{
    *(__global ushort16 *)at = convert_ushort16(clm_bf16_round(v) >> 16u).ORDER16;
}
