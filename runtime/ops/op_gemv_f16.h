/* runtime/ops/op_gemv_f16.h: descriptor of cl/gemv_f16.cl; sizes and tunables: op_gemv.h.
 *
 * Layer    runtime.
 * Buffers  q, x, y
 */
#ifndef CLM_RUNTIME_OPS_OP_GEMV_F16_H
#define CLM_RUNTIME_OPS_OP_GEMV_F16_H

#include "runtime/ops/op_gemv.h"

extern const clm_op_desc clm_op_gemv_f16;

#endif
