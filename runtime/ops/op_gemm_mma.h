/* runtime/ops/op_gemm_mma.h: products of a quantised weight matrix with bfloat16 activations of many
 * tokens, for GPUs with tensor cores. Formula: cl/gemm_mma.cl.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_OP_GEMM_MMA_H
#define CLM_RUNTIME_OPS_OP_GEMM_MMA_H

#include "tuning/op_desc.h"

/* shape.v. FORMAT (clm_weight_format: Q4, Q8), GROUP and HAS_MIN as for gemm_*. */
enum clm_gemm_mma_dim {
    CLM_GEMM_MMA_M,
    CLM_GEMM_MMA_N,
    CLM_GEMM_MMA_K,
    CLM_GEMM_MMA_LDY,
    CLM_GEMM_MMA_Y_OFF,
    CLM_GEMM_MMA_FORMAT,
    CLM_GEMM_MMA_GROUP,
    CLM_GEMM_MMA_HAS_MIN,
    CLM_GEMM_MMA_DIMS
};

enum clm_gemm_mma_buffer {
    CLM_GEMM_MMA_Q,
    CLM_GEMM_MMA_SCALE,
    CLM_GEMM_MMA_MIN,
    CLM_GEMM_MMA_X,
    CLM_GEMM_MMA_Y,
    CLM_GEMM_MMA_BUFFERS
};

extern const clm_op_desc clm_op_gemm_mma;

#endif
