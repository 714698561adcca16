/* runtime/doctor_impl.h: what doctor.c and doctor_device.c share.
 *
 * Layer    runtime; for these two.
 */
#ifndef CLM_RUNTIME_DOCTOR_IMPL_H
#define CLM_RUNTIME_DOCTOR_IMPL_H

#include "host/device.h"
#include "runtime/doctor.h"

typedef struct clm__doctor {
    const clm_settings *s;
    const clm_doctor_options *o;
    const clm_observer *obs;
    char section[300];
    clm_status first; /* of the first failure */
    size_t n_failures;
} clm__doctor;

/* Hands on a finding; `advice` may be NULL. A failure's status is kept, if it is the first. */
#if defined(__GNUC__)
__attribute__((format(printf, 5, 6)))
#endif
void clm__doctor_say(clm__doctor *d, clm_finding_level level, clm_status st, const char *advice,
                     const char *format, ...);

/* Whether Ctrl+C was pressed. */
bool clm__doctor_stopped(const clm__doctor *d);

/* Everything about one device. CLM_E_INTERRUPTED, CLM_E_NOMEM, or CLM_OK whatever was found. */
clm_status clm__doctor_device(clm__doctor *d, const clm_device_info *info, clm_err *err);

#endif
