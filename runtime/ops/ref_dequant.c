/* runtime/ops/ref_dequant.c: rows of a weight matrix as floats.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/op_dequant.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

void clm_ref_dequant(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t row0 = (size_t)v[CLM_DEQUANT_ROW0], rows = (size_t)v[CLM_DEQUANT_ROWS];
    const clm_weight_layout layout = {.format = (clm_weight_format)v[CLM_DEQUANT_FORMAT],
                                      .rows = row0 + rows,
                                      .columns = (size_t)v[CLM_DEQUANT_K],
                                      .group = (size_t)v[CLM_DEQUANT_GROUP],
                                      .has_min = v[CLM_DEQUANT_HAS_MIN]};
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    float *out = c->bufs[3].expected;

    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < layout.columns; k++)
            out[r * layout.columns + k] = (float)clm_ref_weight_value(&w, row0 + r, k);
    }
}
