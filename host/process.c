/* host/process.c: see host/process.h. Linux: /proc/self. */
#include "host/process.h"

#include <stdio.h>

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
