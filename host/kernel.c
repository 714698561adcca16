/* host/kernel.c: see host/kernel.h. */
#include "host/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cl_util.h"

struct clm_kernel {
    cl_kernel handle;
    clm_device *dev;
    cl_uint n_args;
    char entry[48]; /* for messages */
};

/* Whether the driver's answer is about the kernel: NVIDIA's (580.159) says 256 of all, those among them that were
 * compiled for 512, and runs them. */
static bool knows_group(const clm_caps *caps)
{
    return strncmp(caps->platform_name, "NVIDIA", strlen("NVIDIA")) != 0;
}

/* Whether the kernel runs in the groups that it was compiled for: with many registers in use a device may take fewer
 * work-items than it does in general. What the driver does not answer is no reason to refuse it. */
static clm_status check_group(const clm_kernel *kernel, clm_err *err)
{
    cl_device_id device = clm__device_id(kernel->dev);
    size_t most = 0, size[3] = {0};

    if (!knows_group(clm_device_caps(kernel->dev))) return CLM_OK;
    if (clGetKernelWorkGroupInfo(kernel->handle, device, CL_KERNEL_WORK_GROUP_SIZE, sizeof most,
                                 &most, NULL) != CL_SUCCESS ||
        clGetKernelWorkGroupInfo(kernel->handle, device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
                                 sizeof size, size, NULL) != CL_SUCCESS)
        return CLM_OK;
    if (most == 0 || size[0] * size[1] * size[2] <= most) return CLM_OK;
    return clm_fail(err, CLM_E_BUILD,
                    "kernel %s: the driver runs it in groups of %zu work-items, not of %zu",
                    kernel->entry, most, size[0] * size[1] * size[2]);
}

clm_status clm_kernel_create(clm_program *prog, const char *entry, clm_kernel **out, clm_err *err)
{
    clm_status st = CLM_OK;
    clm_kernel *kernel = calloc(1, sizeof *kernel);
    cl_int rc;

    *out = NULL;
    if (kernel == NULL) return clm_fail(err, CLM_E_NOMEM, "kernel: no memory");
    kernel->dev = clm__program_device(prog);
    snprintf(kernel->entry, sizeof kernel->entry, "%s", entry);
    kernel->handle = clCreateKernel(clm__program_handle(prog), entry, &rc);
    if (rc != CL_SUCCESS) {
        st = clm__fail_cl(err, "clCreateKernel", rc);
        st = clm_fail_context(err, st, "kernel %s", entry);
        goto out;
    }
    rc = clGetKernelInfo(kernel->handle, CL_KERNEL_NUM_ARGS, sizeof kernel->n_args, &kernel->n_args,
                         NULL);
    if (rc != CL_SUCCESS) {
        st = clm__fail_cl(err, "clGetKernelInfo", rc);
        goto out;
    }
    st = check_group(kernel, err);
    if (st != CLM_OK) goto out;
    *out = kernel;
    kernel = NULL;
out:
    clm_kernel_destroy(kernel);
    return st;
}

void clm_kernel_destroy(clm_kernel *kernel)
{
    if (kernel == NULL) return;
    if (kernel->handle != NULL) clReleaseKernel(kernel->handle);
    free(kernel);
}

static cl_int set_arg(cl_kernel handle, cl_uint i, const clm_arg *arg)
{
    cl_mem mem;
    cl_int i32;

    switch (arg->kind) {
    case CLM_ARG_BUFFER:
        mem = arg->u.buffer != NULL ? clm__buffer_mem(arg->u.buffer) : NULL;
        return clSetKernelArg(handle, i, sizeof mem, &mem);
    case CLM_ARG_I32:
        i32 = arg->u.i32;
        return clSetKernelArg(handle, i, sizeof i32, &i32);
    case CLM_ARG_F32:
        return clSetKernelArg(handle, i, sizeof arg->u.f32, &arg->u.f32);
    }
    return CL_INVALID_ARG_VALUE;
}

clm_status clm_kernel_set_args(clm_kernel *kernel, const clm_arg *args, size_t count, clm_err *err)
{
    if (count != kernel->n_args)
        return clm_fail(err, CLM_E_INTERNAL, "kernel %s takes %u arguments, given %zu",
                        kernel->entry, (unsigned)kernel->n_args, count);
    for (cl_uint i = 0; i < kernel->n_args; i++) {
        cl_int rc = set_arg(kernel->handle, i, &args[i]);
        if (rc != CL_SUCCESS) {
            clm_status st = clm__fail_cl(err, "clSetKernelArg", rc);
            return clm_fail_context(err, st, "kernel %s, argument %u", kernel->entry, (unsigned)i);
        }
    }
    return CLM_OK;
}

/* Drivers say of groups that the kernel does not take no more than of those that the device does not. */
static clm_status fail_group(const clm_kernel *kernel, const clm_range *range, clm_err *err)
{
    size_t asked[3] = {0}, given[3] = {1, 1, 1};

    for (size_t i = 0; i < range->dims; i++) given[i] = range->local[i];
    if (clGetKernelWorkGroupInfo(kernel->handle, clm__device_id(kernel->dev),
                                 CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof asked, asked,
                                 NULL) != CL_SUCCESS ||
        asked[0] == 0 || memcmp(asked, given, sizeof asked) == 0)
        return clm__fail_cl(err, "clEnqueueNDRangeKernel", CL_INVALID_WORK_GROUP_SIZE);
    return clm_fail(err, CLM_E_CL,
                    "its reqd_work_group_size is (%zu, %zu, %zu), and the local size given is "
                    "(%zu, %zu, %zu)",
                    asked[0], asked[1], asked[2], given[0], given[1], given[2]);
}

clm_status clm_kernel_enqueue(clm_kernel *kernel, const clm_range *range, clm_err *err)
{
    size_t global[3];
    clm_status st;
    cl_int rc;

    for (size_t i = 0; i < range->dims; i++) {
        size_t local = range->local[i];
        if (local == 0 || range->global[i] == 0)
            return clm_fail(err, CLM_E_INTERNAL, "kernel %s: empty range", kernel->entry);
        global[i] = (range->global[i] + local - 1) / local * local;
    }
    rc = clEnqueueNDRangeKernel(clm__device_queue(kernel->dev), kernel->handle,
                                (cl_uint)range->dims, NULL, global, range->local, 0, NULL, NULL);
    if (rc == CL_SUCCESS) return CLM_OK;
    st = rc == CL_INVALID_WORK_GROUP_SIZE ? fail_group(kernel, range, err)
                                          : clm__fail_cl(err, "clEnqueueNDRangeKernel", rc);
    return clm_fail_context(err, st, "kernel %s", kernel->entry);
}
