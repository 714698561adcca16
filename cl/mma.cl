/* mma.cl: products of small matrices of bfloat16 or f16 numbers by a warp of 32 work-items together, on the
 * tensor cores of NVIDIA's GPUs or without them; what goes with them: matrices from local memory, numbers
 * from other lanes; and copies from global to local memory that go on while the work-items calculate.
 *
 * A warp adds the product of A (16 x 16) and B (16 x 8) to C (16 x 8, f32). Lane l, with g = l / 4 and
 * t = l % 4, holds of them, two numbers to a word, the lower k in the lower half:
 *
 *     a[0]  A[g]    k = 2t, 2t+1       a[1]  A[g+8]  k = 2t, 2t+1
 *     a[2]  A[g]    k = 2t+8, 2t+9     a[3]  A[g+8]  k = 2t+8, 2t+9
 *     b[0]  B[2t, 2t+1][g]             b[1]  B[2t+8, 2t+9][g]
 *     c[0..1]  C[g][2t, 2t+1]          c[2..3]  C[g+8][2t, 2t+1]
 *
 * Build  MMA  1: inline PTX, sm_80 and newer (host/mma_probe.c);  0: plain OpenCL C, for tests; all
 *             work-items of the group then have to make the same calls, for there are barriers in them
 *        MMA_ITEMS  work-items of the group, a multiple of 32 of consecutive local ids 0
 * Source PTX ISA 8.5, 9.7.14.5.8 (mma.m16n8k16), 9.7.14.5.15 (ldmatrix), 9.7.8.6 (shfl.sync) and 9.7.9.25.3
 *             (cp.async).
 */
#include "bf16.cl"

#ifndef MMA
#define MMA 0
#endif
#ifndef MMA_ITEMS
#define MMA_ITEMS 32
#endif
#if MMA < 0 || MMA > 1
#error "mma: MMA must be 0 or 1"
#endif
#if MMA_ITEMS < 32 || MMA_ITEMS % 32 != 0
#error "mma: MMA_ITEMS must be a multiple of 32"
#endif

/* In front of loops that have to be unrolled for arrays to stay in registers. Not around the barriers of the
 * plain products, of which there would be hundreds. */
#if MMA
#define CLM_MMA_UNROLL _Pragma("unroll")
#else
#define CLM_MMA_UNROLL
#endif

#if MMA

/* What the plain one needs local memory for. */
#define CLM_MMA_LOCAL
#define CLM_MMA(c, a, b)     CLM_MMA_(c, a, b, "bf16.bf16")
#define CLM_MMA_F16(c, a, b) CLM_MMA_(c, a, b, "f16.f16")
#define CLM_MMA_(c, a, b, types)                                                                   \
    __asm__("mma.sync.aligned.m16n8k16.row.col.f32." types ".f32 "                                 \
            "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"                                   \
            : "+f"((c)[0]), "+f"((c)[1]), "+f"((c)[2]), "+f"((c)[3])                               \
            : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"((b)[0]), "r"((b)[1]))

/* Four 8 x 8 matrices of 16-bit numbers from local memory, turned so that rows become the k of B: word i is
 * rows 2t and 2t+1 of column g of matrix i. Lane 8i + r says where row r of matrix i is, in words from
 * `base`, a multiple of four. */
#define CLM_LOAD_MATRICES(d, base, word)                                                           \
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"         \
                     : "=r"((d)[0]), "=r"((d)[1]), "=r"((d)[2]), "=r"((d)[3])                      \
                     : "r"((uint)(size_t)((base) + (word)))                                        \
                     : "memory")

/* `v` of the lane whose number differs in the bits of `mask`. */
#define CLM_LANE_XOR(v, mask) clm_lane_xor(v, mask)

CLM_INLINE float clm_lane_xor(const float v, const int mask)
{
    float d;

    __asm__ volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;"
                     : "=f"(d)
                     : "f"(v), "r"(mask));
    return d;
}

