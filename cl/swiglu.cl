/* swiglu.cl: out[m][i] = silu(gate[m][j]) * up[m][j],  silu(g) = g / (1 + exp(-g))
 *
 * TILED 0: j = i.  TILED 1: gate and up lie in turn, 16 columns each: j = i / 16 * 32 + i % 16.
 *
 * Reference  clm_ref_swiglu() in runtime/ops/ref_swiglu.c
 * Buffers    x: [rows][ld] f32; row m has gate at gate_off and up at up_off (TILED: the first 16 of
 *            each), ffn values each.
 *            out: [rows][ffn] f32, no overlap with x.
 * Launch     2-D: local = (WG, 1), global = (ceil(ffn / VW) rounded up to WG, rows).
 * Build      TILED
 * Tunables   WG  work-items per group;  VW  values per work-item: 1, 4, 16
 * Limits     any ffn >= 1. exp(-g) may be infinite, then silu is -0, its limit.
 */
#ifndef WG
#define WG 32
#endif
#ifndef VW
#define VW 4
#endif
#ifndef TILED
#define TILED 0
#endif
#if WG < 1
#error "swiglu: WG must be at least 1"
#endif
#if VW != 1 && VW != 4 && VW != 16
#error "swiglu: VW must be 1, 4 or 16"
#endif

#if TILED
#define COLUMN(i) ((i) / 16 * 32 + (i) % 16)
#else
#define COLUMN(i) (i)
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void swiglu(__global const float *restrict x, __global float *restrict out, const int ld,
            const int gate_off, const int up_off, const int ffn)
{
    const size_t first = get_global_id(0) * VW;
    const size_t end = (size_t)ffn;
    const size_t m = get_global_id(1);
    __global const float *restrict gate = x + m * (size_t)ld + (size_t)gate_off;
    __global const float *restrict up = x + m * (size_t)ld + (size_t)up_off;
    __global float *restrict to = out + m * end;

    if (first >= end) return;
#if VW > 1
    if (end - first >= VW) {
        const CLM_CAT(float, VW) g = CLM_CAT(vload, VW)(0, gate + COLUMN(first));
        const CLM_CAT(float, VW) u = CLM_CAT(vload, VW)(0, up + COLUMN(first));
        CLM_CAT(vstore, VW)(g / (1.0f + exp(-g)) * u, 0, to + first);
        return;
    }
#endif
    for (size_t i = first; i < end && i < first + VW; i++)
        to[i] = gate[COLUMN(i)] / (1.0f + exp(-gate[COLUMN(i)])) * up[COLUMN(i)];
}
