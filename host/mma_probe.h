/* host/mma_probe.h: which matrix units kernels on a device may use (cl/mma.cl); private to host/.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_MMA_PROBE_H
#define CLM_HOST_MMA_PROBE_H

#include "host/device.h"
#include "host/mma.h"

/* The first one whose product has the right result, of those that the device's compiler may take by caps.dot (PTX,
 * AMD's functions) and its extensions (Intel). A compiler that refuses one is no error: GPUs lack the
 * instructions of others. $CLM_MMA=0: CLM_MMA_NONE. */
clm_mma clm__mma_probe(clm_device *dev);

/* Builds and runs cl/mma_probe.cl for `mma`, its instructions or `plain`, and compares the result. */
bool clm__mma_runs(clm_device *dev, clm_mma mma, bool plain);

#endif
