/* runtime/ops/op_gemv_q4.h: descriptor of cl/gemv_q4.cl; sizes and tunables: op_gemv.h.
 *
 * Layer    runtime.
 * Buffers  q, scale, min (1 element when HAS_MIN is 0), x, y
 */
#ifndef CLM_RUNTIME_OPS_OP_GEMV_Q4_H
#define CLM_RUNTIME_OPS_OP_GEMV_Q4_H

#include "runtime/ops/op_gemv.h"

extern const clm_op_desc clm_op_gemv_q4;

#endif
