/* runtime/ops/ref_gemm_amx.c: bfloat16 activations of many tokens times a weight matrix.
 *
 * Layer    runtime. Plain C.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/ops/op_gemm_amx.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

/* Index of the sum of token m and row n: gemm_amx.cl, `sums`. */
static size_t sum_at(size_t panels, size_t m, size_t n)
{
    const size_t square = n / 32 * panels + m / 32, tile = m / 16 % 2 * 2 + n / 16 % 2;

    return ((square * 4 + tile) * 16 + m % 16) * 16 + n % 16;
}

void clm_ref_gemm_amx(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout =
        clm_weight_layout_of(v[CLM_GEMM_AMX_FORMAT], v[CLM_GEMM_AMX_N], v[CLM_GEMM_AMX_K],
                             v[CLM_GEMM_AMX_GROUP], v[CLM_GEMM_AMX_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const size_t k_count = layout.columns, first = (size_t)v[CLM_GEMM_AMX_FIRST];
    const size_t end = first + (size_t)v[CLM_GEMM_AMX_CHUNK], stop = end < k_count ? end : k_count;
    const size_t tokens = (size_t)v[CLM_GEMM_AMX_M], panels = (tokens + 31) / 32;
    const bool last = stop == k_count;
    const uint16_t *x = c->bufs[CLM_GEMM_AMX_X].data;
    const clm_case_buffer *sums = &c->bufs[CLM_GEMM_AMX_SUMS];
    const float *before = sums->data;
    float *y = c->bufs[CLM_GEMM_AMX_Y].expected, *after = sums->expected; /* NULL when `last` */
    double *row = malloc(k_count * sizeof *row);

    if (row == NULL) abort(); /* a test's memory */
    clm_ref_untouched(&c->bufs[CLM_GEMM_AMX_Y]);
    for (size_t n = 0; n < (layout.rows + 31) / 32 * 32; n++) {
        for (size_t k = first; k < stop; k++) {
            const float value = n < layout.rows ? (float)clm_ref_weight_value(&w, n, k) : 0.0f;
            row[k] = (double)clm_ref_bf16_to_float(clm_ref_float_to_bf16(value));
        }
        for (size_t m = 0; m < panels * 32; m++) {
            double sum = first == 0 ? 0.0 : (double)before[sum_at(panels, m, n)];

            for (size_t k = first; k < stop; k++) {
                const uint16_t h = x[clm_ref_act_bf16_at(k_count, m, k, false)];

                sum += row[k] * (double)clm_ref_bf16_to_float(h);
            }
            if (!last)
                after[sum_at(panels, m, n)] = (float)sum;
            else if (m < tokens && n < layout.rows)
                y[m * (size_t)v[CLM_GEMM_AMX_LDY] + (size_t)v[CLM_GEMM_AMX_Y_OFF] + n] = (float)sum;
        }
    }
    free(row);
}
