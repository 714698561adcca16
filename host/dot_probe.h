/* host/dot_probe.h: finds the way of cl/dot.cl that a device really has; private to host/.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_DOT_PROBE_H
#define CLM_HOST_DOT_PROBE_H

#include "host/device.h"
#include "host/dot.h"

/* Builds and runs cl/dot_probe.cl with the ways in question, best first, until one gives the right
 * integers. What the device lacks fails to build, which is no error. $CLM_DOT names the only way to
 * try (for tools that run kernels without the machine's instructions, such as Oclgrind). */
clm_dot clm__dot_probe(clm_device *dev);

#endif
