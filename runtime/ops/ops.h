/* runtime/ops/ops.h: the table of all operators, over which tests, tuner, bench and doctor loop.
 *
 * Layer    runtime.
 * Threads  constant data.
 */
#ifndef CLM_RUNTIME_OPS_OPS_H
#define CLM_RUNTIME_OPS_OPS_H

#include <stddef.h>
#include "tuning/op_desc.h"

/* All descriptors, sorted by name; `*count` receives how many. */
const clm_op_desc *const *clm_ops(size_t *count);

/* CLM_E_USAGE, and the sentence that no operator is called so, with the names of those there are. */
clm_status clm_ops_fail_unknown(const char *name, clm_err *err);

#endif
