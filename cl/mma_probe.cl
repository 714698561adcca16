/* mma_probe.cl: one product of cl/mma.cl, its factors through local memory by copies that run on their own where
 * there are such, to find out whether a device has them (host/mma_probe.c).
 *
 * Reference  mma_probe.c, whole numbers
 * Buffers    ab: [16][16] bf16 of A, row by row; [16][16] of B, column by column.  c: [16][16] f32, row by row,
 *            added to; rows from MMA_ROWS and columns from MMA_COLUMNS on stay untouched.
 * Launch     1-D: one group of MMA_LANES.
 * Build      MMA, MMA_PLAIN: mma.cl
 */
#include "mma.cl"

CLM_MMA_KERNEL
void mma_probe(__global const uint *restrict ab, __global float *restrict c)
{
    __local __attribute__((aligned(16))) uint words[256];
    CLM_MMA_LOCAL;
    const int lane = (int)get_local_id(0);
    __local const ushort *rows = (__local const ushort *)words;
    uint a[MMA_A_WORDS], b[MMA_B_WORDS];
    float sum[MMA_C_WORDS];

    for (int i = lane; i < 64; i += MMA_LANES) clm_copy16(words + i * 4, ab + i * 4);
    CLM_COPY_COMMIT;
    CLM_COPY_WAIT(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    CLM_MMA_UNROLL
    for (int i = 0; i < MMA_A_WORDS; i++) {
        const int low = MMA_A_ROW(lane, 2 * i) * 16 + MMA_A_K(lane, 2 * i);
        const int high = MMA_A_ROW(lane, 2 * i + 1) * 16 + MMA_A_K(lane, 2 * i + 1);

        a[i] = rows[low] | (uint)rows[high] << 16u;
    }
    CLM_MMA_LOAD_B(b, words + 128, lane);
#if MMA == 1
    CLM_MMA_UNROLL
    for (int i = 0; i < MMA_B_WORDS; i++) b[i] = clm_bf16x2_fma(b[i], 0x3f803f80u, 0u);
#endif
    CLM_MMA_UNROLL
    for (int i = 0; i < MMA_C_WORDS; i++)
        sum[i] = c[MMA_C_ROW(lane, i) * 16 + MMA_C_COLUMN(lane, i)];
    CLM_MMA(sum, a, b);
    CLM_MMA_UNROLL
    for (int i = 0; i < MMA_C_WORDS; i++)
        c[MMA_C_ROW(lane, i) * 16 + MMA_C_COLUMN(lane, i)] = sum[i];
}
