/* gemm_few.cl: FAMILY 2 of gemm.cl, for GPUs and few tokens: what a product of one token does (linear_group.cl),
 * for T at once. Included by gemm.cl only.
 *
 * A group makes TILES tiles of 16 rows. FEW_LANES work-items next to each other read one stretch of a tile,
 * 16 bytes each: four rows. The columns are dealt out to FEW_SPLIT slots, one block of 32 after the other, so that
 * the group walks along a tile in one front. Weights stay in registers while all tokens of the panel go past:
 * they are read once, and nothing waits for another work-item until the sums of the slots are put together. Groups of the
 * other panels with the same tiles are next to each other: memory is read for the first of them, caches for the rest.
 */
#ifndef WG
#define WG 64
#endif
#define FEW_LANES  4
#define FEW_SPLIT  (WG / FEW_LANES / TILES)
#define FEW_ROWS   (16 * TILES)
#define FEW_STRIDE (FEW_SPLIT + 1) /* neighbours are in different banks */
#if T % 4 || T > 8 || WG < 64 || (WG & (WG - 1)) || (TILES != 1 && TILES != 2 && TILES != 4)
#error "gemm: FAMILY 2 takes 4 or 8 tokens, WG a power of two from 64 on, TILES 1, 2 or 4"
#endif

#define FEW_LANE ((int)get_local_id(0) % FEW_LANES)
#define FEW_SLOT ((int)get_local_id(0) / FEW_LANES % FEW_SPLIT)
#define FEW_TILE ((int)get_local_id(0) / (FEW_LANES * FEW_SPLIT))

#define FEW_LOCAL __local float memory[T * FEW_ROWS * FEW_STRIDE]

/* A work-item's tile. Behind the last one the last is read, and not stored. */
CLM_INLINE size_t few_tile(const int rows)
{
    return (size_t)min((int)get_group_id(1) * TILES + FEW_TILE, (rows + 15) / 16 - 1);
}

/* Word `word` of all tokens, of four columns each; d or s of a block. */
CLM_INLINE void few_load_x(uint to[T], __global const uint *x, const int word)
{
#pragma unroll
    for (int i = 0; i < T / 4; i++)
        vstore4(((__global const uint4 *)x)[(size_t)word * (T / 4) + (size_t)i], i, to);
}

CLM_INLINE void few_load_d(float to[T], __global const float *d, const int block)
{
#pragma unroll
    for (int i = 0; i < T / 4; i++)
        vstore4(((__global const float4 *)d)[(size_t)block * (T / 4) + (size_t)i], i, to);
}

CLM_INLINE void few_load_s(int to[T], __global const int *s, const int block)
{
#pragma unroll
    for (int i = 0; i < T / 4; i++)
        vstore4(((__global const int4 *)s)[(size_t)block * (T / 4) + (size_t)i], i, to);
}

/* Puts the slots' sums together and writes them, as far as they exist. All of the group must call it. */
CLM_INLINE void few_finish(__local float *memory, const float4 acc[T], __global float *y,
                           const int rows, const int tokens, const int ldy)
{
    const int first = (int)get_group_id(1) * FEW_ROWS;

#pragma unroll
    for (int t = 0; t < T; t++) {
        float v[4];

        vstore4(acc[t], 0, v);
#pragma unroll
        for (int r = 0; r < 4; r++)
            memory[(t * FEW_ROWS + FEW_TILE * 16 + FEW_LANE * 4 + r) * FEW_STRIDE + FEW_SLOT] =
                v[r];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = (int)get_local_id(0); i < T * FEW_ROWS; i += WG) {
        const int t = i / FEW_ROWS, row = first + i % FEW_ROWS;
        float sum = 0.0f;

        for (int k = 0; k < FEW_SPLIT; k++) sum += memory[i * FEW_STRIDE + k];
        if (t < tokens && row < rows) y[(size_t)t * (size_t)ldy + (size_t)row] = sum;
    }
}
