/* runtime/ops/act_out.h: what descriptors of operators in front of products share: their result is rows of
 * floats or bfloat16 in panels, `out` (enum clm_act_out, runtime/ops/act.h).
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_ACT_OUT_H
#define CLM_RUNTIME_OPS_ACT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include "runtime/ops/act.h"
#include "tuning/op_desc.h"

clm_elem clm_act_out_elem(int out);
/* Rows that are written of m: those that fill up the last panel too. */
size_t clm_act_out_rows(size_t m, int out);
/* Whether there is such a result with rows of `columns`, and a kernel of items that write `width` columns each. */
bool clm_act_out_fits(int out, int columns, int width);
/* Adds the result of m rows to a case. Rounded numbers get a bound of their own: a value near the middle of two
 * steps may go either way. NULL: no memory. */
void *clm_act_out_add(clm_case *c, const char *name, size_t m, size_t columns, int out);

#endif
