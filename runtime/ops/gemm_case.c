/* runtime/ops/gemm_case.c: see gemm_case.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/gemm_case.h"

#include <math.h>

#include "runtime/ops/act.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/weight_case.h"

enum { SIZE_LIMIT = 1 << 29 };

bool clm_gemm_case_legal(const int *v, const clm_weight_layout *w, int group)
{
    for (int i = CLM_GEMM_CASE_M; i <= CLM_GEMM_CASE_LDY; i++)
        if (v[i] < 1 || v[i] > SIZE_LIMIT) return false;
    if (v[CLM_GEMM_CASE_Y_OFF] < 0 ||
        v[CLM_GEMM_CASE_Y_OFF] > v[CLM_GEMM_CASE_LDY] - v[CLM_GEMM_CASE_N])
        return false;
    if (w->has_min < CLM_MIN_NONE || w->has_min > CLM_MIN_STEPS || group < 0) return false;
    return clm_weight_for_all(w) && clm_weight_quantised(w->format) && clm_weight_legal(w);
}

clm_status clm_gemm_case_bf16(clm_case *c, const char *op, const clm_weight_layout *w,
                              uint32_t seed, clm_err *err)
{
    const int *v = c->shape.v;
    const size_t panels = clm_op_ceil_div((size_t)v[CLM_GEMM_CASE_M], CLM_ACT_BF16_PANEL);
    const size_t x_count = panels * CLM_ACT_BF16_PANEL * w->columns;
    const size_t y_count = (size_t)v[CLM_GEMM_CASE_M] * (size_t)v[CLM_GEMM_CASE_LDY];
    clm_random r = clm_random_init(seed);
    clm_status st = clm_weight_case_add(c, w, false, 1.0f / sqrtf((float)w->columns), &r, err);
    uint16_t *x;

    if (st != CLM_OK) return st;
    x = clm_case_add(c, "x", CLM_ELEM_BF16, x_count, CLM_CASE_IN);
    if (x == NULL || clm_case_add(c, "y", CLM_ELEM_F32, y_count, CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem(op, err);
    for (size_t i = 0; i < x_count; i++)
        x[i] = clm_ref_float_to_bf16(clm_random_float(&r, -1.0f, 1.0f));
    return CLM_OK;
}
