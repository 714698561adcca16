/* runtime/ops/op_attention_combine.h: descriptor of cl/attention_combine.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  part (clm_attention_part_floats()), out, q, d, s: without QUANT_OUT out is written and q, d
 *          and s have one element; with it q, d and s are as in runtime/ops/act.h, one token, and out
 *          has one element.
 */
#ifndef CLM_RUNTIME_OPS_OP_ATTENTION_COMBINE_H
#define CLM_RUNTIME_OPS_OP_ATTENTION_COMBINE_H

#include "tuning/op_desc.h"

enum clm_attention_combine_dim {
    CLM_ATTENTION_COMBINE_N_HEADS,
    CLM_ATTENTION_COMBINE_HEAD_DIM,
    CLM_ATTENTION_COMBINE_SPLITS,
    CLM_ATTENTION_COMBINE_QUANT_OUT, /* 1: HEAD_DIM a multiple of 32 */
    CLM_ATTENTION_COMBINE_DIMS
};

extern const clm_op_desc clm_op_attention_combine;

/* Element `d` of a head (n elements) from its partial results, for the reference and its data. */
double clm_ref_attention_combined(const float *part, size_t splits, size_t n, size_t d);

#endif
