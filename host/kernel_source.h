/* host/kernel_source.h: the text of a kernel with what it includes; private to host/.
 *
 * Layer    host.
 * Threads  no state.
 */
#ifndef CLM_HOST_KERNEL_SOURCE_H
#define CLM_HOST_KERNEL_SOURCE_H

#include <stddef.h>
#include "host/status.h"

/* The prelude, then cl/<name>.cl in which each line `#include "x.cl"` is replaced by cl/x.cl (once;
 * later lines for the same file disappear), with #line directives so that build logs and Oclgrind
 * name the right line. `*text` is malloc'd, NUL-terminated.
 * Returns CLM_OK, CLM_E_INTERNAL (no such file, or includes nested too deep) or CLM_E_NOMEM. */
clm_status clm__kernel_source_expand(const char *name, char **text, size_t *size, clm_err *err);

#endif
