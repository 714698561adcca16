/* runtime/ops/op_util.c: see op_util.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_util.h"

const int clm_op_dots[CLM_DOT_COUNT] = {CLM_DOT_PLAIN, CLM_DOT_KHR,  CLM_DOT_AMD, CLM_DOT_PTX,
                                        CLM_DOT_VNNI,  CLM_DOT_AVX2, CLM_DOT_SDOT};

bool clm_op_group_fits(const clm_caps *caps, int wg)
{
    return wg >= 1 && (size_t)wg <= caps->max_group_size && (size_t)wg <= caps->max_item_sizes[0];
}

int clm_op_group_choose(const clm_axis *axis, const clm_caps *caps, int wanted)
{
    int best = axis->values[0];

    for (size_t i = 0; i < axis->n_values; i++) {
        if (axis->values[i] <= wanted && clm_op_group_fits(caps, axis->values[i]))
            best = axis->values[i];
    }
    return best;
}

size_t clm_op_mma_local(clm_mma mma, bool plain, size_t warps)
{
    const size_t numbers = 16 * (size_t)(clm_mma_rows(mma) + clm_mma_columns(mma));

    return plain ? warps * numbers * sizeof(uint16_t) : 0;
}

clm_arithmetic clm_op_by_tiles(const clm_shape *shape)
{
    (void)shape;
    return CLM_ARITHMETIC_TILES;
}

size_t clm_op_ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

clm_status clm_op_fill_nomem(const char *op, clm_err *err)
{
    return clm_fail(err, CLM_E_NOMEM, "%s: no memory for a test case", op);
}
