/* mma_intel.cl: the products of mma.cl by Intel's instructions, MMA 5 and 6.
 */

/* What plain products need local memory for. */
#define CLM_MMA_LOCAL
#define CLM_MMA(c, a, b) clm_mma(c, a, b)

#define CLM_MMA_ATTRIBUTES __attribute__((intel_reqd_sub_group_size(MMA_LANES)))

/* Two floats as a pair, rounded to nearest even. */
CLM_INLINE uint clm_bf16x2(const float low, const float high)
{
#ifdef cl_intel_bfloat16_conversions
    return as_uint(intel_convert_bfloat162_as_ushort2((float2)(low, high)));
#else
    return clm_bf16_pair1(low, high);
#endif
}

#ifdef cl_intel_subgroup_local_block_io
#if MMA == 5
#define CLM_MMA_LOAD_B(b, from, lane) vstore8(intel_sub_group_block_read8(from), 0, b)
#else
#define CLM_MMA_LOAD_B(b, from, lane)                                                              \
    vstore4(as_uint4(intel_sub_group_block_read_us8((__local const ushort *)(from))), 0, b)
#endif
#endif

CLM_INLINE void clm_mma(float *c, const uint *a, const uint *b)
{
    const int8 rows = as_int8((uint8)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]));
#if MMA == 5
    const int8 columns = as_int8((uint8)(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]));
#else
    const short8 columns = as_short8((uint4)(b[0], b[1], b[2], b[3]));
#endif
    float8 sum = (float8)(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);

    sum = intel_sub_group_bf16_bf16_matrix_mad_k16(columns, rows, sum);
    vstore8(sum, 0, c);
}
