/* runtime/ops/op_attention_mma.h: descriptor of cl/attention_mma.cl, attention of prompts on tensor cores. Sizes
 * and buffers: attention_case.h.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_OPS_OP_ATTENTION_MMA_H
#define CLM_RUNTIME_OPS_OP_ATTENTION_MMA_H

#include "runtime/ops/attention_case.h"

extern const clm_op_desc clm_op_attention_mma;

/* Whether heads of this size over such caches (enum clm_cache_type) are its business: on NVIDIA's tensor cores,
 * and for tests where there are no matrix units. */
bool clm_attention_mma_takes(const clm_caps *caps, int head_dim, int kv_type);

#endif
