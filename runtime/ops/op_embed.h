/* runtime/ops/op_embed.h: descriptor of cl/embed.cl and the meaning of its sizes.
 *
 *     out[m][k] = w[ids[m]][k]      where ROW0 <= ids[m] < ROW0 + ROWS
 *
 * Layer    runtime.
 * Buffers  q, scale (1 element without scales), min (1 element without minimums), ids, out
 */
#ifndef CLM_RUNTIME_OPS_OP_EMBED_H
#define CLM_RUNTIME_OPS_OP_EMBED_H

#include "tuning/op_desc.h"

/* shape.v. The buffers hold rows ROW0 to ROW0 + ROWS - 1 of the table as a matrix of ROWS rows;
 * other rows of `out` stay as they are. FORMAT: clm_weight_format; GROUP (0: a whole row) and
 * HAS_MIN count for quantised formats. */
enum clm_embed_dim {
    CLM_EMBED_M,
    CLM_EMBED_ROW0,
    CLM_EMBED_ROWS,
    CLM_EMBED_K,
    CLM_EMBED_FORMAT,
    CLM_EMBED_GROUP,
    CLM_EMBED_HAS_MIN,
    CLM_EMBED_DIMS
};

extern const clm_op_desc clm_op_embed;

#endif
