/* runtime/ops/op_gemm_amx.h: products of a quantised weight matrix with bfloat16 activations of many
 * tokens, for processors with tile instructions. Formula: cl/gemm_amx.cl.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_OP_GEMM_AMX_H
#define CLM_RUNTIME_OPS_OP_GEMM_AMX_H

#include "tuning/op_desc.h"

/* shape.v of one launch, which takes the columns FIRST .. FIRST + CHUNK - 1 of K, as far as they exist: sums
 * come from `sums` unless FIRST is 0, and go to y behind the last column, else to `sums`. FORMAT
 * (clm_weight_format: Q4, Q8), GROUP and HAS_MIN as for gemm_*. */
enum clm_gemm_amx_dim {
    CLM_GEMM_AMX_M,
    CLM_GEMM_AMX_N,
    CLM_GEMM_AMX_K,
    CLM_GEMM_AMX_LDY,
    CLM_GEMM_AMX_Y_OFF,
    CLM_GEMM_AMX_FIRST,
    CLM_GEMM_AMX_CHUNK,
    CLM_GEMM_AMX_FORMAT,
    CLM_GEMM_AMX_GROUP,
    CLM_GEMM_AMX_HAS_MIN,
    CLM_GEMM_AMX_DIMS
};

enum clm_gemm_amx_buffer {
    CLM_GEMM_AMX_Q,
    CLM_GEMM_AMX_SCALE,
    CLM_GEMM_AMX_MIN,
    CLM_GEMM_AMX_X,
    CLM_GEMM_AMX_Y,
    CLM_GEMM_AMX_SUMS,
    CLM_GEMM_AMX_BUFFERS
};

/* Columns of a launch that suit a prompt of 512 tokens: their activations (1.3 MB) and one work-item's
 * sums (64 KB) fit the 2 MB of second-level cache that the processors in question have. Wider would
 * leave the cache; narrower reads and writes the sums more often. */
enum { CLM_GEMM_AMX_COLUMNS = 1280 };

/* Floats of `sums` for m tokens by n rows. */
size_t clm_gemm_amx_sums(size_t m, size_t n);

extern const clm_op_desc clm_op_gemm_amx;

#endif
