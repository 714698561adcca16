/* host/dot.h: how a device multiplies and adds 8-bit numbers. The values are those of -D DOT in
 * cl/dot.cl.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_DOT_H
#define CLM_HOST_DOT_H

typedef enum clm_dot {
    CLM_DOT_PLAIN,
    CLM_DOT_KHR,
    CLM_DOT_AMD,
    CLM_DOT_PTX,
    CLM_DOT_VNNI,
    CLM_DOT_AVX2,
    CLM_DOT_COUNT
} clm_dot;

/* "plain", "khr" ...; "unknown" outside the list. */
const char *clm_dot_name(clm_dot dot);

#endif
