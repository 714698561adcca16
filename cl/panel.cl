/* panel.cl: writing bfloat16 activations in panels (layout: runtime/ops/act.h), shared by the kernels that do.
 *
 * Build      SHUFFLED  0: columns as they are;  1: of each eight, 0 2 4 6 1 3 5 7 (gemm_mma.cl)
 */
#include "bf16.cl"

#ifndef SHUFFLED
#define SHUFFLED 0
#endif
/* Component by component, as Oclgrind takes .s02461357 for uninitialised; compilers make one shuffle of it. */
#if SHUFFLED
#define EIGHT(v, c0, c1, c2, c3, c4, c5, c6, c7)                                                   \
    v.c0, v.c2, v.c4, v.c6, v.c1, v.c3, v.c5, v.c7
#define IN_ORDER8(v) (ushort8)(EIGHT(v, s0, s1, s2, s3, s4, s5, s6, s7))
#define IN_ORDER16(v)                                                                              \
    (ushort16)(EIGHT(v, s0, s1, s2, s3, s4, s5, s6, s7), EIGHT(v, s8, s9, sa, sb, sc, sd, se, sf))
#else
#define IN_ORDER8(v)  (v)
#define IN_ORDER16(v) (v)
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
    const ushort8 upper = convert_ushort8(clm_bf16_round8(v) >> 16u);

    *(__global ushort8 *)at = IN_ORDER8(upper);
}

CLM_INLINE void panel_store16(const float16 v, __global ushort *at)
{
    const ushort16 upper = convert_ushort16(clm_bf16_round(v) >> 16u);

    *(__global ushort16 *)at = IN_ORDER16(upper);
}
