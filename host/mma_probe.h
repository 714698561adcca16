/* host/mma_probe.h: whether kernels on a device may use tensor cores (cl/mma.cl); private to host/.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_MMA_PROBE_H
#define CLM_HOST_MMA_PROBE_H

#include "host/device.h"

/* True when the device's compiler takes PTX (caps.dot is CLM_DOT_PTX) and a product of cl/mma.cl has the
 * right result. A compiler that refuses it is no error: GPUs before sm_80 lack the instructions.
 * $CLM_MMA=0: false. */
bool clm__mma_probe(clm_device *dev);

/* Builds and runs cl/mma_probe.cl, in PTX or (`mma` 0) plain, and compares the result. */
bool clm__mma_runs(clm_device *dev, int mma);

#endif
