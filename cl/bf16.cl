/* bf16.cl: rounding to bfloat16: the upper 16 bits of a float, to nearest even.
 */

/* The formula, of the bits of floats, in any width. */
#define CLM_BF16_ROUND(bits) ((bits) + 0x7fffu + (((bits) >> 16u) & 1u))

/* In the upper half of each component; the lower half is what is left over. Infinities stay, and so do
 * the NaNs that arithmetic makes. */
CLM_INLINE uint16 clm_bf16_round(const float16 v)
{
    const uint16 bits = as_uint16(v);

    return CLM_BF16_ROUND(bits);
}

CLM_INLINE uint8 clm_bf16_round8(const float8 v)
{
    const uint8 bits = as_uint8(v);

    return CLM_BF16_ROUND(bits);
}

/* Pairs as they lie in memory: the first one in the lower half of the word. */
CLM_INLINE uint clm_bf16_pair1(const float first, const float second)
{
    const uint a = as_uint(first), b = as_uint(second);

    return CLM_BF16_ROUND(a) >> 16u | (CLM_BF16_ROUND(b) & 0xffff0000u);
}

CLM_INLINE uint16 clm_bf16_pair(const float16 first, const float16 second)
{
    return (clm_bf16_round(first) >> 16u) | (clm_bf16_round(second) & 0xffff0000u);
}
