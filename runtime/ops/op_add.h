/* runtime/ops/op_add.h: descriptor of cl/add.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x (in and out), y
 */
#ifndef CLM_RUNTIME_OPS_OP_ADD_H
#define CLM_RUNTIME_OPS_OP_ADD_H

#include "tuning/op_desc.h"

/* shape.v */
enum clm_add_dim { CLM_ADD_COUNT, CLM_ADD_DIMS };

extern const clm_op_desc clm_op_add;

#endif
