/* runtime/ops/ref_gemm_amx.c: bfloat16 activations of many tokens times a weight matrix.
 *
 * Layer    runtime. Plain C.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/ops/op_gemm_amx.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

void clm_ref_gemm_amx(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout =
        clm_weight_layout_of(v[CLM_GEMM_AMX_FORMAT], v[CLM_GEMM_AMX_N], v[CLM_GEMM_AMX_K],
                             v[CLM_GEMM_AMX_GROUP], v[CLM_GEMM_AMX_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const size_t k_count = layout.columns, first = (size_t)v[CLM_GEMM_AMX_FIRST];
    const size_t end = first + (size_t)v[CLM_GEMM_AMX_CHUNK], stop = end < k_count ? end : k_count;
    const uint16_t *x = c->bufs[CLM_GEMM_AMX_X].data;
    const clm_case_buffer *out = &c->bufs[CLM_GEMM_AMX_Y];
    float *y = out->expected;
    double *row = malloc(k_count * sizeof *row);

    if (row == NULL) abort(); /* a test's memory */
    if (first == 0)
        clm_ref_untouched(&c->bufs[CLM_GEMM_AMX_Y]);
    else
        memcpy(y, out->data, out->count * sizeof *y);
    for (size_t n = 0; n < layout.rows; n++) {
        for (size_t k = first; k < stop; k++) {
            const float value = (float)clm_ref_weight_value(&w, n, k);
            row[k] = (double)clm_ref_bf16_to_float(clm_ref_float_to_bf16(value));
        }
        for (size_t m = 0; m < (size_t)v[CLM_GEMM_AMX_M]; m++) {
            const size_t at = m * (size_t)v[CLM_GEMM_AMX_LDY] + (size_t)v[CLM_GEMM_AMX_Y_OFF] + n;
            double sum = first == 0 ? 0.0 : (double)y[at];

            for (size_t k = first; k < stop; k++) {
                const uint16_t h = x[clm_ref_act_bf16_at(k_count, m, k, false)];

                sum += row[k] * (double)clm_ref_bf16_to_float(h);
            }
            y[at] = (float)sum;
        }
    }
    free(row);
}
