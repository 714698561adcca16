/* host/tile_probe.h: factors and right results for the probes of products of bfloat16 tiles (amx_probe.c,
 * mma_probe.c); private to host/.
 *
 * Layer    host.
 * Threads  no state.
 */
#ifndef CLM_HOST_TILE_PROBE_H
#define CLM_HOST_TILE_PROBE_H

#include <stdint.h>

/* Elements of A, B and C before A B is added: small whole numbers, whose products and sums are exact; no two rows
 * and no two columns of a tile are the same. */
int clm__tile_a(int row, int k);
int clm__tile_b(int k, int column);
int clm__tile_c(int row, int column);

/* C + A B at that place, with `inner` columns of A. */
float clm__tile_sum(int row, int column, int inner);

/* Two numbers as bfloat16, the first one in the lower half. */
uint32_t clm__tile_pair(int first, int second);

#endif
