/* runtime/ops/op_act_quant.h: descriptor of cl/act_quant.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, q, d, s (runtime/ops/act.h)
 */
#ifndef CLM_RUNTIME_OPS_OP_ACT_QUANT_H
#define CLM_RUNTIME_OPS_OP_ACT_QUANT_H

#include "tuning/op_desc.h"

/* shape.v. LD is the row stride of x, OFF the first column read; T tokens a panel. */
enum clm_act_quant_dim {
    CLM_ACT_QUANT_M,
    CLM_ACT_QUANT_K,
    CLM_ACT_QUANT_LD,
    CLM_ACT_QUANT_OFF,
    CLM_ACT_QUANT_T,
    CLM_ACT_QUANT_DIMS
};

extern const clm_op_desc clm_op_act_quant;

#endif
