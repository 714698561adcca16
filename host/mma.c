/* host/mma.c: see host/mma.h. */
#include "host/mma.h"

typedef struct unit {
    const char *name;
    int lanes, rows, columns;
} unit;

static const unit k_units[CLM_MMA_COUNT] = {
    [CLM_MMA_NONE] = {"none", 0, 0, 0},
    [CLM_MMA_PTX] = {"tensor cores", 32, 16, 8},
    [CLM_MMA_WMMA] = {"WMMA", 32, 16, 16},
    [CLM_MMA_WMMA12] = {"WMMA of RDNA 4", 32, 16, 16},
    [CLM_MMA_MFMA] = {"MFMA", 64, 16, 16},
    [CLM_MMA_DPAS8] = {"XMX, 8 lanes", 8, 8, 8},
    [CLM_MMA_DPAS16] = {"XMX, 16 lanes", 16, 16, 8},
};

static const unit *unit_of(clm_mma mma)
{
    return &k_units[(int)mma > 0 && mma < CLM_MMA_COUNT ? mma : CLM_MMA_NONE];
}

const char *clm_mma_name(clm_mma mma)
{
    return unit_of(mma)->name;
}

int clm_mma_lanes(clm_mma mma)
{
    return unit_of(mma)->lanes;
}

int clm_mma_rows(clm_mma mma)
{
    return unit_of(mma)->rows;
}

int clm_mma_columns(clm_mma mma)
{
    return unit_of(mma)->columns;
}
