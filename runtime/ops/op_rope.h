/* runtime/ops/op_rope.h: descriptor of cl/rope.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x (in and out), cs
 */
#ifndef CLM_RUNTIME_OPS_OP_ROPE_H
#define CLM_RUNTIME_OPS_OP_ROPE_H

#include "tuning/op_desc.h"

/* shape.v; LD is the row stride of x, OFF the first head, POS0 the position of row 0. */
enum clm_rope_dim {
    CLM_ROPE_M,
    CLM_ROPE_LD,
    CLM_ROPE_OFF,
    CLM_ROPE_N_HEADS,
    CLM_ROPE_HEAD_DIM,
    CLM_ROPE_ROPE_DIMS, /* even, at most HEAD_DIM */
    CLM_ROPE_POS0,
    CLM_ROPE_DIMS
};

extern const clm_op_desc clm_op_rope;

/* Writes cosine and sine of pos * base^(-2i / rope_dims), computed in double:
 * cs[pos][i][0..1], i < rope_dims / 2, n_pos * rope_dims floats in all. `rope_dims` is even. */
void clm_rope_table(float *cs, size_t n_pos, size_t rope_dims, double base);

#endif
