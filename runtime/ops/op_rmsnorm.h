/* runtime/ops/op_rmsnorm.h: descriptor of cl/rmsnorm.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, w, y
 */
#ifndef CLM_RUNTIME_OPS_OP_RMSNORM_H
#define CLM_RUNTIME_OPS_OP_RMSNORM_H

#include "tuning/op_desc.h"

/* shape.v; shape.f[0] is epsilon. Row r of y comes from row X_ROW0 + r of x. OUT: enum clm_act_out (act.h). */
enum clm_rmsnorm_dim {
    CLM_RMSNORM_ROWS,
    CLM_RMSNORM_DIM,
    CLM_RMSNORM_X_ROW0,
    CLM_RMSNORM_OUT,
    CLM_RMSNORM_DIMS
};

extern const clm_op_desc clm_op_rmsnorm;

#endif
