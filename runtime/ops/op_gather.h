/* runtime/ops/op_gather.h: descriptor of cl/gather.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, order, y
 */
#ifndef CLM_RUNTIME_OPS_OP_GATHER_H
#define CLM_RUNTIME_OPS_OP_GATHER_H

#include "tuning/op_desc.h"

/* shape.v */
enum clm_gather_dim { CLM_GATHER_M, CLM_GATHER_K, CLM_GATHER_DIMS };

extern const clm_op_desc clm_op_gather;

#endif
