/* runtime/ops/op_attention_amx.h: descriptor of cl/attention_amx.cl, attention of prompts by tile instructions.
 * Sizes and buffers: attention_case.h.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_OPS_OP_ATTENTION_AMX_H
#define CLM_RUNTIME_OPS_OP_ATTENTION_AMX_H

#include "runtime/ops/attention_case.h"

extern const clm_op_desc clm_op_attention_amx;

/* Whether heads of this size are its business. */
bool clm_attention_amx_takes(int head_dim);

#endif
