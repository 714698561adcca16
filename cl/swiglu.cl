/* swiglu.cl: out[m][i] = silu(gate[m][j]) * up[m][j],  silu(g) = g / (1 + exp(-g))
 *
 * TILED 0: j = i.  TILED 1: gate and up lie in turn, 16 columns each: j = i / 16 * 32 + i % 16.
 *
 * Reference  clm_ref_swiglu() in runtime/ops/ref_swiglu.c
 * Buffers    x: [rows][ld] f32; row m has gate at gate_off and up at up_off (TILED: the first 16 of
 *            each), ffn values each.
 *            out: [rows][ffn] f32, or bfloat16 in panels of 32 rows, filled up with zeros; no overlap with x.
 * Launch     2-D: local = (WG, 1), global = (ceil(ffn / VW) rounded up to WG, rows; of panels, also those
 *            that fill up the last one).
 * Build      TILED
 *            OUT  what out is: enum clm_act_out, runtime/ops/act.h
 * Tunables   WG  work-items per group;  VW  values per work-item: 1, 4, 8, 16; for panels 8 or 16
 * Limits     any ffn >= 1; for panels a multiple of 32. exp(-g) may be infinite, then silu is -0, its limit.
 */
#include "act_out.cl"

#ifndef WG
#define WG 32
#endif
#ifndef VW
#define VW 8
#endif
#ifndef TILED
#define TILED 0
#endif
#if WG < 1
#error "swiglu: WG must be at least 1"
#endif
#if VW != 1 && VW != 4 && VW != 8 && VW != 16
#error "swiglu: VW must be 1, 4, 8 or 16"
#endif

#if TILED
#define COLUMN(i) ((i) / 16 * 32 + (i) % 16)
#else
#define COLUMN(i) (i)
#endif

#if VW > 1
/* VW values from column i on. */
CLM_INLINE CLM_CAT(float, VW) swiglu_of(__global const float *gate, __global const float *up,
                                        const size_t i)
{
    const CLM_CAT(float, VW) g = CLM_CAT(vload, VW)(0, gate + COLUMN(i));
    const CLM_CAT(float, VW) u = CLM_CAT(vload, VW)(0, up + COLUMN(i));

    return g / (1.0f + exp(-g)) * u;
}
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void swiglu(__global const float *restrict x, __global ACT_OUT *restrict out, const int ld,
            const int gate_off, const int up_off, const int ffn, const int rows)
{
    const size_t first = get_global_id(0) * VW;
    const size_t end = (size_t)ffn;
    const size_t m = get_global_id(1);
    __global const float *restrict gate = x + m * (size_t)ld + (size_t)gate_off;
    __global const float *restrict up = x + m * (size_t)ld + (size_t)up_off;

    if (first >= end) return;
#if OUT
    __global ushort *at = panel_at(out, ffn, m, first);

    CLM_CAT(panel_store, VW)
    (m < (size_t)rows ? swiglu_of(gate, up, first) : (CLM_CAT(float, VW))(0.0f), at);
#else
    __global float *restrict to = out + m * end;

    (void)rows; /* as many as the launch has */
#if VW > 1
    if (end - first >= VW) {
        CLM_CAT(vstore, VW)(swiglu_of(gate, up, first), 0, to + first);
        return;
    }
#endif
    for (size_t i = first; i < end && i < first + VW; i++)
        to[i] = gate[COLUMN(i)] / (1.0f + exp(-gate[COLUMN(i)])) * up[COLUMN(i)];
#endif
}
