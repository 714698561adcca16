/* host/cpu.c: see host/cpu.h. */
#include "host/cpu.h"

#include <sched.h>

size_t clm_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n > 1 ? (size_t)n : 1;
}
