/* act_quant.cl: rows of floats become int8 activations in panels (layout: runtime/ops/act.h)
 *
 *     MODE 0  z[k] = x[m][off + k]
 *     MODE 1  z[k] = x[m][off + k] * gamma[k] / sqrt(mean_k(x[m][off + k]^2) + eps)
 *     MODE 2  z[k] = silu(x[m][off + i]) * x[m][off + i + 16], i = k / 16 * 32 + k % 16: gate and up
 *             in turn, 16 columns each
 *
 * Reference  clm_ref_act_quant() in runtime/ops/ref_act_quant.c
 * Buffers    x: [tokens][ld] f32.  gamma: [columns] f32, MODE 1.  q, d, s: panels of T tokens, out.
 * Launch     1-D: a group of WG per token, also for those that fill up the last panel: zeros.
 * Build      MODE, T
 * Tunables   WG  work-items per group, power of two
 * Limits     columns a multiple of 32.
 */
#include "act.cl"

#ifndef MODE
#define MODE 0
#endif
#ifndef T
#define T 1
#endif
#ifndef WG
#define WG 1
#endif
#if MODE < 0 || MODE > 2 || T < 1
#error "act_quant: MODE must be 0 to 2, T at least 1"
#endif
#if WG < 1 || (WG & (WG - 1))
#error "act_quant: WG must be a power of two"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void act_quant(__global const float *restrict x, __global const float *restrict gamma,
               __global uint *restrict q, __global float *restrict d, __global int *restrict s,
               const int tokens, const int columns, const int ld, const int off, const float eps)
{
    __local float part[WG];
    const int lid = (int)get_local_id(0), m = (int)get_group_id(0), groups = columns / 32;
    const size_t panel = (size_t)(m / T), t = (size_t)(m % T);
    __global const float *restrict row = x + (size_t)m * (size_t)ld + (size_t)off;
    __global uint *restrict qt = q + panel * (size_t)groups * 8 * T + t;
    __global float *restrict dt = d + panel * (size_t)groups * T + t;
    __global int *restrict st = s + panel * (size_t)groups * T + t;
    float factor = 1.0f;

    if (m >= tokens) { /* the same for the whole group, so no barrier is missed */
        for (int g = lid; g < groups; g += WG) {
            for (int i = 0; i < 8; i++) qt[(g * 8 + i) * T] = 0;
            dt[g * T] = 0.0f;
            st[g * T] = 0;
        }
        return;
    }
#if MODE == 1
    float16 squares = 0.0f;

    for (int i = lid; i < columns / 16; i += WG) squares += vload16(i, row) * vload16(i, row);
    factor = 1.0f / sqrt(clm_group_sum(part, lid, WG, clm_sum16(squares)) / (float)columns + eps);
#endif
    for (int g = lid; g < groups; g += WG) {
#if MODE == 2
        const float16 gate0 = vload16(4 * g, row), gate1 = vload16(4 * g + 2, row);
        const float16 lo = gate0 / (1.0f + exp(-gate0)) * vload16(4 * g + 1, row);
        const float16 hi = gate1 / (1.0f + exp(-gate1)) * vload16(4 * g + 3, row);
#elif MODE == 1
        const float16 lo = vload16(2 * g, row) * vload16(2 * g, gamma) * factor;
        const float16 hi = vload16(2 * g + 1, row) * vload16(2 * g + 1, gamma) * factor;
#else
        const float16 lo = vload16(2 * g, row), hi = vload16(2 * g + 1, row);
#endif
        const clm_act a = clm_act_quantise(lo, hi);
        uint words[8];

        vstore4(as_uint4(a.lo), 0, words);
        vstore4(as_uint4(a.hi), 1, words);
        for (int i = 0; i < 8; i++) qt[(g * 8 + i) * T] = words[i];
        dt[g * T] = a.d;
        st[g * T] = a.s;
    }
    (void)part;
    (void)factor;
}
