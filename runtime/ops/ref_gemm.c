/* runtime/ops/ref_gemm.c: int8 activations of many tokens times a weight matrix.
 *
 * Layer    runtime. Plain C.
 */
#include <stdlib.h>

#include "runtime/ops/act.h"
#include "runtime/ops/op_gemm.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

void clm_ref_gemm(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout = clm_weight_layout_of(
        v[CLM_GEMM_FORMAT], v[CLM_GEMM_N], v[CLM_GEMM_K], v[CLM_GEMM_GROUP], v[CLM_GEMM_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const size_t k_count = layout.columns, panel = (size_t)v[CLM_GEMM_T],
                 ldy = (size_t)v[CLM_GEMM_LDY];
    const int8_t *q = c->bufs[CLM_GEMM_X].data;
    const float *d = c->bufs[CLM_GEMM_XD].data;
    float *y = c->bufs[CLM_GEMM_Y].expected;
    double *row = malloc(k_count * sizeof *row);

    if (row == NULL) abort(); /* a test's memory */
    clm_ref_untouched(&c->bufs[CLM_GEMM_Y]);
    for (size_t n = 0; n < layout.rows; n++) {
        clm_ref_weight_row(&w, n, row);
        for (size_t m = 0; m < (size_t)v[CLM_GEMM_M]; m++) {
            const size_t p = m / panel, t = m % panel, at = m * ldy + (size_t)v[CLM_GEMM_Y_OFF] + n;
            double sum = 0.0;

            for (size_t k = 0; k < k_count; k++) {
                const size_t word = (p * (k_count / 4) + k / 4) * panel + t;
                const size_t group =
                    (p * (k_count / CLM_ACT_GROUP) + k / CLM_ACT_GROUP) * panel + t;

                sum += row[k] * (double)d[group] * q[word * 4 + k % 4];
            }
            y[at] = (float)sum;
        }
    }
    free(row);
}
