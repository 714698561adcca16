/* mma_amd.cl: the products of mma.cl by AMD's instructions, MMA 2 to 4.
 */

/* A compiler ends the process when it is asked for an instruction that the GPU lacks but relatives have. */
#if (MMA == 2 && !defined(__GFX11__)) || (MMA == 3 && !defined(__GFX12__))
#error "mma: not this GPU's"
#endif
#if MMA == 4 && !defined(__gfx90a__) && !defined(__gfx940__) && !defined(__gfx941__) &&            \
    !defined(__gfx942__) && !defined(__gfx950__)
#error "mma: not this GPU's"
#endif
#if MMA < 4 && defined(__AMDGCN_WAVEFRONT_SIZE__) && __AMDGCN_WAVEFRONT_SIZE__ != 32
#error "mma: for wavefronts of 32"
#endif

/* What plain products need local memory for. */
#define CLM_MMA_LOCAL
#define CLM_MMA(c, a, b) clm_mma(c, a, b)

/* Would otherwise take nibbles of a word out one by one, and has an instruction that makes a float of a byte where
 * it is. */
#define CLM_MMA_AS_IS(word) __asm__("" : "+v"(word))

/* Two floats as a pair, rounded to nearest even. */
CLM_INLINE uint clm_bf16x2(const float low, const float high)
{
    const uint l = as_uint(low), h = as_uint(high);

    return __builtin_amdgcn_perm(CLM_BF16_ROUND(h), CLM_BF16_ROUND(l), 0x07060302u);
}

#if MMA == 2
CLM_INLINE short16 clm_mma_words(const uint *w)
{
    return as_short16((uint8)(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]));
}
#define CLM_MMA_BUILTIN __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32
#elif MMA == 3
CLM_INLINE short8 clm_mma_words(const uint *w)
{
    return as_short8((uint4)(w[0], w[1], w[2], w[3]));
}
#define CLM_MMA_BUILTIN __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12
#else
CLM_INLINE short4 clm_mma_words(const uint *w)
{
    return as_short4((uint2)(w[0], w[1]));
}
#endif

CLM_INLINE void clm_mma(float *c, const uint *a, const uint *b)
{
#if MMA == 4
    float4 sum = (float4)(c[0], c[1], c[2], c[3]);

    sum = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(clm_mma_words(b), clm_mma_words(a), sum, 0, 0, 0);
    vstore4(sum, 0, c);
#else
    float8 sum = (float8)(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);

    sum = CLM_MMA_BUILTIN(clm_mma_words(b), clm_mma_words(a), sum);
    vstore8(sum, 0, c);
#endif
}
