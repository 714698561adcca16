/* mma_ptx.cl: the products of mma.cl by NVIDIA's instructions, MMA 1, of bfloat16 and of f16 numbers; what goes
 * with them: matrices from local memory, numbers from other lanes; and copies from global to local memory
 * that go on while the work-items calculate.
 *
 * Source PTX ISA 8.5, 9.7.14.5.8 (mma.m16n8k16), 9.7.14.5.15 (ldmatrix), 9.7.8.6 (shfl.sync) and 9.7.9.25.3
 *        (cp.async).
 */

/* What plain products need local memory for. */
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
