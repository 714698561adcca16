/* runtime/ops/ref_act_quant.c: rows of floats become int8 activations in panels.
 *
 * Layer    runtime. Plain C.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/ops/act.h"
#include "runtime/ops/op_act_quant.h"
#include "runtime/ops/ref.h"

void clm_ref_act_store(const double *x, size_t groups, int8_t *q, float *d, int32_t *s)
{
    for (size_t g = 0; g < groups; g++) {
        const double *from = x + g * CLM_ACT_GROUP;
        double top = 0.0;
        bool finite = true;

        for (int i = 0; i < CLM_ACT_GROUP; i++) {
            top = fmax(top, fabs(from[i]));
            finite = finite && isfinite(from[i]);
        }
        d[g] = finite ? (float)(top / 127.0) : NAN;
        s[g] = 0;
        for (int i = 0; i < CLM_ACT_GROUP; i++) {
            const int8_t v = (int8_t)(finite && top > 0.0 ? rint(from[i] * 127.0 / top) : 0.0);

            q[g * CLM_ACT_GROUP + (size_t)i] = v;
            s[g] += v;
        }
    }
}

void clm_ref_act_quant(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t k_count = (size_t)v[CLM_ACT_QUANT_K], panel = (size_t)v[CLM_ACT_QUANT_T];
    const size_t ld = (size_t)v[CLM_ACT_QUANT_LD];
    const float *x = (const float *)c->bufs[0].data + (size_t)v[CLM_ACT_QUANT_OFF];
    const size_t groups = k_count / CLM_ACT_GROUP, rows = c->bufs[2].count / groups;
    int8_t *q = c->bufs[1].expected, *row_q = malloc(k_count);
    float *d = c->bufs[2].expected, *row_d = malloc(groups * sizeof *row_d);
    int32_t *s = c->bufs[3].expected, *row_s = malloc(groups * sizeof *row_s);
    double *z = calloc(k_count, sizeof *z);

    if (z == NULL || row_q == NULL || row_d == NULL || row_s == NULL) abort(); /* a test's memory */
    for (size_t m = 0; m < rows; m++) {
        const size_t p = m / panel, t = m % panel;

        for (size_t k = 0; k < k_count; k++)
            z[k] = m < (size_t)v[CLM_ACT_QUANT_M] ? (double)x[m * ld + k] : 0.0;
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
