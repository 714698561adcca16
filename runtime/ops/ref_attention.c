/* runtime/ops/ref_attention.c: softmax(q k / sqrt(d) - slope * distance) v, in three passes
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include <stdlib.h>
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_attention.h"

/* One head of one row: keys 0..last of kv head `kv`. */
static void attend(const clm_case *c, const float *q, float slope, size_t kv, size_t last,
                   double *p, float *out)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM];
    const clm_kv_dims dims = {(size_t)v[CLM_ATTENTION_N_KV_HEADS], n, (size_t)v[CLM_ATTENTION_CTX],
                              v[CLM_ATTENTION_KV_TYPE]};
    double top = -HUGE_VAL, sum = 0.0;

    for (size_t j = 0; j <= last; j++) {
        double dot = 0.0;

        for (size_t d = 0; d < n; d++)
            dot += (double)q[d] * clm_kv_case_key(&c->bufs[1], &dims, kv, j, d);
        p[j] = dot / sqrt((double)n) - (double)slope * (double)(last - j);
        top = fmax(top, p[j]);
    }
    for (size_t j = 0; j <= last; j++) sum += p[j] = exp(p[j] - top);
    for (size_t d = 0; d < n; d++) {
        double mean = 0.0;

        for (size_t j = 0; j <= last; j++)
            mean += p[j] / sum * clm_kv_case_value(&c->bufs[1], &dims, kv, j, d);
        out[d] = (float)mean;
    }
}

void clm_ref_attention(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM], heads = (size_t)v[CLM_ATTENTION_N_HEADS];
    const size_t sharing = heads / (size_t)v[CLM_ATTENTION_N_KV_HEADS];
    const size_t pos0 = (size_t)v[CLM_ATTENTION_POS0], rows = (size_t)v[CLM_ATTENTION_M];
    const float *x = c->bufs[0].data, *slopes = c->bufs[6].data;
    float *out = c->bufs[7].expected;
    double *p = malloc((pos0 + rows) * sizeof *p);

    clm_ref_untouched(&c->bufs[7]);
    if (p == NULL) return; /* every comparison fails then */
    for (size_t m = 0; m < rows; m++) {
        for (size_t h = 0; h < heads; h++) {
            attend(c, x + m * (size_t)v[CLM_ATTENTION_LD] + v[CLM_ATTENTION_Q_OFF] + h * n,
                   slopes[h], h / sharing, pos0 + m, p,
                   out + m * (size_t)v[CLM_ATTENTION_LDO] + h * n);
        }
    }
    free(p);
}
