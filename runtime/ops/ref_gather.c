/* runtime/ops/ref_gather.c: y[m][k] = x[m][order[k]], 0 for a place outside the row
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_gather.h"
#include "runtime/ops/ref.h"

void clm_ref_gather(clm_case *c)
{
    const int columns = c->shape.v[CLM_GATHER_K];
    const float *x = c->bufs[0].data;
    const int32_t *order = c->bufs[1].data;
    float *y = c->bufs[2].expected;

    for (int m = 0; m < c->shape.v[CLM_GATHER_M]; m++, x += columns, y += columns) {
        for (int k = 0; k < columns; k++)
            y[k] = order[k] >= 0 && order[k] < columns ? x[order[k]] : 0.0f;
    }
}
