/* runtime/ops/ref_gemv_f16.c: y = x * w^T with w in F32, F16 or BF16.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/op_gemv_f16.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

void clm_ref_gemv_f16(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout w = {.format = (clm_weight_format)v[CLM_GEMV_FORMAT],
                                 .rows = (size_t)v[CLM_GEMV_N],
                                 .columns = (size_t)v[CLM_GEMV_K]};

    clm_ref_product(c, &w);
}
