/* runtime/ops/ref_attention.c: softmax(q k / sqrt(d) - slope * distance) v, in three passes
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include "runtime/ops/attention_case.h"
#include "runtime/ops/kv_case.h"

/* A query over sqrt(n); `as_f16`: as cl/attention_mma.cl rounds it, in units of log(2). */
static void scale_query(const float *x, size_t n, bool as_f16, double *q)
{
    const float log2_e = 1.44269504f, scale = 1.0f / sqrtf((float)n) * log2_e;

    for (size_t d = 0; d < n; d++)
        q[d] = as_f16 ? (double)clm_ref_half_to_float(clm_ref_float_to_half(x[d] * scale)) *
                            (1.0 / 1.4426950408889634)
                      : (double)x[d] / sqrt((double)n);
}

/* An element of the cache; `as_f16`: rounded, which changes one of int8 only. */
static double cached(double e, bool as_f16)
{
    return as_f16 ? (double)clm_ref_half_to_float(clm_ref_float_to_half((float)e)) : e;
}

/* One head of one row: keys 0..last of kv head `kv`; p is room for as many weights. */
static void attend(const clm_case *c, const double *q, float slope, size_t kv, size_t last,
                   bool as_f16, double *p, float *out)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM];
    const clm_kv_dims dims = {(size_t)v[CLM_ATTENTION_N_KV_HEADS], n, (size_t)v[CLM_ATTENTION_CTX],
                              v[CLM_ATTENTION_KV_TYPE]};
    double top = -HUGE_VAL, sum = 0.0;

    for (size_t j = 0; j <= last; j++) {
        double dot = 0.0;

        for (size_t d = 0; d < n; d++)
            dot += q[d] * cached(clm_kv_case_key(&c->bufs[1], &dims, kv, j, d), as_f16);
        p[j] = dot - (double)slope * (double)(last - j);
        top = fmax(top, p[j]);
    }
    for (size_t j = 0; j <= last; j++) sum += p[j] = exp(p[j] - top);
    for (size_t d = 0; d < n; d++) {
        double mean = 0.0;

        for (size_t j = 0; j <= last; j++)
            mean += p[j] / sum * cached(clm_kv_case_value(&c->bufs[1], &dims, kv, j, d), as_f16);
        out[d] = (float)mean;
    }
}

static void attend_all(clm_case *c, bool as_f16)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM], heads = (size_t)v[CLM_ATTENTION_N_HEADS];
    const size_t sharing = heads / (size_t)v[CLM_ATTENTION_N_KV_HEADS];
    const size_t pos0 = (size_t)v[CLM_ATTENTION_POS0], rows = (size_t)v[CLM_ATTENTION_M];
    const float *x = c->bufs[0].data, *slopes = c->bufs[6].data;
    float *out = c->bufs[7].expected;
    double *q = malloc((n + pos0 + rows) * sizeof *q);

    clm_ref_untouched(&c->bufs[7]);
    if (q == NULL) return; /* every comparison fails then */
    for (size_t m = 0; m < rows; m++) {
        for (size_t h = 0; h < heads; h++) {
            scale_query(x + m * (size_t)v[CLM_ATTENTION_LD] + v[CLM_ATTENTION_Q_OFF] + h * n, n,
                        as_f16, q);
            attend(c, q, slopes[h], h / sharing, pos0 + m, as_f16, q + n,
                   out + m * (size_t)v[CLM_ATTENTION_LDO] + h * n);
        }
    }
    free(q);
}

void clm_ref_attention(clm_case *c)
{
    attend_all(c, false);
}

void clm_ref_attention_mma(clm_case *c)
{
    attend_all(c, true);
}
