/* host/mma_probe.c: see host/mma_probe.h. */
#include "host/mma_probe.h"

#include "host/env.h"
#include "host/probe.h"
#include "host/tile_probe.h"

/* C += A B of SIDE x SIDE; a word is a pair of numbers of A or B. */
enum { SIDE = 16, WORDS = SIDE * SIDE / 2 };

static void fill(uint32_t ab[2 * WORDS], float c[SIDE * SIDE])
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        const int line = i / SIDE, k = i % SIDE;

        c[i] = (float)clm__tile_c(line, k);
        if (k % 2 != 0) continue;
        ab[i / 2] = clm__tile_pair(clm__tile_a(line, k), clm__tile_a(line, k + 1));
        ab[WORDS + i / 2] = clm__tile_pair(clm__tile_b(k, line), clm__tile_b(k + 1, line));
    }
}

static bool right(const float c[SIDE * SIDE], clm_mma mma)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        const int row = i / SIDE, column = i % SIDE;
        const bool inside = row < clm_mma_rows(mma) && column < clm_mma_columns(mma);

        if (c[i] != (inside ? clm__tile_sum(row, column, SIDE) : (float)clm__tile_c(row, column)))
            return false;
    }
    return true;
}

bool clm__mma_runs(clm_device *dev, clm_mma mma, bool plain)
{
    const clm_define defs[] = {{"MMA", (int)mma}, {"MMA_PLAIN", plain}};
    const size_t lanes = (size_t)clm_mma_lanes(mma);
    uint32_t ab[2 * WORDS];
    float c[SIDE * SIDE];
    const clm__probe probe = {
        .name = "mma_probe",
        .defs = defs,
        .n_defs = 2,
        .range = {1, {lanes}, {lanes}},
        .buffers = {{CLM_ELEM_I32, 2 * WORDS, ab, NULL}, {CLM_ELEM_F32, SIDE * SIDE, c, c}},
    };

    fill(ab, c);
    return clm__probe_runs(dev, &probe) && right(c, mma);
}

/* Whether it makes sense to try: by whose assembly, functions or extension a device is known to have. */
static bool possible(const clm_caps *caps, clm_mma mma)
{
    switch (mma) {
    case CLM_MMA_PTX:
        return caps->dot == CLM_DOT_PTX;
    case CLM_MMA_WMMA:
    case CLM_MMA_WMMA12:
    case CLM_MMA_MFMA: /* whose driver may have the extension as well */
        return caps->type == CLM_DEVICE_GPU && caps->intel_matrix_lanes == 0 &&
               (caps->dot == CLM_DOT_AMD || caps->dot == CLM_DOT_KHR);
    case CLM_MMA_DPAS8:
    case CLM_MMA_DPAS16:
        return caps->intel_matrix_lanes == (uint32_t)clm_mma_lanes(mma);
    default:
        return false;
    }
}

clm_mma clm__mma_probe(clm_device *dev)
{
    if (!clm_env_switch("CLM_MMA", true)) return CLM_MMA_NONE;
    for (int i = CLM_MMA_NONE + 1; i < CLM_MMA_COUNT; i++) {
        const clm_mma mma = (clm_mma)i;

        if (possible(clm_device_caps(dev), mma) && clm__mma_runs(dev, mma, false)) return mma;
    }
    return CLM_MMA_NONE;
}
