/* runtime/ops/op_act_bf16.h: descriptor of cl/act_bf16.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, z (runtime/ops/act.h)
 */
#ifndef CLM_RUNTIME_OPS_OP_ACT_BF16_H
#define CLM_RUNTIME_OPS_OP_ACT_BF16_H

#include "tuning/op_desc.h"

/* shape.v. LD is the row stride of x, OFF the first column read, SHUFFLED 1: columns in the order of act.h. */
enum clm_act_bf16_dim {
    CLM_ACT_BF16_M,
    CLM_ACT_BF16_K,
    CLM_ACT_BF16_LD,
    CLM_ACT_BF16_OFF,
    CLM_ACT_BF16_SHUFFLED,
    CLM_ACT_BF16_DIMS
};

extern const clm_op_desc clm_op_act_bf16;

#endif
