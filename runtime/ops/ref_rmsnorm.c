/* runtime/ops/ref_rmsnorm.c: y[r][i] = x[r][i] * w[i] / sqrt(mean(x[r]^2) + eps)
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include "runtime/ops/op_rmsnorm.h"

void clm_ref_rmsnorm(clm_case *c)
{
    const size_t rows = (size_t)c->shape.v[CLM_RMSNORM_ROWS];
    const size_t dim = (size_t)c->shape.v[CLM_RMSNORM_DIM];
    const float *x = (const float *)c->bufs[0].data + (size_t)c->shape.v[CLM_RMSNORM_X_ROW0] * dim;
    const float *w = c->bufs[1].data;
    const int out = c->shape.v[CLM_RMSNORM_OUT];

    for (size_t r = 0; r < rows; r++, x += dim) {
        double sum = 0.0, norm;

        for (size_t i = 0; i < dim; i++) sum += (double)x[i] * (double)x[i];
        norm = sqrt(sum / (double)dim + (double)c->shape.f[0]);
        for (size_t i = 0; i < dim; i++)
            clm_ref_act_out(&c->bufs[2], out, dim, r, i, (double)x[i] * (double)w[i] / norm);
    }
    clm_ref_act_out_fill(&c->bufs[2], out, dim, rows);
}
