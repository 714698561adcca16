/* argmax.cl: out[out_off] = index of the largest of x[off .. off+n-1]
 *
 * Ties go to the lowest index. NaN is never chosen; when all are NaN the answer is -1.
 *
 * Reference  clm_ref_argmax() in runtime/ops/ref_argmax.c
 * Buffers    x: f32.  out: i32.
 * Launch     1-D: local = global = WG (one group: x is a row of logits, 64 k values).
 * Tunables   WG  work-items, power of two;  VW  values an item looks at at once: 1, 4, 16
 * Limits     n >= 1, any value.
 */
#ifndef WG
#define WG 32
#endif
#ifndef VW
#define VW 4
#endif
#if WG < 1 || (WG & (WG - 1))
#error "argmax: WG must be a power of two"
#endif
#if VW != 1 && VW != 4 && VW != 16
#error "argmax: VW must be 1, 4 or 16"
#endif

#define NONE 0x7FFFFFFF /* index of "nothing found": loses every tie */

/* Whether (v, i) beats (best, at). Comparisons with NaN are false. */
CLM_INLINE int beats(const float v, const int i, const float best, const int at)
{
    return v > best || (v == best && i < at);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void argmax(__global const float *restrict x, __global int *restrict out, const int off, const int n,
            const int out_off)
{
    __local float part[WG];
    __local int part_at[WG];
    const int lid = (int)get_local_id(0);
    __global const float *restrict row = x + (size_t)off;
    float best = -INFINITY;
    int at = NONE;
    int tail = 0;

#if VW > 1
    /* Per component, the first index of its largest value: indices only grow, so > keeps ties. */
    CLM_CAT(float, VW) vbest = -INFINITY;
    CLM_CAT(int, VW) vat = NONE / VW;
    for (int i = lid; i < n / VW; i += WG) {
        const CLM_CAT(float, VW) v = CLM_CAT(vload, VW)(i, row);
        const CLM_CAT(int, VW) more = isgreater(v, vbest);
        vbest = select(vbest, v, more);
        vat = select(vat, (CLM_CAT(int, VW))(i), more);
    }
    float lane_best[VW];
    int lane_at[VW];
    CLM_CAT(vstore, VW)(vbest, 0, lane_best);
    CLM_CAT(vstore, VW)(vat, 0, lane_at);
    for (int k = 0; k < VW; k++) {
        const int i = lane_at[k] == NONE / VW ? NONE : lane_at[k] * VW + k;
        if (beats(lane_best[k], i, best, at)) {
            best = lane_best[k];
            at = i;
        }
    }
    tail = n / VW * VW;
#endif
    for (int i = tail + lid; i < n; i += WG) {
        if (row[i] > best) {
            best = row[i];
            at = i;
        }
    }
    part[lid] = best;
    part_at[lid] = at;
    for (int step = WG / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid < step && beats(part[lid + step], part_at[lid + step], part[lid], part_at[lid])) {
            part[lid] = part[lid + step];
            part_at[lid] = part_at[lid + step];
        }
    }
    if (lid == 0) {
        int result = part_at[0];

        if (result == NONE) { /* nothing above -infinity: the first that is not NaN, else -1 */
            for (result = 0; result < n && isnan(row[result]); result++) {}
            if (result == n) result = -1;
        }
        out[(size_t)out_off] = result;
    }
}
