/* host/cl_util.h: OpenCL errors in words; private to host/.
 *
 * Layer    host; the only header of ours that includes <CL/cl.h>.
 */
#ifndef CLM_HOST_CL_UTIL_H
#define CLM_HOST_CL_UTIL_H

#include <CL/cl.h>
#include "host/buffer.h"
#include "host/device.h"
#include "host/program.h"

/* "CL_OUT_OF_RESOURCES" for -5 ...; "unknown OpenCL error" otherwise. */
const char *clm__cl_error_name(cl_int rc);

/* Fails with the call's name, the code in words and what to do about it, where something is known.
 * Allocation failures become CLM_E_DEVMEM, others CLM_E_CL. */
clm_status clm__fail_cl(clm_err *err, const char *call, cl_int rc);

/* host/device_select.c: whether `auto` takes `a` rather than `b`: a GPU with memory of its own, one that shares the host's,
 * a CPU by PoCL, another, Mesa's; of equal ones that with more memory. */
bool clm__device_is_better(const clm_caps *a, const clm_caps *b);

/* host/device_memory.c */
clm_device_memory clm__memory_of(cl_device_id id, const clm_caps *caps);

cl_context clm__device_context(const clm_device *dev);
cl_command_queue clm__device_queue(const clm_device *dev);
cl_device_id clm__device_id(const clm_device *dev);
bool clm__device_keeps_programs(const clm_device *dev);
cl_mem clm__buffer_mem(const clm_buffer *buf);
cl_program clm__program_handle(const clm_program *prog);
clm_device *clm__program_device(const clm_program *prog);

#endif
