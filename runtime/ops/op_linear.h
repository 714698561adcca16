/* runtime/ops/op_linear.h: products of one token's vector with a weight matrix, fused with the
 * normalisation before them and what follows: the decode plan's workhorse. Formula: cl/linear.cl.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_OP_LINEAR_H
#define CLM_RUNTIME_OPS_OP_LINEAR_H

#include "runtime/ops/weight_layout.h"
#include "tuning/op_desc.h"

/* shape.v. f[0] is epsilon (NORM 1). FORMAT: clm_weight_format, that of the descriptor's matrices;
 * GROUP elements per scale, 0: a whole row. NORM 1: the input lacks the factor of its normalisation,
 * made of N_PART sums of squares. ACT and OUT_ACT: 0 f32, 1 int8 (runtime/ops/act.h). */
enum clm_linear_dim {
    CLM_LINEAR_N,
    CLM_LINEAR_K,
    CLM_LINEAR_ROW0,
    CLM_LINEAR_N_PART,
    CLM_LINEAR_FORMAT,
    CLM_LINEAR_GROUP,
    CLM_LINEAR_HAS_MIN,
    CLM_LINEAR_ACT,
    CLM_LINEAR_OUT_ACT,
    CLM_LINEAR_NORM,
    CLM_LINEAR_EPILOGUE,
    CLM_LINEAR_DIMS
};

/* Outputs that share a sum of squares for the next normalisation. */
enum { CLM_LINEAR_SUM_ROWS = 32 };

enum clm_linear_epilogue { CLM_LINEAR_STORE, CLM_LINEAR_RESIDUAL, CLM_LINEAR_SWIGLU };

/* The buffers in the order of a case and of bind(). */
enum clm_linear_buffer {
    CLM_LINEAR_Q,
    CLM_LINEAR_SCALE,
    CLM_LINEAR_MIN,
    CLM_LINEAR_X,
    CLM_LINEAR_XD,
    CLM_LINEAR_XS,
    CLM_LINEAR_PART,
    CLM_LINEAR_Y,
    CLM_LINEAR_GAMMA,
    CLM_LINEAR_OUT,
    CLM_LINEAR_OUT_D,
    CLM_LINEAR_OUT_S,
    CLM_LINEAR_PART_OUT,
    CLM_LINEAR_BUFFERS
};

extern const clm_op_desc clm_op_linear_q4, clm_op_linear_q8, clm_op_linear_f16;

#endif
