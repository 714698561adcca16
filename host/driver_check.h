/* host/driver_check.h: why a device may be missing from the list: drivers that do not work, and devices that
 * the user may not open.
 *
 * Layer    host. Linux: files of the ICD loader (ocl-icd), nodes of DRM and of AMD's KFD.
 * Threads  no state.
 */
#ifndef CLM_HOST_DRIVER_CHECK_H
#define CLM_HOST_DRIVER_CHECK_H

#include <signal.h>
#include <stdbool.h>

/* Who is told: one finding in a sentence; `advice` says what to do, NULL: all is well. */
typedef struct clm_driver_listener {
    void (*found)(void *user, const char *text, const char *advice);
    void *user;
    const volatile sig_atomic_t *stop; /* may be NULL: non-zero ends the checks */
} clm_driver_listener;

/* Tries each driver that the ICD loader is told of ($OCL_ICD_VENDORS, $OPENCL_VENDOR_PATH, else
 * /etc/OpenCL/vendors): `lister` (a command line that lists devices, and exits with 0 when there are some)
 * runs with this driver alone, in a process that may crash or hang. Then all of them together: false when
 * that does not go well, so that this process must not try. */
bool clm_drivers_check(const clm_driver_listener *l, char *const *lister);

/* Names the device nodes that are there and cannot be opened for reading and writing. */
void clm_device_nodes_check(const clm_driver_listener *l);

#endif
