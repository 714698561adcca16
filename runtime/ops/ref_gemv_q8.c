/* runtime/ops/ref_gemv_q8.c: y = x * w^T with w in 8-bit blocks.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/op_gemv_q8.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

void clm_ref_gemv_q8(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout w = {.format = CLM_FORMAT_Q8,
                                 .rows = (size_t)v[CLM_GEMV_N],
                                 .columns = (size_t)v[CLM_GEMV_K],
                                 .group = (size_t)v[CLM_GEMV_GROUP],
                                 .has_min = v[CLM_GEMV_HAS_MIN]};

    clm_ref_product(c, &w);
}
