/* add.cl: x[i] += y[i], the residual connection
 *
 * Reference  clm_ref_add() in runtime/ops/ref_add.c
 * Buffers    x (in and out), y: [count] f32, no overlap.
 * Launch     1-D: local = WG, global = ceil(count / VW) rounded up to WG.
 * Tunables   WG  work-items per group;  VW  floats per work-item: 1, 4, 16
 * Limits     count >= 1, any value: the last item takes what is left.
 */
#ifndef WG
#define WG 32
#endif
#ifndef VW
#define VW 4
#endif
#if WG < 1
#error "add: WG must be at least 1"
#endif
#if VW != 1 && VW != 4 && VW != 16
#error "add: VW must be 1, 4 or 16"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void add(__global float *restrict x, __global const float *restrict y, const int count)
{
    const size_t first = get_global_id(0) * VW;
    const size_t end = (size_t)count;

    if (first >= end) return;
#if VW > 1
    if (end - first >= VW) {
        CLM_CAT(vstore, VW)(CLM_CAT(vload, VW)(0, x + first) + CLM_CAT(vload, VW)(0, y + first), 0,
                            x + first);
        return;
    }
#endif
    for (size_t i = first; i < end && i < first + VW; i++) x[i] += y[i];
}
