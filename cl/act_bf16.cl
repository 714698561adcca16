/* act_bf16.cl: rows of floats become bfloat16 activations in panels (layout: runtime/ops/act.h)
 *
 *     z[m][k] = bf16(x[m][off + k])
 *
 * Reference  clm_ref_act_bf16() in runtime/ops/ref_act_bf16.c
 * Buffers    x: [tokens][ld] f32.  z: panels of 32 tokens, out.
 * Launch     1-D: a group of WG per token, also for those that fill up the last panel: zeros.
 * Build      SHUFFLED  0: columns as they are;  1: of each eight, 0 2 4 6 1 3 5 7 (gemm_mma.cl)
 * Tunables   WG  work-items per group;  COLS  columns that an item takes at once, 8 or 32: neighbours
 *            read side by side with 8, an item reads whole cache lines with 32
 * Limits     columns a multiple of 32.
 */
#include "panel.cl"

#ifndef WG
#define WG 1
#endif
#ifndef COLS
#define COLS 32
#endif
#if WG < 1 || (COLS != 8 && COLS != 32)
#error "act_bf16: WG must be at least 1, COLS 8 or 32"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void act_bf16(__global const float *restrict x, __global ushort *restrict z, const int tokens,
              const int columns, const int ld, const int off)
{
    const int lid = (int)get_local_id(0);
    const size_t m = get_group_id(0);
    __global const float *restrict row = x + m * (size_t)ld + (size_t)off;

    for (int k = lid * COLS; k < columns; k += WG * COLS) {
        __global ushort *restrict at = panel_at(z, columns, m, (size_t)k);

#if COLS == 8
        panel_store8(m < (size_t)tokens ? vload8(k / 8, row) : (float8)(0.0f), at);
#else
        for (int i = 0; i < 2; i++)
            panel_store16(m < (size_t)tokens ? vload16(k / 16 + i, row) : (float16)(0.0f), at + i * 16);
#endif
    }
}
