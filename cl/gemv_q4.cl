/* gemv_q4.cl: products with a matrix of 4-bit blocks; formula, buffers, launch and tunables: gemv.cl
 *
 * Byte i of a word has columns i (low nibble) and i + 4 of its slice.
 */
#define GEMV   gemv_q4
#define SLICE  8
#define CENTRE 8

CLM_INLINE void add_rows(float16 sum[2], const uint16 v, __global const float *x)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        sum[0] += convert_float16(as_int16((v >> (uint)(8 * i)) & 15u)) * x[i];
        sum[1] += convert_float16(as_int16((v >> (uint)(8 * i + 4)) & 15u)) * x[4 + i];
    }
}

CLM_INLINE void add_row(float4 *sum, float4 *sum_x, const uint v, __global const float *x)
{
    const float4 x0 = vload4(0, x), x1 = vload4(1, x);

    *sum += convert_float4(as_uchar4(v & 0x0f0f0f0fu)) * x0;
    *sum += convert_float4(as_uchar4((v >> 4) & 0x0f0f0f0fu)) * x1;
    *sum_x += x0 + x1;
}

#include "gemv.cl"
