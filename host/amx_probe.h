/* host/amx_probe.h: whether kernels on a device may use the processor's tile instructions (cl/amx.cl);
 * private to host/.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_AMX_PROBE_H
#define CLM_HOST_AMX_PROBE_H

#include "host/device.h"

/* True when the device is a CPU, this machine's processor has AMX-TILE and AMX-BF16, the operating
 * system lets this process use them (it is asked, once) and clm__amx_runs(). $CLM_AMX=0: false. */
bool clm__amx_probe(clm_device *dev);

/* Of a device with AMX: true when the processor has AVX-512F, BW and BF16 as well, as all with AMX had so far, and
 * cl/amx_probe.cl with CVT is right. A driver that compiles for a lesser processor may refuse it. */
bool clm__amx_cvt_probe(clm_device *dev);

/* Builds and runs cl/amx_probe.cl in assembly and compares the result; a driver that refuses the
 * assembly is no error. On a processor without AMX this ends the process, unless someone emulates it. */
bool clm__amx_runs(clm_device *dev);

#endif
