/* mma_probe.cl: one product of cl/mma.cl, its factors through local memory by copies that run on their own,
 * to find out whether a device has them (host/mma_probe.c).
 *
 * Reference  mma_probe.c, whole numbers
 * Buffers    ab: [32 lanes][8] words: a[0..3], b[0..1], nothing.  c: [32][4] f32, added to.
 * Launch     1-D: one group of 32.
 * Build      MMA: mma.cl
 */
#include "mma.cl"

__kernel __attribute__((reqd_work_group_size(32, 1, 1)))
void mma_probe(__global const uint *restrict ab, __global float *restrict c)
{
    __local __attribute__((aligned(16))) uint words[256];
    CLM_MMA_LOCAL;
    const int lane = (int)get_local_id(0);
    uint a[4], b[2];
    float sum[4];

    for (int i = 0; i < 2; i++) clm_copy16(words + lane * 8 + i * 4, ab + lane * 8 + i * 4);
    CLM_COPY_COMMIT;
    CLM_COPY_WAIT(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 4; i++) {
        a[i] = words[lane * 8 + i];
        sum[i] = c[lane * 4 + i];
    }
    for (int i = 0; i < 2; i++) b[i] = clm_bf16x2_fma(words[lane * 8 + 4 + i], 0x3f803f80u, 0u);
    CLM_MMA(sum, a, b);
    for (int i = 0; i < 4; i++) c[lane * 4 + i] = sum[i];
}
