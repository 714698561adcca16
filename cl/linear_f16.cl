/* linear_f16.cl: a fused product with a matrix of floats; formula, buffers and launch: linear.cl
 *
 * Build  FORMAT 0 f32, 1 f16, 2 bf16.  ACT 0. scale and minimum are not read.
 * Limits columns: any number.
 */
#include "linear.cl"

#ifndef FORMAT
#define FORMAT 1
#endif
#if FORMAT < 0 || FORMAT > 2 || ACT != 0
#error "linear_f16: FORMAT must be 0 to 2, ACT 0"
#endif

#if FAMILY == 0

/* Column k of a tile. */
CLM_INLINE float16 load_column(__global const uchar *q, const size_t k)
{
#if FORMAT == 0
    return vload16(k, (__global const float *)q);
#elif FORMAT == 1
    return vload_half16(k, (__global const half *)q);
#else
    return as_float16(convert_uint16(vload16(k, (__global const ushort *)q)) << 16u);
#endif
}

__kernel __attribute__((vec_type_hint(float16)))
void linear_f16(__global const uchar *restrict q, __global const half *restrict scale,
                __global const half *restrict minimum, LINEAR_ARGS)
{
    const int first = (int)get_global_id(0) * STREAMS, tiles = (rows + 15) / 16;
    size_t start[STREAMS];
    float16 acc[STREAMS];

    if (first >= tiles) return;
#pragma unroll
    for (int t = 0; t < STREAMS; t++) {
        start[t] = (size_t)min(first + t, tiles - 1) * (size_t)columns;
        acc[t] = 0.0f;
    }
    for (int k = 0; k < columns; k++) {
#pragma unroll
        for (int t = 0; t < STREAMS; t++) acc[t] += load_column(q, start[t] + (size_t)k) * x[k];
    }
    const float r = linear_factor(part, n_part, columns, eps);
#pragma unroll
    for (int t = 0; t < STREAMS; t++) acc[t] *= r;
    LINEAR_EPILOGUE(first, acc)
}

#endif
