/* rmsnorm.cl: y[r][i] = x[x_row0 + r][i] * w[i] / sqrt(mean_i(x[x_row0 + r][i]^2) + eps)
 *
 * Reference  clm_ref_rmsnorm() in runtime/ops/ref_rmsnorm.c
 * Buffers    x: [x_row0 + rows][dim] f32 row-major, no overlap with y.  w: [dim] f32.
 *            y: [rows][dim] f32, or bfloat16 in panels of 32 rows, filled up with zeros.
 * Launch     1-D: local = WG, global = rows * WG (one group per row; of panels, also per row that fills up
 *            the last one).
 * Build      OUT  what y is: enum clm_act_out, runtime/ops/act.h
 * Tunables   WG  work-items per row, power of two (space: runtime/ops/op_rmsnorm.c)
 *            VW  floats an item takes at once: 1, 4, 8, 16; for panels 8 or 16
 * Limits     dim >= 1, any value: what WG * VW does not divide is done element by element. For panels a
 *            multiple of 32.
 */
#include "act_out.cl"

#ifndef WG
#define WG 32
#endif
#ifndef VW
#define VW 8
#endif
#if WG < 1 || (WG & (WG - 1))
#error "rmsnorm: WG must be a power of two"
#endif
#if VW != 1 && VW != 4 && VW != 8 && VW != 16
#error "rmsnorm: VW must be 1, 4, 8 or 16"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void rmsnorm(__global const float *restrict x, __global const float *restrict w,
             __global ACT_OUT *restrict y, const int dim, const int x_row0, const int rows,
             const float eps)
{
    __local float part[WG];
    const int lid = (int)get_local_id(0);
    const size_t row = get_group_id(0);
    const int here = row < (size_t)rows ? dim : 0; /* elements of x */
    __global const float *restrict xr = x + ((size_t)x_row0 + row) * (size_t)dim;
    float sum = 0.0f;
    int tail = 0; /* first element that the vector loops leave */

#if VW > 1
    CLM_CAT(float, VW) acc = 0.0f;
    for (int i = lid; i < here / VW; i += WG) {
        const CLM_CAT(float, VW) v = CLM_CAT(vload, VW)(i, xr);
        acc += v * v;
    }
    sum = CLM_CAT(clm_sum, VW)(acc);
    tail = dim / VW * VW;
#endif
    for (int i = tail + lid; i < here; i += WG) sum += xr[i] * xr[i];
    sum = clm_group_sum(part, lid, WG, sum);

    const float scale = 1.0f / sqrt(sum / (float)dim + eps);
#if OUT
    for (int i = lid; i < dim / VW; i += WG) {
        __global ushort *at = panel_at(y, dim, row, (size_t)i * VW);

        CLM_CAT(panel_store, VW)
        (here != 0 ? CLM_CAT(vload, VW)(i, xr) * scale * CLM_CAT(vload, VW)(i, w)
                   : (CLM_CAT(float, VW))(0.0f),
         at);
    }
#else
    __global float *restrict yr = y + row * (size_t)dim;

#if VW > 1
    for (int i = lid; i < dim / VW; i += WG)
        CLM_CAT(vstore, VW)(CLM_CAT(vload, VW)(i, xr) * scale * CLM_CAT(vload, VW)(i, w), i, yr);
#endif
    for (int i = tail + lid; i < dim; i += WG) yr[i] = xr[i] * scale * w[i];
#endif
}
