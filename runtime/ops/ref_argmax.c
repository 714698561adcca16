/* runtime/ops/ref_argmax.c: lowest index of the largest value that is not NaN; -1 without one
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include <stdbool.h>
#include "runtime/ops/op_argmax.h"

void clm_ref_argmax(clm_case *c)
{
    const float *x = (const float *)c->bufs[0].data + c->shape.v[CLM_ARGMAX_OFF];
    int32_t *out = c->bufs[1].expected;
    bool found = false;
    int at = -1;

    for (int i = 0; i < c->shape.v[CLM_ARGMAX_N]; i++) {
        if (isnan(x[i]) || (found && x[i] <= x[at])) continue;
        at = i;
        found = true;
    }
    clm_ref_untouched(&c->bufs[1]);
    out[c->shape.v[CLM_ARGMAX_OUT_OFF]] = at;
}
