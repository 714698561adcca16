/* tools/clock.h: the time for measuring.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_CLOCK_H
#define CLM_TOOLS_CLOCK_H

#include <time.h>

/* Seconds of a clock that nobody sets. */
static inline double clm_seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
