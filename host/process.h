/* host/process.h: what the operating system says of this process, and of memory.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_PROCESS_H
#define CLM_HOST_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* Most bytes that were resident at once so far; 0 when the system does not say. */
uint64_t clm_process_peak_resident(void);
/* Lets the peak start again from what is resident now, where the system can do that. */
void clm_process_reset_peak(void);

/* Bytes that programs can still take without others being swapped out; 0 when the system does not say. */
uint64_t clm_memory_available(void);

/* Asks for large pages behind memory that is allocated and not yet touched: reading gigabytes spends
 * less time on translating addresses. A hint: nothing changes where the system has none. */
void clm_memory_large_pages(void *data, size_t size);

#endif
