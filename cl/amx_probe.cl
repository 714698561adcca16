/* amx_probe.cl: one product of tiles (host/amx_probe.c compares with C)
 *
 *     C += A B, tiles as in amx.cl
 *
 * Buffers    a, b: [16][16] pairs of bf16.  c: [16][16] f32, in and out.
 * Launch     1-D: one work-item.
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
}
