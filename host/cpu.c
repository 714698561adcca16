/* host/cpu.c: see host/cpu.h. */
#include "host/cpu.h"

#include <sched.h>

/* Of a system with at most `most` processors; 0 when it has more. */
static size_t count_among(int most)
{
    const size_t size = CPU_ALLOC_SIZE(most);
    cpu_set_t *set = CPU_ALLOC(most);
    size_t n = 0;

    if (set != NULL && sched_getaffinity(0, size, set) == 0) n = (size_t)CPU_COUNT_S(size, set);
    if (set != NULL) CPU_FREE(set);
    return n;
}

size_t clm_cpu_count(void)
{
    size_t n = 0;

    for (int most = CPU_SETSIZE; n == 0 && most <= 64 * CPU_SETSIZE; most *= 4)
        n = count_among(most);
    return n > 1 ? n : 1;
}
