/* runtime/ops/ref_add.c: x[i] += y[i]
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

void clm_ref_add(clm_case *c)
{
    const float *x = c->bufs[0].data, *y = c->bufs[1].data;
    float *sum = c->bufs[0].expected;

    for (size_t i = 0; i < c->bufs[0].count; i++) sum[i] = (float)((double)x[i] + (double)y[i]);
}
