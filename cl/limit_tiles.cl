/* limit_tiles.cl: how fast tiles of bfloat16 numbers are multiplied: products that stay in registers
 *
 * Reference  none: a probe of tuning/device_limits.c, which looks at the time only.
 * Buffers    out: [items][256] f32, the sums, so that nothing can be left out.
 *            factor: [16][16] pairs of bf16, both factors of all products.
 * Launch     1-D: items, local 1.
 * Build      AMX: amx.cl
 * Limits     rounds >= 1. A round is four products of 16 x 32 by 32 x 16, of which none waits for
 *            another: 65,536 operations.
 */
#include "amx.cl"

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void limit_tiles(__global float *restrict out, __global const uint *restrict factor,
                 const int rounds)
{
    __global float *to = out + get_global_id(0) * 256;

    CLM_TILES_BEGIN;
    CLM_TILE_ZERO(0);
    CLM_TILE_ZERO(1);
    CLM_TILE_ZERO(2);
    CLM_TILE_ZERO(3);
    CLM_TILE_LOAD(4, factor, 16);
    CLM_TILE_LOAD(5, factor, 16);
    CLM_TILE_LOAD(6, factor, 16);
    CLM_TILE_LOAD(7, factor, 16);
    for (int r = 0; r < rounds; r++) {
        CLM_TILE_DOT(0, 4, 6);
        CLM_TILE_DOT(1, 4, 7);
        CLM_TILE_DOT(2, 5, 6);
        CLM_TILE_DOT(3, 5, 7);
    }
    CLM_TILE_STORE(0, to, 16);
    CLM_TILE_STORE(1, to, 16);
    CLM_TILE_STORE(2, to, 16);
    CLM_TILE_STORE(3, to, 16);
    CLM_TILES_END;
}
