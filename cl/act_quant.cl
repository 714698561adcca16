/* act_quant.cl: rows of floats become int8 activations in panels (layout: runtime/ops/act.h)
 *
 *     z[k] = x[m][off + k]
 *
 * Reference  clm_ref_act_quant() in runtime/ops/ref_act_quant.c
 * Buffers    x: [tokens][ld] f32.  q, d, s: panels of T tokens, out.
 * Launch     1-D: a group of WG per token, also for those that fill up the last panel: zeros.
 * Build      T
 * Tunables   WG  work-items per group
 * Limits     columns a multiple of 32.
 */
#include "act.cl"

#ifndef T
#define T 1
#endif
#ifndef WG
#define WG 1
#endif
#if T < 1 || WG < 1
#error "act_quant: T and WG must be at least 1"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void act_quant(__global const float *restrict x, __global uint *restrict q,
               __global float *restrict d, __global int *restrict s,
               const int tokens, const int columns, const int ld, const int off)
{
    const int lid = (int)get_local_id(0), m = (int)get_group_id(0), groups = columns / 32;
    const size_t panel = (size_t)(m / T), t = (size_t)(m % T);
    __global const float *restrict row = x + (size_t)m * (size_t)ld + (size_t)off;
    __global uint *restrict qt = q + panel * (size_t)groups * 8 * T + t;
    __global float *restrict dt = d + panel * (size_t)groups * T + t;
    __global int *restrict st = s + panel * (size_t)groups * T + t;

    if (m >= tokens) {
        for (int g = lid; g < groups; g += WG) {
            for (int i = 0; i < 8; i++) qt[(g * 8 + i) * T] = 0;
            dt[g * T] = 0.0f;
            st[g * T] = 0;
        }
        return;
    }
    for (int g = lid; g < groups; g += WG) {
        clm_act a;
        uint words[8];

        clm_act_quantise(vload16(2 * g, row), vload16(2 * g + 1, row), &a);
        vstore4(as_uint4(a.lo), 0, words);
        vstore4(as_uint4(a.hi), 1, words);
        for (int i = 0; i < 8; i++) qt[(g * 8 + i) * T] = words[i];
        dt[g * T] = a.d;
        st[g * T] = a.s;
    }
}
