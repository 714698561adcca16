/* embed.cl: out[m][k] = w[ids[m] - row0][k] where row0 <= ids[m] < row0 + rows
 *
 * A large table lies in several buffers by rows; this one holds rows row0 to row0 + rows - 1. Rows
 * of `out` whose id lies elsewhere, or nowhere, stay as they are and read nothing.
 *
 * Reference  clm_ref_embed() in runtime/ops/ref_embed.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h; scale is read for 4 and 8 bits only, minimum
 *            not with HAS_MIN 0. ids: [tokens]. out: [tokens][columns] f32.
 * Launch     dimension 0 = columns / 8 rounded up, local WG; dimension 1 = token, local 1.
 * Build      FORMAT (clm_weight_format), GROUP (0: a whole row), HAS_MIN
 * Tunables   WG  work-items per group (space: runtime/ops/op_embed.c)
 * Limits     row0 >= 0; columns >= 1 as the format allows.
 */
#ifndef FORMAT
#define FORMAT 1
#endif
#ifndef GROUP
#define GROUP 32
#endif
#ifndef HAS_MIN
#define HAS_MIN 0
#endif
#ifndef WG
#define WG 16
#endif
#if FORMAT != 0 && FORMAT != 1 && FORMAT != 2 && FORMAT != 4 && FORMAT != 8
#error "embed: FORMAT must be 0, 1, 2, 4 or 8"
#endif
#if GROUP < 0 || HAS_MIN < 0 || HAS_MIN > 2 || WG < 1
#error "embed: GROUP must be 0 or more, HAS_MIN 0, 1 or 2, WG 1 or more"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void embed(__global const uchar *restrict q, __global const half *restrict scale,
           __global const half *restrict minimum, __global const int *restrict ids,
           __global float *restrict out, const int tokens, const int row0, const int rows,
           const int columns)
{
    const int k0 = (int)get_global_id(0) * 8, token = (int)get_global_id(1);

    if (k0 >= columns || token >= tokens) return;

    const int id = ids[token];

    if (id < row0 || id - row0 >= rows) return;
    __global float *restrict o = out + (size_t)token * (size_t)columns;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (FORMAT >= 4 || k0 + i < columns)
            o[k0 + i] = clm_weight_at(q, scale, minimum, FORMAT, GROUP, HAS_MIN, (uint)columns,
                                      (uint)(id - row0), (uint)(k0 + i));
    }
}
