/* gemm_q8.cl: int8 activations of many tokens times 8-bit blocks; formula, buffers, launch: gemm.cl
 *
 * Build  GROUP elements per scale: 0 (a whole row), 16 or a multiple of 32
 */
#include "gemm.cl"

#if GROUP < 0 || (GROUP != 16 && GROUP % 32 != 0)
#error "gemm_q8: GROUP must be 0, 16 or a multiple of 32"
#endif
/* A block of 32 columns is taken in PARTS, each under one scale. */
#if GROUP == 16
#define PARTS             2
#define GROUPS(columns)   ((columns) / 16)
#define GROUP_OF(b, part) ((b) * 2 + (part))
#elif GROUP == 0
#define PARTS             1
#define GROUPS(columns)   1
#define GROUP_OF(b, part) 0
#else
#define PARTS             1
#define GROUPS(columns)   ((columns) / GROUP)
#define GROUP_OF(b, part) ((b) / (GROUP / 32))
#endif
#define SLICES (8 / PARTS)

#if FAMILY == 0

__kernel __attribute__((vec_type_hint(float16)))
void gemm_q8(GEMM_ARGS)
{
    const size_t panel = get_global_id(0), tile = get_global_id(1);
    const int blocks = columns / 32;
    __global const uint *restrict words = q + tile * (size_t)blocks * 128;
    __global const uint *restrict xp = x + panel * (size_t)(columns / 4) * T;
    __global const float *restrict d = xd + panel * (size_t)blocks * T;
    __global const int *restrict sum = xs + panel * (size_t)blocks * T;
    const size_t groups = tile * (size_t)GROUPS(columns);
    float16 acc[T];

#pragma unroll
    for (int t = 0; t < T; t++) acc[t] = 0.0f;
    for (int b = 0; b < blocks; b++) {
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            const float16 s = vload_half16(groups + (size_t)GROUP_OF(b, p), scale);
            int16 c[T];
            int part[T]; /* sum of x over the part */

#pragma unroll
            for (int t = 0; t < T; t++) {
#if PARTS == 2
                part[t] = 0;
                for (int j = 0; j < SLICES; j++)
                    part[t] = clm_dot4(0x01010101u, xp[j * T + t], part[t]);
#else
                part[t] = sum[t];
#endif
                c[t] = (int16)(-CLM_DOT_I8_BIAS * part[t]);
            }
#pragma unroll
            for (int j = 0; j < SLICES; j++) {
                const uint16 v = vload16(j, words);

#pragma unroll
                for (int t = 0; t < T; t++) c[t] = clm_dot16_i8(v, xp + j * T + t, c[t]);
            }
#pragma unroll
            for (int t = 0; t < T; t++) {
                acc[t] += convert_float16(c[t]) * (s * d[t]);
#if HAS_MIN
                acc[t] += CLM_MINIMUM(HAS_MIN, s,
                                      vload_half16(groups + (size_t)GROUP_OF(b, p), minimum)) *
                          (d[t] * (float)part[t]);
#endif
            }
            words += SLICES * 16;
            xp += SLICES * T;
        }
        d += T;
        sum += T;
    }
    gemm_store(y + panel * T * (size_t)ldy + (size_t)y_off + tile * 16, acc, rows - (int)tile * 16,
               tokens - (int)panel * T, ldy);
}

#endif
