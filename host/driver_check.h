/* host/driver_check.h: why a device may be missing from the list: drivers that do not load, and devices
 * that the user may not open.
 *
 * Layer    host. Linux: folders of the ICD loader (ocl-icd), nodes of DRM and of AMD's KFD.
 * Threads  no state.
 */
#ifndef CLM_HOST_DRIVER_CHECK_H
#define CLM_HOST_DRIVER_CHECK_H

/* One finding in a sentence; `advice` says what to do, NULL: all is well. */
typedef void (*clm_driver_finding_fn)(void *user, const char *text, const char *advice);

/* Loads each driver that the ICD loader is told of ($OCL_ICD_VENDORS, else /etc/OpenCL/vendors), as the
 * loader does, and leaves it loaded. */
void clm_drivers_check(clm_driver_finding_fn fn, void *user);

/* Names the device nodes that are there and cannot be opened for reading and writing. */
void clm_device_nodes_check(clm_driver_finding_fn fn, void *user);

#endif
