/* host/probe.h: runs a small kernel once, to see whether a device has what it uses (dot_probe.c, mma_probe.c,
 * amx_probe.c); private to host/.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_PROBE_H
#define CLM_HOST_PROBE_H

#include "host/buffer.h"
#include "host/kernel.h"
#include "host/program.h"

enum { CLM__PROBE_BUFFERS = 3 };

typedef struct clm__probe_buffer {
    clm_elem elem;
    size_t n;       /* elements; 0 ends the list */
    const void *in; /* NULL: not written */
    void *out;      /* NULL: not read back */
} clm__probe_buffer;

typedef struct clm__probe {
    const char *name; /* of the kernel and of its file */
    const clm_define *defs;
    size_t n_defs;
    clm_range range;
    clm__probe_buffer buffers[CLM__PROBE_BUFFERS]; /* its arguments */
} clm__probe;

/* Whether it was built, ran and was read back. Why not is nobody's concern: what a device lacks may fail anywhere. */
bool clm__probe_runs(clm_device *dev, const clm__probe *probe);

#endif
