/* runtime/ops/op_swiglu.h: descriptor of cl/swiglu.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x (holds gate and up), out
 */
#ifndef CLM_RUNTIME_OPS_OP_SWIGLU_H
#define CLM_RUNTIME_OPS_OP_SWIGLU_H

#include "tuning/op_desc.h"

/* shape.v; LD is the row stride of x, out has rows of FFN. TILED 1: gate and up in turn, 16 columns
 * each, in x. OUT: enum clm_act_out (act.h). */
enum clm_swiglu_dim {
    CLM_SWIGLU_M,
    CLM_SWIGLU_LD,
    CLM_SWIGLU_GATE_OFF,
    CLM_SWIGLU_UP_OFF,
    CLM_SWIGLU_FFN,
    CLM_SWIGLU_TILED,
    CLM_SWIGLU_OUT,
    CLM_SWIGLU_DIMS
};

extern const clm_op_desc clm_op_swiglu;

#endif
