/* runtime/ops/ref_gemv.c: y = x * w^T with w in any format.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/op_gemv.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

static double product_element(const clm_ref_weight *w, const float *x, size_t n)
{
    const size_t group = clm_weight_group(&w->layout);
    double sum = 0.0, factor = 1.0, offset = 0.0;

    for (size_t k = 0; k < w->layout.columns; k++) {
        if (k % group == 0) { /* they hold for a group: looked up once, for speed */
            factor = clm_ref_weight_factor(w, n, k);
            offset = clm_ref_weight_offset(w, n, k);
        }
        sum += (double)x[k] * (factor * clm_ref_weight_level(w, n, k) + offset);
    }
    return sum;
}

void clm_ref_gemv(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout = clm_weight_layout_of(
        v[CLM_GEMV_FORMAT], v[CLM_GEMV_N], v[CLM_GEMV_K], v[CLM_GEMV_GROUP], v[CLM_GEMV_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const size_t ldy = (size_t)v[CLM_GEMV_LDY], off = (size_t)v[CLM_GEMV_Y_OFF];
    const float *x = c->bufs[c->n_bufs - 2].data;
    float *y = c->bufs[c->n_bufs - 1].expected;

    clm_ref_untouched(&c->bufs[c->n_bufs - 1]);
    for (size_t m = 0; m < (size_t)v[CLM_GEMV_M]; m++) {
        for (size_t n = 0; n < layout.rows; n++)
            y[m * ldy + off + n] = (float)product_element(&w, x + m * layout.columns, n);
    }
}
