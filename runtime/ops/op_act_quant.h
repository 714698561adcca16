/* runtime/ops/op_act_quant.h: descriptor of cl/act_quant.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, gamma, q, d, s (runtime/ops/act.h)
 */
#ifndef CLM_RUNTIME_OPS_OP_ACT_QUANT_H
#define CLM_RUNTIME_OPS_OP_ACT_QUANT_H

#include "tuning/op_desc.h"

/* shape.v; f[0] is epsilon. LD is the row stride of x, OFF the first column read; T tokens a panel. */
enum clm_act_quant_dim {
    CLM_ACT_QUANT_M,
    CLM_ACT_QUANT_K,
    CLM_ACT_QUANT_LD,
    CLM_ACT_QUANT_OFF,
    CLM_ACT_QUANT_T,
    CLM_ACT_QUANT_MODE,
    CLM_ACT_QUANT_DIMS
};

enum clm_act_quant_mode { CLM_ACT_PLAIN, CLM_ACT_RMSNORM, CLM_ACT_SWIGLU };

extern const clm_op_desc clm_op_act_quant;

#endif
