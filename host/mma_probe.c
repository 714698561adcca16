/* host/mma_probe.c: see host/mma_probe.h. */
#include "host/mma_probe.h"

#include <stdlib.h>
#include <string.h>

#include "host/buffer.h"
#include "host/kernel.h"
#include "host/program.h"
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
    const clm_range range = {1, {lanes}, {lanes}};
    uint32_t ab[2 * WORDS];
    float c[SIDE * SIDE];
    clm_program *prog = NULL;
    clm_kernel *kernel = NULL;
    clm_buffer *bufs[2] = {NULL};
    clm_status st;

    fill(ab, c);
    st = clm_program_create(dev, "mma_probe", defs, 2, &prog, NULL);
    if (st == CLM_OK) st = clm_kernel_create(prog, "mma_probe", &kernel, NULL);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_I32, 2 * WORDS, &bufs[0], NULL);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_F32, SIDE * SIDE, &bufs[1], NULL);
    if (st == CLM_OK) st = clm_buffer_write(bufs[0], 0, 2 * WORDS, ab, NULL);
    if (st == CLM_OK) st = clm_buffer_write(bufs[1], 0, SIDE * SIDE, c, NULL);
    if (st == CLM_OK) {
        const clm_arg args[] = {CLM_BUF(bufs[0]), CLM_BUF(bufs[1])};
        st = clm_kernel_set_args(kernel, args, 2, NULL);
    }
    if (st == CLM_OK) st = clm_kernel_enqueue(kernel, &range, NULL);
    if (st == CLM_OK) st = clm_buffer_read(bufs[1], 0, SIDE * SIDE, c, NULL);
    for (size_t i = 0; i < 2; i++) clm_buffer_destroy(bufs[i]);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
    return st == CLM_OK && right(c, mma);
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
    const char *allowed = getenv("CLM_MMA");

    if (allowed != NULL && strcmp(allowed, "0") == 0) return CLM_MMA_NONE;
    for (int i = CLM_MMA_NONE + 1; i < CLM_MMA_COUNT; i++) {
        const clm_mma mma = (clm_mma)i;

        if (possible(clm_device_caps(dev), mma) && clm__mma_runs(dev, mma, false)) return mma;
    }
    return CLM_MMA_NONE;
}
