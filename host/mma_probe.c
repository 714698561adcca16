/* host/mma_probe.c: see host/mma_probe.h. */
#include "host/mma_probe.h"

#include <stdlib.h>
#include <string.h>

#include "host/buffer.h"
#include "host/kernel.h"
#include "host/program.h"
#include "host/tile_probe.h"

/* C += A B, where A has INNER columns, held by LANES. */
enum { INNER = 16, LANES = 32, LANE_WORDS = 8, LANE_SUMS = 4 };

/* Row and column of sum `i` of a lane: the table of cl/mma.cl. */
static int row_of(int lane, int i)
{
    return lane / 4 + i / 2 * 8;
}
static int column_of(int lane, int i)
{
    return lane % 4 * 2 + i % 2;
}

static void fill(uint32_t ab[LANES][LANE_WORDS], float c[LANES][LANE_SUMS])
{
    for (int lane = 0; lane < LANES; lane++) {
        const int g = lane / 4, k = lane % 4 * 2;

        for (int i = 0; i < 4; i++) {
            const int row = g + i % 2 * 8, from = k + i / 2 * 8;
            ab[lane][i] = clm__tile_pair(clm__tile_a(row, from), clm__tile_a(row, from + 1));
        }
        for (int i = 0; i < 2; i++)
            ab[lane][4 + i] =
                clm__tile_pair(clm__tile_b(k + 8 * i, g), clm__tile_b(k + 8 * i + 1, g));
        for (int i = 0; i < LANE_SUMS; i++)
            c[lane][i] = (float)clm__tile_c(row_of(lane, i), column_of(lane, i));
    }
}

static bool right(float c[LANES][LANE_SUMS])
{
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; i < LANE_SUMS; i++)
            if (c[lane][i] != clm__tile_sum(row_of(lane, i), column_of(lane, i), INNER))
                return false;
    }
    return true;
}

bool clm__mma_runs(clm_device *dev, int mma)
{
    const clm_define def = {"MMA", mma};
    const clm_range range = {1, {LANES}, {LANES}};
    uint32_t ab[LANES][LANE_WORDS] = {{0}};
    float c[LANES][LANE_SUMS];
    clm_program *prog = NULL;
    clm_kernel *kernel = NULL;
    clm_buffer *bufs[2] = {NULL};
    clm_status st;

    fill(ab, c);
    st = clm_program_create(dev, "mma_probe", &def, 1, &prog, NULL);
    if (st == CLM_OK) st = clm_kernel_create(prog, "mma_probe", &kernel, NULL);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_I32, LANES * LANE_WORDS, &bufs[0], NULL);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_F32, LANES * LANE_SUMS, &bufs[1], NULL);
    if (st == CLM_OK) st = clm_buffer_write(bufs[0], 0, LANES * LANE_WORDS, ab, NULL);
    if (st == CLM_OK) st = clm_buffer_write(bufs[1], 0, LANES * LANE_SUMS, c, NULL);
    if (st == CLM_OK) {
        const clm_arg args[] = {CLM_BUF(bufs[0]), CLM_BUF(bufs[1])};
        st = clm_kernel_set_args(kernel, args, 2, NULL);
    }
    if (st == CLM_OK) st = clm_kernel_enqueue(kernel, &range, NULL);
    if (st == CLM_OK) st = clm_buffer_read(bufs[1], 0, LANES * LANE_SUMS, c, NULL);
    for (size_t i = 0; i < 2; i++) clm_buffer_destroy(bufs[i]);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
    return st == CLM_OK && right(c);
}

bool clm__mma_probe(clm_device *dev)
{
    const char *allowed = getenv("CLM_MMA");

    if (allowed != NULL && strcmp(allowed, "0") == 0) return false;
    return clm_device_caps(dev)->dot == CLM_DOT_PTX && clm__mma_runs(dev, 1);
}
