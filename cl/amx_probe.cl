/* amx_probe.cl: one product of tiles (host/amx_probe.c compares with C)
 *
 *     C += A B, tiles as in amx.cl;  with CVT then c[i] = bf16(c[15 - i]) - 2 bf16(c[i]) in C's first row
 *
 * Buffers    a, b: [16][16] pairs of bf16.  c: [16][16] f32, in and out.
 * Launch     1-D: one work-item.
 * Build      AMX, CVT: amx.cl
 */
#include "amx.cl"

__kernel void amx_probe(__global const uint *restrict a, __global const uint *restrict b,
                        __global float *restrict c)
{
    CLM_TILES_BEGIN;
    CLM_TILE_LOAD(0, c, 16);
    CLM_TILE_LOAD(3, a, 16);
    CLM_TILE_LOAD(7, b, 16);
    CLM_TILE_DOT(0, 3, 7);
    CLM_TILE_STORE(0, c, 16);
    CLM_TILES_END;
#if CVT
    const uint16 back = (uint16)(15u, 14u, 13u, 12u, 11u, 10u, 9u, 8u, 7u, 6u, 5u, 4u, 3u, 2u, 1u, 0u);
    const float16 row = vload16(0, c);
    const uint16 pairs = clm_tile_pair(clm_tile_look_up(row, back), row);

    vstore16(as_float16(pairs << 16u) - 2.0f * as_float16(pairs & 0xffff0000u), 0, c);
#endif
}
