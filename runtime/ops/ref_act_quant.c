/* runtime/ops/ref_act_quant.c: rows of floats become int8 activations in panels.
 *
 * Layer    runtime. Plain C.
 */
#include <math.h>
#include <stdlib.h>

#include "runtime/ops/act.h"
#include "runtime/ops/op_act_quant.h"
#include "runtime/ops/ref.h"

/* Row m before it is quantised. */
static void row_values(const clm_case *c, size_t m, double *z)
{
    const int *v = c->shape.v;
    const size_t k_count = (size_t)v[CLM_ACT_QUANT_K];
    const float *x = (const float *)c->bufs[0].data + m * (size_t)v[CLM_ACT_QUANT_LD] +
                     (size_t)v[CLM_ACT_QUANT_OFF];
    const float *gamma = c->bufs[1].data;
    double sum = 0.0;

    for (size_t k = 0; k < k_count; k++) {
        const size_t i = v[CLM_ACT_QUANT_MODE] == CLM_ACT_SWIGLU ? k / 16 * 32 + k % 16 : k;

        z[k] = (double)x[i];
        sum += z[k] * z[k];
        if (v[CLM_ACT_QUANT_MODE] == CLM_ACT_SWIGLU)
            z[k] = z[k] / (1.0 + exp(-z[k])) * (double)x[i + 16];
    }
    if (v[CLM_ACT_QUANT_MODE] != CLM_ACT_RMSNORM) return;
    sum = 1.0 / sqrt(sum / (double)k_count + (double)c->shape.f[0]);
    for (size_t k = 0; k < k_count; k++) z[k] *= (double)gamma[k] * sum;
}

void clm_ref_act_quant(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t k_count = (size_t)v[CLM_ACT_QUANT_K], panel = (size_t)v[CLM_ACT_QUANT_T];
    const size_t groups = k_count / CLM_ACT_GROUP, rows = c->bufs[3].count / groups;
    int8_t *q = c->bufs[2].expected, *row_q = malloc(k_count);
    float *d = c->bufs[3].expected, *row_d = malloc(groups * sizeof *row_d);
    int32_t *s = c->bufs[4].expected, *row_s = malloc(groups * sizeof *row_s);
    double *z = malloc(k_count * sizeof *z);

    if (z == NULL || row_q == NULL || row_d == NULL || row_s == NULL) abort(); /* a test's memory */
    for (size_t m = 0; m < rows; m++) {
        const size_t p = m / panel, t = m % panel;

        if (m < (size_t)v[CLM_ACT_QUANT_M])
            row_values(c, m, z);
        else
            for (size_t k = 0; k < k_count; k++) z[k] = 0.0;
        clm_ref_act_store(z, groups, row_q, row_d, row_s);
        for (size_t k = 0; k < k_count; k++)
            q[((p * (k_count / 4) + k / 4) * panel + t) * 4 + k % 4] = row_q[k];
        for (size_t g = 0; g < groups; g++) {
            d[(p * groups + g) * panel + t] = row_d[g];
            s[(p * groups + g) * panel + t] = row_s[g];
        }
    }
    free(z);
    free(row_q);
    free(row_d);
    free(row_s);
}
