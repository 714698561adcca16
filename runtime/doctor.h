/* runtime/doctor.h: what works on this machine and what does not: drivers, devices, kernels, folders.
 *
 * Layer    runtime; for tools/cmd_doctor.c.
 * Threads  one thread at a time.
 */
#ifndef CLM_RUNTIME_DOCTOR_H
#define CLM_RUNTIME_DOCTOR_H

#include <signal.h>

#include "runtime/clm.h"

typedef enum clm_finding_level {
    CLM_FINDING_OK,
    CLM_FINDING_NOTE,    /* works, and could be better */
    CLM_FINDING_WARNING, /* something is missing or not as it should be, and clm runs without it */
    CLM_FINDING_FAILURE
} clm_finding_level;

typedef struct clm_finding {
    const char *section; /* "OpenCL", "Device 0: NAME", "Files"; valid during the call */
    clm_finding_level level;
    char text[640];   /* one sentence */
    char advice[320]; /* what to do; "" when there is nothing */
} clm_finding;

typedef struct clm_doctor_options {
    bool all_shapes; /* every test shape of an operator, not one or two */
    /* Set to non-zero from a signal handler: ends soon. May be NULL. */
    const volatile sig_atomic_t *stop;
    void *user;
    void (*found)(void *user, const clm_finding *f); /* in order, each as soon as it is known */
} clm_doctor_options;

/* Looks at drivers and device nodes, at each device that the settings' `device` may mean (all of them with
 * "auto"), at the model of the settings, if any (whether it fits), and at the folders that clm writes to.
 * Kernels run in a child process, with the operators' defaults, and are compared with their C references:
 * a driver that hangs or crashes is a finding. Progress goes to `obs` (may be NULL).
 * Returns CLM_OK when nothing failed (warnings are no failures), CLM_E_SELFTEST (a kernel), CLM_E_NODEVICE,
 * CLM_E_CONFIG (there is no such device), CLM_E_CL (a device does not answer), CLM_E_DEVMEM (the model does
 * not fit), CLM_E_INTERRUPTED, CLM_E_NOMEM or what opening the model gives: the first that was found. */
clm_status clm_doctor_run(const clm_settings *s, const clm_doctor_options *o,
                          const clm_observer *obs, clm_err *err);

#endif