/* Pairs, rounded to nearest even: of two floats, and a * b + c. */
CLM_INLINE uint clm_f16x2(const float low, const float high)
{
    uint d;

    __asm__("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
}

CLM_INLINE uint clm_bf16x2(const float low, const float high)
{
    uint d;

    __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
}

CLM_INLINE uint clm_bf16x2_fma(const uint a, const uint b, const uint c)
{
    uint d;

    __asm__("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

/* Copies 16 bytes, both sides aligned to them. What was copied before the n-th last CLM_COPY_COMMIT
 * is there for this work-item behind CLM_COPY_WAIT(n), and for all behind the barrier that follows. */
CLM_INLINE void clm_copy16(__local uint *to, __global const uint *from)
{
    __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                     :
                     : "r"((uint)(size_t)to), "l"(from)
                     : "memory");
}

/* The same, or zeros in place of them; `from` may then be anywhere in the buffer. */
CLM_INLINE void clm_copy16_or_zero(__local uint *to, __global const uint *from, const int copied)
{
    __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     :
                     : "r"((uint)(size_t)to), "l"(from), "r"(copied ? 16 : 0)
                     : "memory");
}
#define CLM_COPY_COMMIT  __asm__ volatile("cp.async.commit_group;" : : : "memory")
#define CLM_COPY_WAIT(n) CLM_COPY_WAIT_(n)
#define CLM_COPY_WAIT_(n) __asm__ volatile("cp.async.wait_group " #n ";" : : : "memory")

#else

#define CLM_MMA_LOCAL        __local uint clm_mma_lanes[MMA_ITEMS * 6]
#define CLM_MMA(c, a, b)     clm_mma(c, a, b, 0, clm_mma_lanes)
#define CLM_MMA_F16(c, a, b) clm_mma(c, a, b, 1, clm_mma_lanes)
#define CLM_LOAD_MATRICES(d, base, word) clm_load_matrices(d, base, word, clm_mma_lanes)
#define CLM_LANE_XOR(v, mask)            clm_lane_xor(v, mask, clm_mma_lanes)

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

CLM_INLINE uint clm_bf16x2(const float low, const float high)
{
    const uint2 bits = as_uint2((float2)(low, high));
    const uint2 round = CLM_BF16_ROUND(bits);

    return round.s0 >> 16u | (round.s1 & 0xffff0000u);
}

/* Lanes show each other their parts of A and B: see the table above. */
CLM_INLINE void clm_mma(float *c, const uint *a, const uint *b, const int f16, __local uint *lanes)
{
    const int lid = (int)get_local_id(0), lane = lid % 32, first = lid - lane;

    for (int i = 0; i < 4; i++) lanes[lid * 6 + i] = a[i];
    for (int i = 0; i < 2; i++) lanes[lid * 6 + 4 + i] = b[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4, column = lane % 4 * 2 + i % 2;
        float sum = 0.0f;

        for (int k = 0; k < 16; k++) {
            const int pair = k % 8 / 2, upper = k / 8;
            const uint x = lanes[(first + row * 4 + pair) * 6 + i / 2 + 2 * upper];
            const uint y = lanes[(first + column * 4 + pair) * 6 + 4 + upper];

            if (f16)
                sum += clm_f16_of(x, k % 2) * clm_f16_of(y, k % 2);
            else
                sum += clm_bf16_of(x, k % 2) * clm_bf16_of(y, k % 2);
        }
        c[i] += sum;
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

CLM_INLINE void clm_copy16(__local uint *to, __global const uint *from)
{
    vstore4(vload4(0, from), 0, to);
}

CLM_INLINE void clm_copy16_or_zero(__local uint *to, __global const uint *from, const int copied)
{
    vstore4(copied ? vload4(0, from) : (uint4)(0u), 0, to);
}
#define CLM_COPY_COMMIT
#define CLM_COPY_WAIT(n)

#endif
