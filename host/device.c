/* host/device.c: an opened device: context and in-order queue. See host/device.h. */
#include "host/device.h"

#include <stdlib.h>

#include "host/amx_probe.h"
#include "host/cl_util.h"
#include "host/dot_probe.h"
#include "host/env.h"
#include "host/gemm.h"
#include "host/mma_probe.h"

struct clm_device {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    clm_caps caps;
    bool keep_programs;
    const clm_observer *observer;
};

clm_status clm_device_open(const clm_device_info *info, const clm_observer *obs, clm_device **out,
                           clm_err *err)
{
    clm_status st = CLM_OK;
    cl_int rc;
    clm_device *dev;
    const char *unusable = clm_device_unusable(&info->caps);
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)info->platform_id, 0};

    *out = NULL;
    if (unusable != NULL)
        return clm_fail(err, CLM_E_NODEVICE, "%s cannot be used: %s", info->caps.name, unusable);
    dev = calloc(1, sizeof *dev);
    if (dev == NULL) return clm_fail(err, CLM_E_NOMEM, "device: no memory");
    clm_gemm_hold();
    dev->id = info->device_id;
    dev->caps = info->caps;
    dev->keep_programs = clm_env_switch("CLM_KERNEL_CACHE", true);
    dev->observer = obs;

    dev->context = clCreateContext(properties, 1, &dev->id, NULL, NULL, &rc);
    if (rc != CL_SUCCESS) {
        st = clm__fail_cl(err, "clCreateContext", rc);
        goto out;
    }
    /* The 1.2 call: every driver has it, and the queue needs no properties. */
    dev->queue = clCreateCommandQueue(dev->context, dev->id, 0, &rc);
    if (rc != CL_SUCCESS) {
        st = clm__fail_cl(err, "clCreateCommandQueue", rc);
        goto out;
    }
    dev->caps.dot = clm__dot_probe(dev);
    dev->caps.amx = clm__amx_probe(dev);
    dev->caps.amx_cvt = clm__amx_cvt_probe(dev);
    dev->caps.mma = clm__mma_probe(dev);
    *out = dev;
    dev = NULL;
out:
    clm_device_close(dev);
    return st;
}

void clm_device_close(clm_device *dev)
{
    if (dev == NULL) return;
    if (dev->queue != NULL) {
        clFinish(dev->queue);
        clReleaseCommandQueue(dev->queue);
    }
    clm_gemm_release();
    if (dev->context != NULL) clReleaseContext(dev->context);
    free(dev);
}

void clm_device_keep_programs(clm_device *dev, bool keep)
{
    dev->keep_programs = keep;
}
bool clm__device_keeps_programs(const clm_device *dev)
{
    return dev->keep_programs;
}

const clm_caps *clm_device_caps(const clm_device *dev)
{
    return &dev->caps;
}
clm_device_memory clm_device_memory_now(const clm_device *dev)
{
    return clm__memory_of(dev->id, &dev->caps);
}
const clm_observer *clm_device_observer(const clm_device *dev)
{
    return dev->observer;
}
cl_context clm__device_context(const clm_device *dev)
{
    return dev->context;
}
cl_command_queue clm__device_queue(const clm_device *dev)
{
    return dev->queue;
}
cl_device_id clm__device_id(const clm_device *dev)
{
    return dev->id;
}

clm_status clm_device_flush(clm_device *dev, clm_err *err)
{
    cl_int rc = clFlush(dev->queue);
    return rc == CL_SUCCESS ? CLM_OK : clm__fail_cl(err, "clFlush", rc);
}

clm_status clm_device_finish(clm_device *dev, clm_err *err)
{
    cl_int rc = clFinish(dev->queue);
    return rc == CL_SUCCESS ? CLM_OK : clm__fail_cl(err, "clFinish", rc);
}
