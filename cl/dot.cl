/* dot.cl: sums of products of 8-bit numbers, four to a 32-bit word, by what the device has.
 *
 * Build  DOT (host/dot.h; found by host/dot_probe.c)
 *          0 plain    multiplications that the compiler may or may not recognise
 *          1 khr      cl_khr_integer_dot_product
 *          2 amd      v_dot4_i32_i8 or v_dot4_i32_iu8 by the builtins of AMD's compiler
 *          3 ptx      dp4a by inline PTX
 *          4 vnni     vpdpbusd on 512-bit registers by inline assembly (a CPU with AVX-512 VNNI)
 *          5 avx2     vpmaddubsw and vpmaddwd on 256-bit registers by inline assembly
 *          6 sdot     sdot on 128-bit registers by inline assembly (an AArch64 CPU of Armv8.2 or later)
 * All give the same integers. Sums never reach the limits of int: 2^31 / 128^2 is 131,072 products.
 */
#ifndef DOT
#define DOT 0
#endif
#if DOT < 0 || DOT > 6
#error "dot: DOT must be 0 to 6"
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

/* Additions are assembly too: LLVM sorts its own into a tree at the end of a loop, and until then holds all
 * products, in more registers than there are. */
#define CLM_AVX2(instruction, out, a, b)                                                           \
    __asm__(instruction " %2, %1, %0" : "=x"(out) : "x"(a), "x"(b))
#define CLM_AVX2_ADD(instruction, acc, a)                                                          \
    __asm__(instruction " %1, %0, %0" : "+x"(acc) : "x"(a))

/* Four sums of pairs of 16 bits each. */
CLM_INLINE int8 clm_pair_sums(const int8 pairs)
{
    const uint8 ones = (uint8)(0x00010001u);
    int8 sums;

    CLM_AVX2("vpmaddwd", sums, pairs, ones);
    return sums;
}

/* vpmaddubsw adds pairs of products, unsigned times signed bytes, saturated to 16 bits; 2 * 128 * 127 is not.
 * |w| and x with w's sign have the same product, and the first of them is unsigned. */
CLM_INLINE int8 clm_dot8_i8(const uint8 w, const uint8 x, int8 acc)
{
    uint8 size, with_sign;
    int8 pairs;

    __asm__("vpabsb %1, %0" : "=x"(size) : "x"(w));
    CLM_AVX2("vpsignb", with_sign, x, w);
    CLM_AVX2("vpmaddubsw", pairs, size, with_sign);
    pairs = clm_pair_sums(pairs);
    CLM_AVX2_ADD("vpaddd", acc, pairs);
    return acc;
}

/* 2 * 15 * 127 a word, so that eight stay within 16 bits. */
CLM_INLINE int8 clm_dot8_u4(const uint8 w, const uint8 x, int8 acc)
{
    int8 pairs;

    CLM_AVX2("vpmaddubsw", pairs, w, x);
    CLM_AVX2_ADD("vpaddw", acc, pairs);
    return acc;
}

CLM_INLINE int16 clm_dot16_i8(const uint16 w, __global const uint *x, const int16 acc)
{
    const uint8 all = (uint8)(x[0]);

    return (int16)(clm_dot8_i8(w.lo, all, acc.lo), clm_dot8_i8(w.hi, all, acc.hi));
}

CLM_INLINE int16 clm_dot16_u4(const uint16 w, __global const uint *x, const int16 acc)
{
    const uint8 all = (uint8)(x[0]);

    return (int16)(clm_dot8_u4(w.lo, all, acc.lo), clm_dot8_u4(w.hi, all, acc.hi));
}

#elif DOT == 6

#define CLM_DOT_I8_BIAS 0

/* sdot vD.4s, vN.16b, vM.4b[0] as a number: an assembler that was told of a lesser processor, as PoCL's on
 * Debian 12 always is, refuses its name. The symbols are the numbers of the registers. */
#define CLM_SDOT_SYMBOLS                                                                           \
    ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n" \
    ".set .Lclm_v\\r, \\r\n.endr\n"
#define CLM_SDOT(d, n, m)                                                                          \
    ".inst 0x4f80e000 + (.Lclm_%" m " << 16) + (.Lclm_%" n " << 5) + .Lclm_%" d "\n"

CLM_INLINE int16 clm_dot16_i8(const uint16 w, __global const uint *x, const int16 acc)
{
    const float word = as_float(x[0]); /* goes to a vector register without a detour */
    int4 a = acc.lo.lo, b = acc.lo.hi, c = acc.hi.lo, d = acc.hi.hi;

    __asm__(CLM_SDOT_SYMBOLS CLM_SDOT("0", "4", "8") CLM_SDOT("1", "5", "8")
                CLM_SDOT("2", "6", "8") CLM_SDOT("3", "7", "8")
            : "+&w"(a), "+&w"(b), "+&w"(c), "+&w"(d)
            : "w"(w.lo.lo), "w"(w.lo.hi), "w"(w.hi.lo), "w"(w.hi.hi), "w"(word));
    return (int16)(a, b, c, d);
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

#endif

#if DOT != 4 && DOT != 5
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
    return (int16)(clm_pair_sums(acc.lo), clm_pair_sums(acc.hi));
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
