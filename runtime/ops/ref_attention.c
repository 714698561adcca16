/* runtime/ops/ref_attention.c: softmax(q k / sqrt(d) - slope * distance) v, in three passes
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include <stdlib.h>
#include "runtime/ops/op_attention.h"

/* Element d of the cached vector at position index `at`. */
static double cached(const clm_case_buffer *cache, const clm_case_buffer *scales, size_t at,
                     size_t n, size_t d)
{
    if (cache->type == CLM_ELEM_F32) return (double)((const float *)cache->data)[at * n + d];
    if (cache->type == CLM_ELEM_F16)
        return (double)clm_ref_half_to_float(((const uint16_t *)cache->data)[at * n + d]);
    return (double)((const int8_t *)cache->data)[at * n + d] *
           (double)clm_ref_half_to_float(((const uint16_t *)scales->data)[at]);
}

/* One head of one row: keys 0..last of the kv head that begins at position index `base`. */
static void attend(const clm_case *c, const float *q, float slope, size_t base, size_t last,
                   double *p, float *out)
{
    const size_t n = (size_t)c->shape.v[CLM_ATTENTION_HEAD_DIM];
    double top = -HUGE_VAL, sum = 0.0;

    for (size_t j = 0; j <= last; j++) {
        double dot = 0.0;

        for (size_t d = 0; d < n; d++)
            dot += (double)q[d] * cached(&c->bufs[1], &c->bufs[3], base + j, n, d);
        p[j] = dot / sqrt((double)n) - (double)slope * (double)(last - j);
        top = fmax(top, p[j]);
    }
    for (size_t j = 0; j <= last; j++) sum += p[j] = exp(p[j] - top);
    for (size_t d = 0; d < n; d++) {
        double mean = 0.0;

        for (size_t j = 0; j <= last; j++)
            mean += p[j] / sum * cached(&c->bufs[2], &c->bufs[4], base + j, n, d);
        out[d] = (float)mean;
    }
}

void clm_ref_attention(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM], heads = (size_t)v[CLM_ATTENTION_N_HEADS];
    const size_t sharing = heads / (size_t)v[CLM_ATTENTION_N_KV_HEADS];
    const size_t pos0 = (size_t)v[CLM_ATTENTION_POS0], rows = (size_t)v[CLM_ATTENTION_M];
    const float *x = c->bufs[0].data, *slopes = c->bufs[5].data;
    float *out = c->bufs[6].expected;
    double *p = malloc((pos0 + rows) * sizeof *p);

    clm_ref_untouched(&c->bufs[6]);
    if (p == NULL) return; /* every comparison fails then */
    for (size_t m = 0; m < rows; m++) {
        for (size_t h = 0; h < heads; h++) {
            attend(c, x + m * (size_t)v[CLM_ATTENTION_LD] + v[CLM_ATTENTION_Q_OFF] + h * n,
                   slopes[h], h / sharing * (size_t)v[CLM_ATTENTION_CTX], pos0 + m, p,
                   out + m * (size_t)v[CLM_ATTENTION_LDO] + h * n);
        }
    }
    free(p);
}
