/* runtime/ops/ref_gemm_mma.c: bfloat16 activations of many tokens times a weight matrix, which is
 * rounded as cl/gemm_mma.cl says.
 *
 * Layer    runtime. Plain C.
 */
#include <stdlib.h>

#include "runtime/ops/op_gemm_mma.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

static double rounded(double v)
{
    return (double)clm_ref_bf16_to_float(clm_ref_float_to_bf16((float)v));
}

static double weight_of(const clm_ref_weight *w, int has_min, size_t n, size_t k)
{
    const double level = clm_ref_weight_level(w, n, k);
    const double scale = clm_ref_weight_factor(w, n, k), offset = clm_ref_weight_offset(w, n, k);

    if (has_min == CLM_MIN_STEPS) return rounded(rounded(scale) * rounded(level + offset / scale));
    return rounded(rounded(scale) * level + rounded(offset));
}

void clm_ref_gemm_mma(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout =
        clm_weight_layout_of(v[CLM_GEMM_MMA_FORMAT], v[CLM_GEMM_MMA_N], v[CLM_GEMM_MMA_K],
                             v[CLM_GEMM_MMA_GROUP], v[CLM_GEMM_MMA_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const size_t k_count = layout.columns;
    const uint16_t *x = c->bufs[CLM_GEMM_MMA_X].data;
    float *y = c->bufs[CLM_GEMM_MMA_Y].expected;
    double *row = malloc(k_count * sizeof *row);

    if (row == NULL) abort(); /* a test's memory */
    clm_ref_untouched(&c->bufs[CLM_GEMM_MMA_Y]);
    for (size_t n = 0; n < layout.rows; n++) {
        for (size_t k = 0; k < k_count; k++) row[k] = weight_of(&w, layout.has_min, n, k);
        for (size_t m = 0; m < (size_t)v[CLM_GEMM_MMA_M]; m++) {
            double sum = 0.0;

            for (size_t k = 0; k < k_count; k++) {
                const uint16_t h = x[clm_ref_act_bf16_at(k_count, m, k, true)];

                sum += row[k] * (double)clm_ref_bf16_to_float(h);
            }
            y[m * (size_t)v[CLM_GEMM_MMA_LDY] + (size_t)v[CLM_GEMM_MMA_Y_OFF] + n] = (float)sum;
        }
    }
    free(row);
}
