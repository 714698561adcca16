/* limit_mma.cl: how fast tensor cores multiply: products that stay in registers
 *
 * Reference  none: a probe of tuning/device_limits.c, which looks at the time only.
 * Buffers    out: [items] f32.  factor: [1] word, two bf16 numbers.
 * Launch     1-D: local = WG, global = items, a multiple of WG.
 * Tunables   WG  work-items per group, a multiple of 32
 * Build      MMA: mma.cl
 * Limits     rounds >= 0. A round is CHAINS products of 16 x 8 x 16 for each 32 work-items.
 */
#ifndef WG
#define WG 32
#endif
#define CHAINS    8
#define MMA_ITEMS WG
#include "mma.cl"

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void limit_mma(__global float *restrict out, __global const uint *restrict factor, const int rounds)
{
    CLM_MMA_LOCAL;
    const uint word = factor[0];
    const uint a[4] = {word, word, word, word}, b[2] = {word, word};
    float sum[CHAINS][4], all = 0.0f;

#pragma unroll
    for (int c = 0; c < CHAINS; c++) sum[c][0] = sum[c][1] = sum[c][2] = sum[c][3] = (float)c;
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int c = 0; c < CHAINS; c++) CLM_MMA(sum[c], a, b);
    }
#pragma unroll
    for (int c = 0; c < CHAINS; c++) all += sum[c][0] + sum[c][1] + sum[c][2] + sum[c][3];
    out[get_global_id(0)] = all;
}
