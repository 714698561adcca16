/* host/parallel.h: independent pieces of work on all processors.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_PARALLEL_H
#define CLM_HOST_PARALLEL_H

#include <stddef.h>
#include "host/status.h"

/* One piece; called from several threads at once, with an `err` of its own. */
typedef clm_status (*clm_parallel_fn)(void *user, size_t index, clm_err *err);

/* Calls `fn` for the indices 0 .. n-1, started in this order, on the calling thread and as many more as
 * there are processors, and returns when all are done. After a failure no further piece is started,
 * and the first failure is the result. Where no thread can be started the caller does it all. */
clm_status clm_parallel_for(size_t n, clm_parallel_fn fn, void *user, clm_err *err);

#endif
