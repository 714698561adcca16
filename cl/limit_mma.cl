/* limit_mma.cl: how fast matrix units multiply: products that stay in registers
 *
 * Reference  none: a probe of tuning/device_limits.c, which looks at the time only.
 * Buffers    out: [items] f32.  factor: [1] word, two bf16 numbers.
 * Launch     1-D: local = WG, global = items, a multiple of WG.
 * Tunables   WG  work-items per group, a multiple of MMA_LANES
 * Build      MMA, MMA_PLAIN: mma.cl
 * Limits     rounds >= 0. A round is CHAINS products of MMA_ROWS x MMA_COLUMNS x 16 for each warp.
 */
#ifndef WG
#define WG 64
#endif
#define CHAINS    8
#define MMA_ITEMS WG
#include "mma.cl"

CLM_MMA_KERNEL
void limit_mma(__global float *restrict out, __global const uint *restrict factor, const int rounds)
{
    CLM_MMA_LOCAL;
    const uint word = factor[0];
    uint a[MMA_A_WORDS], b[MMA_B_WORDS];
    float sum[CHAINS][MMA_C_WORDS], all = 0.0f;

    CLM_MMA_UNROLL
    for (int i = 0; i < MMA_A_WORDS; i++) a[i] = word;
    CLM_MMA_UNROLL
    for (int i = 0; i < MMA_B_WORDS; i++) b[i] = word;
    CLM_MMA_UNROLL
    for (int c = 0; c < CHAINS; c++) {
        CLM_MMA_UNROLL
        for (int i = 0; i < MMA_C_WORDS; i++) sum[c][i] = (float)c;
    }
    for (int r = 0; r < rounds; r++) {
        CLM_MMA_UNROLL
        for (int c = 0; c < CHAINS; c++) CLM_MMA(sum[c], a, b);
    }
    CLM_MMA_UNROLL
    for (int c = 0; c < CHAINS; c++) {
        CLM_MMA_UNROLL
        for (int i = 0; i < MMA_C_WORDS; i++) all += sum[c][i];
    }
    out[get_global_id(0)] = all;
}
