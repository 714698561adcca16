/* host/dot.h: how a device multiplies and adds 8-bit numbers. The values are those of -D DOT in
 * cl/dot.cl.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_DOT_H
#define CLM_HOST_DOT_H

#include <stdbool.h>

typedef enum clm_dot {
    CLM_DOT_PLAIN,
    CLM_DOT_KHR,
    CLM_DOT_AMD,
    CLM_DOT_PTX,
    CLM_DOT_VNNI,
    CLM_DOT_AVX2,
    CLM_DOT_SDOT,
    CLM_DOT_COUNT
} clm_dot;

/* "plain", "khr" ...; "unknown" outside the list. */
const char *clm_dot_name(clm_dot dot);

/* Whether it is a processor's, which multiplies 16 rows at once: the kernels' families for GPUs have no use for it. */
bool clm_dot_of_cpu(clm_dot dot);

#endif
