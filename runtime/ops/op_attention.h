/* runtime/ops/op_attention.h: descriptor of cl/attention.cl. Sizes and buffers: attention_case.h.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_OPS_OP_ATTENTION_H
#define CLM_RUNTIME_OPS_OP_ATTENTION_H

#include "runtime/ops/attention_case.h"

extern const clm_op_desc clm_op_attention;

#endif
