/* runtime/ops/weight_case.h: weight matrices for the fill() of gemv_*, embed and dequant.
 *
 * Layer    runtime.
 * Threads  no state besides the caller's generator.
 */
#ifndef CLM_RUNTIME_OPS_WEIGHT_CASE_H
#define CLM_RUNTIME_OPS_WEIGHT_CASE_H

#include "runtime/ops/fill.h"
#include "runtime/ops/weight_layout.h"
#include "tuning/op_desc.h"

/* Adds q, scale and min (q alone when `q_only`) to the case, filled with random weights of up to
 * about `size`, some scales below half precision's normal range, rows of padding zero.
 * Returns CLM_OK, CLM_E_NOMEM or CLM_E_INTERNAL (no legal layout). */
clm_status clm_weight_case_add(clm_case *c, const clm_weight_layout *w, bool q_only, float size,
                               clm_random *r, clm_err *err);

#endif
