/* gemv_q8.cl: products with a matrix of 8-bit blocks; formula, buffers, launch and tunables: gemv.cl
 *
 * Byte i of a word is column i of its slice.
 */
#define GEMV   gemv_q8
#define SLICE  4
#define CENTRE 0

CLM_INLINE void add_rows(float16 sum[2], const uint16 words, __global const float *x)
{
    const int16 v = as_int16(words);

    sum[0] += convert_float16((v << 24) >> 24) * x[0];
    sum[1] += convert_float16((v << 16) >> 24) * x[1];
    sum[0] += convert_float16((v << 8) >> 24) * x[2];
    sum[1] += convert_float16(v >> 24) * x[3];
}

CLM_INLINE void add_row(float4 *sum, float4 *sum_x, const uint v, __global const float *x)
{
    const float4 x0 = vload4(0, x);

    *sum += convert_float4(as_char4(v)) * x0;
    *sum_x += x0;
}

#include "gemv.cl"
