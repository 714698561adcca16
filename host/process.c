/* host/process.c: see host/process.h. Linux: /proc. */
#include "host/process.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* The figure of a line "name: figure kB", in bytes; 0 when there is none. */
static uint64_t figure_of(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    const size_t n = strlen(name);
    unsigned long long kib = 0;
    char line[256];

    if (file == NULL) return 0;
    while (kib == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, n) == 0) sscanf(line + n, ": %llu", &kib);
    fclose(file);
    return (uint64_t)kib * 1024;
}

uint64_t clm_process_peak_resident(void)
{
    return figure_of("/proc/self/status", "VmHWM");
}

uint64_t clm_memory_available(void)
{
    return figure_of("/proc/meminfo", "MemAvailable");
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
