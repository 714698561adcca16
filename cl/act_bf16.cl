/* act_bf16.cl: rows of floats become bfloat16 activations in panels (layout: runtime/ops/act.h)
 *
 *     z[m][k] = bf16(x[m][off + k])
 *
 * Reference  clm_ref_act_bf16() in runtime/ops/ref_act_bf16.c
 * Buffers    x: [tokens][ld] f32.  z: panels of 32 tokens, out.
 * Launch     1-D: a group of WG per token, also for those that fill up the last panel: zeros.
 * Tunables   WG  work-items per group
 * Limits     columns a multiple of 32.
 */
#include "bf16.cl"

#ifndef WG
#define WG 1
#endif
#if WG < 1
#error "act_bf16: WG must be at least 1"
#endif
#define PANEL 32

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void act_bf16(__global const float *restrict x, __global ushort *restrict z, const int tokens,
              const int columns, const int ld, const int off)
{
    const int lid = (int)get_local_id(0), m = (int)get_group_id(0), blocks = columns / 32;
    __global const float *restrict row = x + (size_t)m * (size_t)ld + (size_t)off;
    __global ushort *restrict to =
        z + ((size_t)(m / PANEL) * (size_t)blocks * PANEL + (size_t)(m % PANEL)) * 32;

    for (int b = lid; b < blocks; b += WG) {
        __global ushort *restrict block = to + (size_t)b * PANEL * 32;

        for (int i = 0; i < 2; i++) {
            uint16 bits = (uint16)(0u);

            if (m < tokens) bits = clm_bf16_round(vload16(2 * b + i, row)) >> 16u;
            vstore16(convert_ushort16(bits), i, block);
        }
    }
}
