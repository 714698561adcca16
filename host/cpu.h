/* host/cpu.h: how many threads make sense.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_CPU_H
#define CLM_HOST_CPU_H

#include <stddef.h>

/* Processors that this process may use; at least 1. */
size_t clm_cpu_count(void);

#endif
