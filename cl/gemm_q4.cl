/* gemm_q4.cl: int8 activations of many tokens times 4-bit blocks; formula, buffers, launch: gemm.cl
 *
 * Build  GROUP elements per scale: 0 (a whole row) or a multiple of 32
 */
#include "gemm.cl"

#if GROUP < 0 || GROUP % 32 != 0
#error "gemm_q4: GROUP must be 0 or a multiple of 32"
#endif
#if GROUP == 0
#define GROUPS(columns) 1
#define GROUP_OF(b)     0
#else
#define GROUPS(columns) ((columns) / GROUP)
#define GROUP_OF(b)     ((b) / (GROUP / 32))
#endif

#if FAMILY == 0

__kernel __attribute__((vec_type_hint(float16)))
void gemm_q4(GEMM_ARGS)
{
    const size_t panel = get_global_id(0), tile = get_global_id(1);
    const int blocks = columns / 32;
    __global const uint *restrict words = q + tile * (size_t)blocks * 64;
    __global const uint *restrict xp = x + panel * (size_t)(columns / 4) * T;
    __global const float *restrict d = xd + panel * (size_t)blocks * T;
    __global const int *restrict sum = xs + panel * (size_t)blocks * T;
    const size_t groups = tile * (size_t)GROUPS(columns);
    float16 acc[T];

#pragma unroll
    for (int t = 0; t < T; t++) acc[t] = 0.0f;
    for (int b = 0; b < blocks; b++) {
        int16 c[T];

#pragma unroll
        for (int t = 0; t < T; t++) c[t] = (int16)(-8 * sum[t]);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const uint16 v = vload16(j, words);
            const uint16 low = v & 0x0f0f0f0fu, high = (v >> 4u) & 0x0f0f0f0fu;

#pragma unroll
            for (int t = 0; t < T; t++) c[t] = clm_dot16_u7(low, xp + 2 * j * T + t, c[t]);
#pragma unroll
            for (int t = 0; t < T; t++) c[t] = clm_dot16_u7(high, xp + (2 * j + 1) * T + t, c[t]);
        }
        const float16 s = vload_half16(groups + (size_t)GROUP_OF(b), scale);
#if HAS_MIN
        const float16 low =
            CLM_MINIMUM(HAS_MIN, s, vload_half16(groups + (size_t)GROUP_OF(b), minimum));
#endif
#pragma unroll
        for (int t = 0; t < T; t++) {
            acc[t] += convert_float16(c[t]) * (s * d[t]);
#if HAS_MIN
            acc[t] += low * (d[t] * (float)sum[t]);
#endif
        }
        words += 64;
        xp += 8 * T;
        d += T;
        sum += T;
    }
    gemm_store(y + panel * T * (size_t)ldy + (size_t)y_off + tile * 16, acc, rows - (int)tile * 16,
               tokens - (int)panel * T, ldy);
}

#endif
