/* runtime/ops/gemm_case.h: what the descriptors of gemm_* share: sizes that are legal, and test data in bfloat16.
 *
 * Layer    runtime.
 * Threads  no state besides the caller's generator.
 */
#ifndef CLM_RUNTIME_OPS_GEMM_CASE_H
#define CLM_RUNTIME_OPS_GEMM_CASE_H

#include "runtime/ops/fill.h"
#include "runtime/ops/weight_layout.h"
#include "tuning/op_desc.h"

/* shape.v of all of them begins like this. */
enum { CLM_GEMM_CASE_M, CLM_GEMM_CASE_N, CLM_GEMM_CASE_K, CLM_GEMM_CASE_LDY, CLM_GEMM_CASE_Y_OFF };

/* Whether the sizes above and the layout of the weights, made from the same shape, are ones that the
 * kernels take. `group` is the shape's number, which the layout does not have when it is negative. */
bool clm_gemm_case_legal(const int *v, const clm_weight_layout *w, int group);

/* Adds the weights, activations in bfloat16 panels (act.h) and y, an output. Tokens that fill up the last
 * panel hold numbers too: they must not reach y. `op` names the operator in errors. Returns CLM_OK, CLM_E_NOMEM or CLM_E_INTERNAL. */
clm_status clm_gemm_case_bf16(clm_case *c, const char *op, const clm_weight_layout *w,
                              uint32_t seed, clm_err *err);

#endif
