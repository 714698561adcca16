/* runtime/choose.h: which of several words comes next; private to runtime/.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_CHOOSE_H
#define CLM_RUNTIME_CHOOSE_H

#include <stdatomic.h>
#include "runtime/engine.h"

/* As clm_session_choose; *stop not 0: end with CLM_E_INTERRUPTED, also between two layers. */
clm_status clm__choose(clm_engine *e, const atomic_int *stop, const char *text, size_t size,
                       const char *const *choices, size_t n, double *probabilities, clm_choice *out,
                       clm_err *err);

#endif
