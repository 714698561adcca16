/* host/mma.h: the matrix units that kernels may use. The values are those of -D MMA in cl/mma.cl.
 *
 * Layer    host.
 * Threads  no state.
 */
#ifndef CLM_HOST_MMA_H
#define CLM_HOST_MMA_H

typedef enum clm_mma {
    CLM_MMA_NONE,
    CLM_MMA_PTX,
    CLM_MMA_WMMA,
    CLM_MMA_WMMA12,
    CLM_MMA_MFMA,
    CLM_MMA_DPAS8,
    CLM_MMA_DPAS16,
    CLM_MMA_COUNT
} clm_mma;

/* "tensor cores", "WMMA" ...; "none" for CLM_MMA_NONE and outside the list. */
const char *clm_mma_name(clm_mma mma);

/* A warp's work-items, rows of A and columns of B (MMA_LANES, ...); 0 where the name is "none". */
int clm_mma_lanes(clm_mma mma);
int clm_mma_rows(clm_mma mma);
int clm_mma_columns(clm_mma mma);

#endif
