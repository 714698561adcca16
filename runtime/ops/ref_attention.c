/* runtime/ops/ref_attention.c: softmax(q k / sqrt(d) - slope * distance) v, in three passes
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include <stdlib.h>
#include "runtime/ops/attention_case.h"
#include "runtime/ops/kv_case.h"

/* What a kernel's products take: numbers as they are, or rounded, as cl/attention_mma.cl and attention_amx.cl do. */
typedef enum rounding { AS_IT_IS, AS_F16, AS_BF16 } rounding;

static float rounded(float x, rounding as)
{
    if (as == AS_F16) return clm_ref_half_to_float(clm_ref_float_to_half(x));
    if (as == AS_BF16) return clm_ref_bf16_to_float(clm_ref_float_to_bf16(x));
    return x;
}

/* A query over sqrt(n); rounded in units of log(2). */
static void scale_query(const float *x, size_t n, rounding as, double *q)
{
    const float log2_e = 1.44269504f, scale = 1.0f / sqrtf((float)n) * log2_e;

    for (size_t d = 0; d < n; d++)
        q[d] = as != AS_IT_IS ? (double)rounded(x[d] * scale, as) * (1.0 / 1.4426950408889634)
                              : (double)x[d] / sqrt((double)n);
}

/* An element of the cache. */
static double cached(double e, rounding as)
{
    return as != AS_IT_IS ? (double)rounded((float)e, as) : e;
}

/* One head of one row: keys 0..last of kv head `kv`; p is room for as many weights. */
static void attend(const clm_case *c, const double *q, float slope, size_t kv, size_t last,
                   rounding as, double *p, float *out)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_HEAD_DIM];
    const clm_kv_dims dims = {(size_t)v[CLM_ATTENTION_N_KV_HEADS], n, (size_t)v[CLM_ATTENTION_CTX],
                              v[CLM_ATTENTION_KV_TYPE]};
    /* Levels of int8 are bfloat16 numbers already, and keys are multiplied with their scales afterwards. */
    const rounding keys_as = as == AS_BF16 && dims.type == CLM_CACHE_I8 ? AS_IT_IS : as;
    double top = -HUGE_VAL, sum = 0.0;

    for (size_t j = 0; j <= last; j++) {
        double dot = 0.0;

        for (size_t d = 0; d < n; d++)
            dot += q[d] * cached(clm_kv_case_key(&c->bufs[1], &dims, kv, j, d), keys_as);
        p[j] = dot - (double)slope * (double)(last - j);
        top = fmax(top, p[j]);
    }
    for (size_t j = 0; j <= last; j++) sum += p[j] = exp(p[j] - top);
    for (size_t d = 0; d < n; d++) {
        double mean = 0.0;

        for (size_t j = 0; j <= last; j++)
            mean += p[j] / sum * cached(clm_kv_case_value(&c->bufs[1], &dims, kv, j, d), as);
        out[d] = (float)mean;
    }
}

static void attend_all(clm_case *c, rounding as)
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
            scale_query(x + m * (size_t)v[CLM_ATTENTION_LD] + v[CLM_ATTENTION_Q_OFF] + h * n, n, as,
                        q);
            attend(c, q, slopes[h], h / sharing, pos0 + m, as, q + n,
                   out + m * (size_t)v[CLM_ATTENTION_LDO] + h * n);
        }
    }
    free(q);
}

void clm_ref_attention(clm_case *c)
{
    attend_all(c, AS_IT_IS);
}

void clm_ref_attention_mma(clm_case *c)
{
    attend_all(c, AS_F16);
}

void clm_ref_attention_amx(clm_case *c)
{
    attend_all(c, AS_BF16);
}
