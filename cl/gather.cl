/* gather.cl: y[t][k] = x[t][order[k]], the inputs in the order of a matrix's columns
 *
 * Reference  clm_ref_gather() in runtime/ops/ref_gather.c
 * Buffers    x: [tokens][columns] f32; order: [columns] int, each 0..columns - 1; y: [tokens][columns]
 *            f32, no overlap with x.
 * Launch     dimension 0: local = WG, global = columns rounded up to WG; dimension 1: tokens.
 * Tunables   WG  work-items per group
 * Limits     tokens, columns >= 1. A place outside a row reads nothing and gives 0.
 */
#ifndef WG
#define WG 64
#endif
#if WG < 1
#error "gather: WG must be at least 1"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void gather(__global const float *restrict x, __global const int *restrict order,
            __global float *restrict y, const int tokens, const int columns)
{
    const int k = (int)get_global_id(0), t = (int)get_global_id(1);
    const size_t row = (size_t)t * (size_t)columns;

    if (k >= columns || t >= tokens) return;
    const int from = order[k];
    y[row + (size_t)k] = from >= 0 && from < columns ? x[row + (size_t)from] : 0.0f;
}
