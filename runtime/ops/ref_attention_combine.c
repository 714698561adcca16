/* runtime/ops/ref_attention_combine.c: weighted mean of partial results, rounded to int8 if asked
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include "runtime/ops/act.h"
#include "runtime/ops/op_attention_combine.h"

double clm_ref_attention_combined(const float *part, size_t splits, size_t n, size_t d)
{
    double top = -HUGE_VAL, sum = 0.0, l = 0.0;

    for (size_t s = 0; s < splits; s++) /* fmax in this loop crashes GCC 12 for AArch64 */
        if ((double)part[s * (n + 2)] > top) top = (double)part[s * (n + 2)];
    for (size_t s = 0; s < splits; s++) {
        const float *one = part + s * (n + 2);
        const double w = exp((double)one[0] - top);

        l += w * (double)one[1];
        sum += w * (double)one[2 + d];
    }
    return sum / l;
}

void clm_ref_attention_combine(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_COMBINE_HEAD_DIM];
    const size_t splits = (size_t)v[CLM_ATTENTION_COMBINE_SPLITS];
    const size_t count = (size_t)v[CLM_ATTENTION_COMBINE_N_HEADS] * n;
    const float *part = c->bufs[0].data;
    float *out = c->bufs[1].expected;
    double group[CLM_ACT_GROUP];

    for (size_t i = 0; i < count; i++) {
        const double x =
            clm_ref_attention_combined(part + i / n * splits * (n + 2), splits, n, i % n);
        const size_t g = i / CLM_ACT_GROUP;

        if (v[CLM_ATTENTION_COMBINE_QUANT_OUT] == 0) {
            out[i] = (float)x;
            continue;
        }
        group[i % CLM_ACT_GROUP] = x;
        if (i % CLM_ACT_GROUP == CLM_ACT_GROUP - 1)
            clm_ref_act_store(group, 1, (int8_t *)c->bufs[2].expected + g * CLM_ACT_GROUP,
                              (float *)c->bufs[3].expected + g, (int32_t *)c->bufs[4].expected + g);
    }
}
