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

static void weights_of(const clm_ref_weight *w, size_t n, double *row)
{
    size_t end;

    for (size_t k = 0; k < w->layout.columns; k = end) {
        const double scale = clm_ref_weight_factor(w, n, k), near = rounded(scale);
        const double offset = clm_ref_weight_offset(w, n, k), near_offset = rounded(offset);
        const bool steps = w->layout.has_min == CLM_MIN_STEPS;

        end = k + clm_ref_weight_alike(w, k);
        for (size_t i = k; i < end; i++) {
            const double level = clm_ref_weight_level(w, n, i);

            row[i] = rounded(steps ? near * rounded(level + offset / scale)
                                   : near * level + near_offset);
        }
    }
}

/* The activations as numbers, [tokens][columns]. */
static double *read_tokens(const clm_case *c, size_t m_count, size_t k_count)
{
    const uint16_t *x = c->bufs[CLM_GEMM_MMA_X].data;
    double *out = malloc(m_count * k_count * sizeof *out);

    if (out == NULL) abort(); /* a test's memory */
    for (size_t m = 0; m < m_count; m++)
        for (size_t k = 0; k < k_count; k++)
            out[m * k_count + k] =
                (double)clm_ref_bf16_to_float(x[clm_ref_act_bf16_at(k_count, m, k, true)]);
    return out;
}

void clm_ref_gemm_mma(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout =
        clm_weight_layout_of(v[CLM_GEMM_MMA_FORMAT], v[CLM_GEMM_MMA_N], v[CLM_GEMM_MMA_K],
                             v[CLM_GEMM_MMA_GROUP], v[CLM_GEMM_MMA_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const size_t k_count = layout.columns;
    double *x = read_tokens(c, (size_t)v[CLM_GEMM_MMA_M], k_count);
    float *y = c->bufs[CLM_GEMM_MMA_Y].expected;
    double *row = malloc(k_count * sizeof *row);

    if (row == NULL) abort(); /* a test's memory */
    clm_ref_untouched(&c->bufs[CLM_GEMM_MMA_Y]);
    for (size_t n = 0; n < layout.rows; n++) {
        weights_of(&w, n, row);
        for (size_t m = 0; m < (size_t)v[CLM_GEMM_MMA_M]; m++) {
            double sum = 0.0;

            for (size_t k = 0; k < k_count; k++) sum += row[k] * x[m * k_count + k];
            y[m * (size_t)v[CLM_GEMM_MMA_LDY] + (size_t)v[CLM_GEMM_MMA_Y_OFF] + n] = (float)sum;
        }
    }
    free(row);
    free(x);
}
