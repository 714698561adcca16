/* runtime/ops/ref_swiglu.c: out = gate / (1 + exp(-gate)) * up
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include "runtime/ops/op_swiglu.h"

void clm_ref_swiglu(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t ffn = (size_t)v[CLM_SWIGLU_FFN];
    const float *x = c->bufs[0].data;

    for (size_t m = 0; m < (size_t)v[CLM_SWIGLU_M]; m++) {
        const float *row = x + m * (size_t)v[CLM_SWIGLU_LD];

        for (size_t i = 0; i < ffn; i++) {
            const size_t j = v[CLM_SWIGLU_TILED] ? i / 16 * 32 + i % 16 : i;
            const double gate = (double)row[(size_t)v[CLM_SWIGLU_GATE_OFF] + j];
            const double up = (double)row[(size_t)v[CLM_SWIGLU_UP_OFF] + j];

            clm_ref_act_out(&c->bufs[1], v[CLM_SWIGLU_OUT], ffn, m, i,
                            gate / (1.0 + exp(-gate)) * up);
        }
    }
    clm_ref_act_out_fill(&c->bufs[1], v[CLM_SWIGLU_OUT], ffn, (size_t)v[CLM_SWIGLU_M]);
}
