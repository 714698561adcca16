/* runtime/ops/ref_xgemm.c: dense product of two row-major matrices, the second transposed. */
#include "runtime/ops/op_xgemm.h"
#include "runtime/ops/ref.h"

void clm_ref_xgemm(clm_case *c)
{
    const size_t m = (size_t)c->shape.v[CLM_XGEMM_M], n = (size_t)c->shape.v[CLM_XGEMM_N],
                 k = (size_t)c->shape.v[CLM_XGEMM_K];
    const float *a = c->bufs[0].data, *b = c->bufs[1].data;
    float *out = c->bufs[2].expected;

    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (size_t l = 0; l < k; l++) sum += (double)a[i * k + l] * (double)b[j * k + l];
            out[i * n + j] = (float)sum;
        }
}
