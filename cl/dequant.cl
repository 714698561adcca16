/* dequant.cl: out[r][k] = w[row0 + r][k] in f32, for a dense matrix product
 *
 * Reference  clm_ref_dequant() in runtime/ops/ref_dequant.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h; scale is read for 4 and 8 bits only, minimum
 *            not with HAS_MIN 0. out: [rows][columns] f32 row-major.
 * Launch     dimension 0 = rows rounded up to 16, local 16 (the rows of a tile lie side by side);
 *            dimension 1 = columns / 8 rounded up, local KL.
 * Build      FORMAT (clm_weight_format), GROUP (0: a whole row), HAS_MIN
 * Tunables   KL  groups of 8 columns per work-group (space: runtime/ops/op_dequant.c)
 * Limits     row0 a multiple of 16; the matrix has row0 + rows rows at least.
 */
#ifndef FORMAT
#define FORMAT 4
#endif
#ifndef GROUP
#define GROUP 32
#endif
#ifndef HAS_MIN
#define HAS_MIN 0
#endif
#ifndef KL
#define KL 1
#endif
#if FORMAT != 0 && FORMAT != 1 && FORMAT != 2 && FORMAT != 4 && FORMAT != 8
#error "dequant: FORMAT must be 0, 1, 2, 4 or 8"
#endif
#if GROUP < 0 || HAS_MIN < 0 || HAS_MIN > 2 || KL < 1
#error "dequant: GROUP must be 0 or more, HAS_MIN 0, 1 or 2, KL 1 or more"
#endif

__kernel __attribute__((reqd_work_group_size(16, KL, 1)))
void dequant(__global const uchar *restrict q, __global const half *restrict scale,
             __global const half *restrict minimum, __global float *restrict out, const int row0,
             const int rows, const int columns)
{
    const int r = (int)get_global_id(0), k0 = (int)get_global_id(1) * 8;
    __global float *restrict o = out + (size_t)r * (size_t)columns;

    if (r >= rows || k0 >= columns) return;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (FORMAT >= 4 || k0 + i < columns)
            o[k0 + i] = clm_weight_at(q, scale, minimum, FORMAT, GROUP, HAS_MIN, (uint)columns,
                                      (uint)(row0 + r), (uint)(k0 + i));
    }
}
