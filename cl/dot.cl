/* dot.cl: sums of products of 8-bit numbers, four to a 32-bit word, by what the device has.
 *
 * Build  DOT (host/dot.h; found by host/dot_probe.c)
 *          0 plain    multiplications that the compiler may or may not recognise
 *          1 khr      cl_khr_integer_dot_product
 *          2 amd      v_dot4_i32_i8 or v_dot4_i32_iu8 by the builtins of AMD's compiler
 *          3 ptx      dp4a by inline PTX
 *          4 vnni     vpdpbusd on 512-bit registers by inline assembly (a CPU with AVX-512 VNNI)
 *          5 avx2     vpmaddubsw and vpmaddwd on 256-bit registers by inline assembly
 * All give the same integers. Sums never reach the limits of int: 2^31 / 128^2 is 131,072 products.
 */
#ifndef DOT
#define DOT 0
#endif
#if DOT < 0 || DOT > 5
#error "dot: DOT must be 0 to 5"
#endif
#if DOT == 1
#pragma OPENCL EXTENSION cl_khr_integer_dot_product : enable
#endif
/* Intel's compiler takes PTX for assembly of its own, without a word. */
#if DOT == 3 && !defined(__NV_CL_C_VERSION) && !defined(__NVPTX__)
#error "dot: DOT 3 is for NVIDIA's compilers"
#endif

/* acc + sum of a.byte[i] * b.byte[i], all signed. */
CLM_INLINE int clm_dot4(const uint a, const uint b, const int acc)
{
#if DOT == 1
    return acc + dot_4x8packed_ss_int(a, b);
#elif DOT == 2
    /* Before clang 16, __has_builtin knew nothing of targets; gfx9 and gfx10 lack sudot4. */
#if __has_builtin(__builtin_amdgcn_sudot4) && !defined(__GFX9__) && !defined(__GFX10__)
    return __builtin_amdgcn_sudot4(true, (int)a, true, (int)b, acc, false);
#else
    return __builtin_amdgcn_sdot4((int)a, (int)b, acc, false);
#endif
#elif DOT == 3
    int sum;
    __asm__("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
    return sum;
#else
    const int4 x = convert_int4(as_char4(a)), y = convert_int4(as_char4(b));
    const int4 xy = x * y;
    return acc + (xy.s0 + xy.s1) + (xy.s2 + xy.s3);
#endif
}

/* Four sums at once: one word of x serves four words of w. */
CLM_INLINE int4 clm_dot4_by4(const uint4 w, const uint x, const int4 acc)
{
    return (int4)(clm_dot4(w.s0, x, acc.s0), clm_dot4(w.s1, x, acc.s1), clm_dot4(w.s2, x, acc.s2),
                  clm_dot4(w.s3, x, acc.s3));
}

/* 16 sums at once, by which one word of x serves all lanes.
 *
 * `clm_dot16_i8`: acc.lane + sum_i w.lane.byte[i] * x[0].byte[i]; and CLM_DOT_I8_BIAS times the sum of
 * x's bytes comes on top, which the caller takes off once per sum.
 *
 * `clm_dot16_u4`: the same of bytes 0..15 of w, for at most eight words: the 32 columns of a block. Sums begin
 * with clm_u4_start(-8 * sum of x), or 0, and are integers only behind clm_u4_sums(): AVX2 keeps two
 * halves of a sum in 16 bits until then. They fit: the levels are -8..7 then, and 8 * 127 * 32 < 2^15. */
#if DOT == 4

/* A memory operand with the broadcast {1to16}. Braces need %, or they are taken for a choice of
 * assembler dialects, without a word. */
#define CLM_VPDPBUSD(acc, w, x)                                                                    \
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(w), "m"(*(x)))
#define CLM_DOT_I8_BIAS 128

CLM_INLINE int16 clm_dot16_u4(const uint16 w, __global const uint *x, int16 acc)
{
    CLM_VPDPBUSD(acc, w, x);
    return acc;
}

CLM_INLINE int16 clm_dot16_i8(const uint16 w, __global const uint *x, int16 acc)
{
    const uint16 shifted = w ^ (uint16)(0x80808080u); /* w + 128, unsigned */

    CLM_VPDPBUSD(acc, shifted, x);
    return acc;
}

#elif DOT == 5

#define CLM_DOT_I8_BIAS 0

/* Sums of pairs of products, unsigned times signed bytes, saturated to 16 bits: 2 * 128 * 127 is not. */
CLM_INLINE short16 clm_maddubs(const uint8 w, const uint8 x)
{
    short16 pairs;

    __asm__("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(w), "x"(x));
    return pairs;
}

/* Sums of the pairs of 16 bits. */
CLM_INLINE int8 clm_add_pairs(const short16 pairs)
{
    const short16 ones = (short16)(1);
    int8 quads;

    __asm__("vpmaddwd %2, %1, %0" : "=x"(quads) : "x"(pairs), "x"(ones));
    return quads;
}

/* |w| and x with w's sign: the product is the same, and the first factor unsigned. */
CLM_INLINE int8 clm_dot8_i8(const uint8 w, const uint8 x)
{
    uint8 size, with_sign;

    __asm__("vpabsb %1, %0" : "=x"(size) : "x"(w));
    __asm__("vpsignb %2, %1, %0" : "=x"(with_sign) : "x"(x), "x"(w));
    return clm_add_pairs(clm_maddubs(size, with_sign));
}

CLM_INLINE int16 clm_dot16_i8(const uint16 w, __global const uint *x, const int16 acc)
{
    const uint8 all = (uint8)(x[0]);

    return acc + (int16)(clm_dot8_i8(w.lo, all), clm_dot8_i8(w.hi, all));
}

/* 2 * 15 * 127 a word, so that eight stay within 16 bits. */
CLM_INLINE int16 clm_dot16_u4(const uint16 w, __global const uint *x, const int16 acc)
{
    const uint8 all = (uint8)(x[0]);

    return (int16)(as_int8(as_short16(acc.lo) + clm_maddubs(w.lo, all)),
                   as_int8(as_short16(acc.hi) + clm_maddubs(w.hi, all)));
}

#else

#define CLM_DOT_I8_BIAS 0

CLM_INLINE int16 clm_dot16_i8(const uint16 w, __global const uint *x, int16 acc)
{
    const uint v = x[0];

#pragma unroll
    for (uint i = 0; i < 4; i++) {
        const int16 byte = as_int16(w << (24u - 8u * i)) >> 24;
        acc += byte * ((int)(v << (24u - 8u * i)) >> 24);
    }
    return acc;
}

CLM_INLINE int16 clm_dot16_u4(const uint16 w, __global const uint *x, const int16 acc)
{
    return clm_dot16_i8(w, x, acc); /* 0..15 are the same bytes signed */
}

#endif

#if DOT == 5
CLM_INLINE int16 clm_u4_start(const int start)
{
    return (int16)(start & 0xffff);
}

CLM_INLINE int16 clm_u4_sums(const int16 acc)
{
    return (int16)(clm_add_pairs(as_short16(acc.lo)), clm_add_pairs(as_short16(acc.hi)));
}
#else
CLM_INLINE int16 clm_u4_start(const int start)
{
    return (int16)(start);
}

CLM_INLINE int16 clm_u4_sums(const int16 acc)
{
    return acc;
}
#endif
