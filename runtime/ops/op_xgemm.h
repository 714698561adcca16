/* runtime/ops/op_xgemm.h: c = a * b^T in single precision by CLBlast, so that its Xgemm kernel is
 * tuned like every other operator.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_OPS_OP_XGEMM_H
#define CLM_RUNTIME_OPS_OP_XGEMM_H

#include "tuning/op_desc.h"

/* c[m][n] = sum_k a[m][k] * b[n][k]. Buffers: a f32 [M][K], b f32 [N][K], c f32 [M][N]. */
enum { CLM_XGEMM_M, CLM_XGEMM_N, CLM_XGEMM_K, CLM_XGEMM_DIMS };

extern const clm_op_desc clm_op_xgemm;

/* Gives CLBlast `params` for the device, for the rest of the process. */
clm_status clm_xgemm_apply(clm_device *dev, const int *params, clm_err *err);

#endif
