/* mma_plain.cl: what mma_ptx.cl has, and the products of all values of MMA, in plain OpenCL C for tests.
 */

#define MMA_HOLDERS (MMA == 2 ? 16 : MMA_LANES) /* lanes from there on hold copies */
#define MMA_WORDS   (8 * (MMA_ROWS + MMA_COLUMNS)) /* of a warp's A and B */

#define CLM_MMA_LOCAL        __local uint clm_mma_words[MMA_ITEMS / MMA_LANES * MMA_WORDS]
#define CLM_MMA(c, a, b)     clm_mma(c, a, b, 0, clm_mma_words)
#define CLM_MMA_F16(c, a, b) clm_mma(c, a, b, 1, clm_mma_words)
#define CLM_LOAD_MATRICES(d, base, word) clm_load_matrices(d, base, word, clm_mma_words)
#define CLM_LANE_XOR(v, mask)            clm_lane_xor(v, mask, clm_mma_words)

#define clm_bf16x2(low, high) clm_bf16_pair1(low, high)

CLM_INLINE float clm_bf16_of(const uint pair, const int high)
{
    return as_float(high ? pair & 0xffff0000u : pair << 16u);
}

CLM_INLINE float clm_f16_of(const uint pair, const int high)
{
    const ushort bits = (ushort)(high ? pair >> 16u : pair);

    return vload_half(0, (const half *)&bits);
}

CLM_INLINE uint clm_f16x2(const float low, const float high)
{
    ushort pair[2];

    vstore_half_rte(low, 0, (half *)pair);
    vstore_half_rte(high, 1, (half *)pair);
    return pair[0] | (uint)pair[1] << 16u;
}

/* Lanes show each other their parts of A and B, as rows of A and columns of B. */
CLM_INLINE void clm_mma(float *c, const uint *a, const uint *b, const int f16,
                        __local uint *words)
{
    const int lid = (int)get_local_id(0), lane = lid % MMA_LANES;
    __local ushort *rows = (__local ushort *)(words + lid / MMA_LANES * MMA_WORDS);
    __local ushort *columns = rows + 16 * MMA_ROWS;

    for (int n = 0; n < 2 * MMA_A_WORDS && lane < MMA_HOLDERS; n++)
        rows[MMA_A_ROW(lane, n) * 16 + MMA_A_K(lane, n)] = (ushort)(a[n / 2] >> (n % 2 * 16));
    for (int n = 0; n < 2 * MMA_B_WORDS && lane < MMA_HOLDERS; n++)
        columns[MMA_B_COLUMN(lane, n) * 16 + MMA_B_K(lane, n)] = (ushort)(b[n / 2] >> (n % 2 * 16));
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int n = 0; n < MMA_C_WORDS; n++) {
        __local const ushort *x = rows + MMA_C_ROW(lane, n) * 16;
        __local const ushort *y = columns + MMA_C_COLUMN(lane, n) * 16;
        float sum = 0.0f;

        for (int k = 0; k < 16; k++)
            sum += f16 ? clm_f16_of(x[k], 0) * clm_f16_of(y[k], 0)
                       : clm_bf16_of(x[k], 0) * clm_bf16_of(y[k], 0);
        c[n] += sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

CLM_INLINE void clm_load_matrices(uint d[4], __local const uint *base, const int word,
                                  __local uint *lanes)
{
    const int lid = (int)get_local_id(0), lane = lid % 32, g = lane / 4, t = lane % 4;

    lanes[lid] = (uint)word;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 4; i++) {
        const int row = lid - lane + 8 * i + 2 * t;
        const uint even = base[lanes[row] + (uint)(g / 2)] >> (16 * (g % 2));
        const uint odd = base[lanes[row + 1] + (uint)(g / 2)] >> (16 * (g % 2));

        d[i] = (even & 0xffffu) | odd << 16u;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

CLM_INLINE float clm_lane_xor(const float v, const int mask, __local uint *lanes)
{
    const int lid = (int)get_local_id(0);
    uint other;

    lanes[lid] = as_uint(v);
    barrier(CLK_LOCAL_MEM_FENCE);
    other = lanes[lid ^ mask];
    barrier(CLK_LOCAL_MEM_FENCE);
    return as_float(other);
}

CLM_INLINE uint clm_bf16x2_fma(const uint a, const uint b, const uint c)
{
    const float low = fma(clm_bf16_of(a, 0), clm_bf16_of(b, 0), clm_bf16_of(c, 0));
    const float high = fma(clm_bf16_of(a, 1), clm_bf16_of(b, 1), clm_bf16_of(c, 1));

    return clm_bf16x2(low, high);
}

CLM_INLINE void clm_copy16_or_zero(__local uint *to, __global const uint *from, const int copied)
{
    vstore4(copied ? vload4(0, from) : (uint4)(0u), 0, to);
}
