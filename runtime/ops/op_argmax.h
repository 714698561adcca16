/* runtime/ops/op_argmax.h: descriptor of cl/argmax.cl and the meaning of its sizes.
 *
 * Layer    runtime.
 * Buffers  x, out
 */
#ifndef CLM_RUNTIME_OPS_OP_ARGMAX_H
#define CLM_RUNTIME_OPS_OP_ARGMAX_H

#include "tuning/op_desc.h"

/* shape.v: x[OFF .. OFF+N-1] is searched, the index (from OFF on) goes to out[OUT_OFF]. */
enum clm_argmax_dim { CLM_ARGMAX_N, CLM_ARGMAX_OFF, CLM_ARGMAX_OUT_OFF, CLM_ARGMAX_DIMS };

extern const clm_op_desc clm_op_argmax;

#endif
