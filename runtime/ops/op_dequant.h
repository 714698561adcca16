/* runtime/ops/op_dequant.h: descriptor of cl/dequant.cl and the meaning of its sizes.
 *
 *     out[r][k] = w[ROW0 + r][k]      r < ROWS
 *
 * Layer    runtime.
 * Buffers  q, scale (1 element without scales), min (1 element without minimums), out
 */
#ifndef CLM_RUNTIME_OPS_OP_DEQUANT_H
#define CLM_RUNTIME_OPS_OP_DEQUANT_H

#include "tuning/op_desc.h"

/* shape.v. ROW0 is a multiple of 16, and the matrix has ROW0 + ROWS rows at least. FORMAT:
 * clm_weight_format; GROUP (0: a whole row) and HAS_MIN count for quantised formats. */
enum clm_dequant_dim {
    CLM_DEQUANT_ROW0,
    CLM_DEQUANT_ROWS,
    CLM_DEQUANT_K,
    CLM_DEQUANT_FORMAT,
    CLM_DEQUANT_GROUP,
    CLM_DEQUANT_HAS_MIN,
    CLM_DEQUANT_DIMS
};

extern const clm_op_desc clm_op_dequant;

#endif
