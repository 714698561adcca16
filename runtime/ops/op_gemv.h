/* runtime/ops/op_gemv.h: products of some tokens with a weight matrix, one by one: descriptors of
 * cl/gemv_q4.cl, gemv_q8.cl and gemv_f16.cl.
 *
 *     y[m][Y_OFF + n] = sum_k x[m][k] * w[n][k]      m < M, n < N, k < K
 *
 * Layer    runtime.
 * Threads  no state.
 * Buffers  q, scale, min (1 element when HAS_MIN is 0), x, y; gemv_f16 has q, x, y
 */
#ifndef CLM_RUNTIME_OPS_OP_GEMV_H
#define CLM_RUNTIME_OPS_OP_GEMV_H

#include "runtime/ops/weight_layout.h"
#include "tuning/op_desc.h"

/* shape.v. x has leading dimension K, y LDY (at least Y_OFF + N). FORMAT: clm_weight_format, that of the
 * descriptor's matrices; GROUP: elements per scale, 0 for a whole row; HAS_MIN a clm_min_kind. */
enum clm_gemv_dim {
    CLM_GEMV_M,
    CLM_GEMV_N,
    CLM_GEMV_K,
    CLM_GEMV_LDY,
    CLM_GEMV_Y_OFF,
    CLM_GEMV_FORMAT,
    CLM_GEMV_GROUP,
    CLM_GEMV_HAS_MIN,
    CLM_GEMV_DIMS
};

extern const clm_op_desc clm_op_gemv_q4, clm_op_gemv_q8, clm_op_gemv_f16; /* f16: any float type */

#endif
