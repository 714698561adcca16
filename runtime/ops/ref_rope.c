/* runtime/ops/ref_rope.c: pairs (2i, 2i+1) as complex numbers times cos + i sin
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <complex.h>
#include <string.h>
#include "runtime/ops/op_rope.h"

void clm_ref_rope(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t pairs = (size_t)v[CLM_ROPE_ROPE_DIMS] / 2;
    const float *x = c->bufs[0].data, *cs = c->bufs[1].data;
    float *y = c->bufs[0].expected;

    memmove(y, x, c->bufs[0].count * sizeof *y); /* the ref backend works in place */
    for (size_t m = 0; m < (size_t)v[CLM_ROPE_M]; m++) {
        const float *turn = cs + ((size_t)v[CLM_ROPE_POS0] + m) * pairs * 2;

        for (size_t h = 0; h < (size_t)v[CLM_ROPE_N_HEADS]; h++) {
            const size_t at = m * (size_t)v[CLM_ROPE_LD] + (size_t)v[CLM_ROPE_OFF] +
                              h * (size_t)v[CLM_ROPE_HEAD_DIM];

            for (size_t i = 0; i < pairs; i++) {
                const double complex z = ((double)x[at + 2 * i] + (double)x[at + 2 * i + 1] * I) *
                                         ((double)turn[2 * i] + (double)turn[2 * i + 1] * I);

                y[at + 2 * i] = (float)creal(z);
                y[at + 2 * i + 1] = (float)cimag(z);
            }
        }
    }
}
