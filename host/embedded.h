/* host/embedded.h: the table that tools/embed.cmake writes; private to host/. */
#ifndef CLM_HOST_EMBEDDED_H
#define CLM_HOST_EMBEDDED_H

#include <stddef.h>

typedef struct clm_embedded {
    const char *name; /* stem of cl/<name>.cl; the table ends with NULL */
    const char *text; /* NUL-terminated */
    size_t size;      /* without the NUL */
} clm_embedded;

extern const clm_embedded clm__embedded_kernels[];

#endif
