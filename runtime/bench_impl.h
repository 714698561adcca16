/* runtime/bench_impl.h: what the parts of the bench share; private to runtime/.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_BENCH_IMPL_H
#define CLM_RUNTIME_BENCH_IMPL_H

#include "host/device.h"
#include "runtime/clm.h"

/* Opens the device of the settings. */
clm_status clm__bench_open_device(const clm_settings *s, const clm_observer *obs, clm_device **out,
                                  clm_err *err);

#endif
