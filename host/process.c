/* host/process.c: see host/process.h. Linux: /proc/self. */
#include "host/process.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

uint64_t clm_process_peak_resident(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    unsigned long long kib = 0;
    char line[256];

    if (status == NULL) return 0;
    while (kib == 0 && fgets(line, sizeof line, status) != NULL) sscanf(line, "VmHWM: %llu", &kib);
    fclose(status);
    return (uint64_t)kib * 1024;
}

void clm_process_reset_peak(void)
{
    FILE *refs = fopen("/proc/self/clear_refs", "w");

    if (refs == NULL) return;
    fputs("5", refs); /* proc(5): resets the peak resident set size */
    fclose(refs);
}

void clm_memory_large_pages(void *data, size_t size)
{
#ifdef MADV_HUGEPAGE
    enum { PAGE = 4096 };
    const uintptr_t first = ((uintptr_t)data + PAGE - 1) / PAGE * PAGE;
    const uintptr_t end = ((uintptr_t)data + size) / PAGE * PAGE;

    if (first < end) madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
    (void)data;
    (void)size;
#endif
}
