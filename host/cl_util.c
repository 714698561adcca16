/* host/cl_util.c: see host/cl_util.h. */
#include "host/cl_util.h"

typedef struct cl_code {
    cl_int code;
    const char *name;
    const char *advice; /* NULL: nothing better to say than the name */
} cl_code;

static const cl_code codes[] = {
    {0, "CL_SUCCESS", NULL},
    {-1, "CL_DEVICE_NOT_FOUND",
     "the driver found no device; is the user in the groups render and video?"},
    {-2, "CL_DEVICE_NOT_AVAILABLE",
     "another program may hold the device, or the driver needs a restart"},
    {-3, "CL_COMPILER_NOT_AVAILABLE", "this driver cannot compile kernels"},
    {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE",
     "not enough device memory: try a smaller --ctx-size or model"},
    {-5, "CL_OUT_OF_RESOURCES", "the device ran out of memory or registers, or a kernel failed"},
    {-6, "CL_OUT_OF_HOST_MEMORY", "the driver ran out of memory, or could not be initialised"},
    {-7, "CL_PROFILING_INFO_NOT_AVAILABLE", NULL},
    {-8, "CL_MEM_COPY_OVERLAP", NULL},
    {-9, "CL_IMAGE_FORMAT_MISMATCH", NULL},
    {-10, "CL_IMAGE_FORMAT_NOT_SUPPORTED", NULL},
    {-11, "CL_BUILD_PROGRAM_FAILURE", NULL},
    {-12, "CL_MAP_FAILURE", NULL},
    {-13, "CL_MISALIGNED_SUB_BUFFER_OFFSET", NULL},
    {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST", "a kernel failed on the device"},
    {-15, "CL_COMPILE_PROGRAM_FAILURE", NULL},
    {-16, "CL_LINKER_NOT_AVAILABLE", NULL},
    {-17, "CL_LINK_PROGRAM_FAILURE", NULL},
    {-18, "CL_DEVICE_PARTITION_FAILED", NULL},
    {-19, "CL_KERNEL_ARG_INFO_NOT_AVAILABLE", NULL},
    {-30, "CL_INVALID_VALUE", NULL},
    {-31, "CL_INVALID_DEVICE_TYPE", NULL},
    {-32, "CL_INVALID_PLATFORM", NULL},
    {-33, "CL_INVALID_DEVICE", NULL},
    {-34, "CL_INVALID_CONTEXT", NULL},
    {-35, "CL_INVALID_QUEUE_PROPERTIES", NULL},
    {-36, "CL_INVALID_COMMAND_QUEUE", NULL},
    {-37, "CL_INVALID_HOST_PTR", NULL},
    {-38, "CL_INVALID_MEM_OBJECT", NULL},
    {-39, "CL_INVALID_IMAGE_FORMAT_DESCRIPTOR", NULL},
    {-40, "CL_INVALID_IMAGE_SIZE", NULL},
    {-41, "CL_INVALID_SAMPLER", NULL},
    {-42, "CL_INVALID_BINARY", NULL},
    {-43, "CL_INVALID_BUILD_OPTIONS", NULL},
    {-44, "CL_INVALID_PROGRAM", NULL},
    {-45, "CL_INVALID_PROGRAM_EXECUTABLE", NULL},
    {-46, "CL_INVALID_KERNEL_NAME", NULL},
    {-47, "CL_INVALID_KERNEL_DEFINITION", NULL},
    {-48, "CL_INVALID_KERNEL", NULL},
    {-49, "CL_INVALID_ARG_INDEX", NULL},
    {-50, "CL_INVALID_ARG_VALUE", NULL},
    {-51, "CL_INVALID_ARG_SIZE", NULL},
    {-52, "CL_INVALID_KERNEL_ARGS", NULL},
    {-53, "CL_INVALID_WORK_DIMENSION", NULL},
    {-54, "CL_INVALID_WORK_GROUP_SIZE", "the work-group does not fit the device"},
    {-55, "CL_INVALID_WORK_ITEM_SIZE", "the work-group does not fit the device"},
    {-56, "CL_INVALID_GLOBAL_OFFSET", NULL},
    {-57, "CL_INVALID_EVENT_WAIT_LIST", NULL},
    {-58, "CL_INVALID_EVENT", NULL},
    {-59, "CL_INVALID_OPERATION", NULL},
    {-60, "CL_INVALID_GL_OBJECT", NULL},
    {-61, "CL_INVALID_BUFFER_SIZE", "the driver refuses a buffer of this size"},
    {-62, "CL_INVALID_MIP_LEVEL", NULL},
    {-63, "CL_INVALID_GLOBAL_WORK_SIZE", NULL},
    {-64, "CL_INVALID_PROPERTY", NULL},
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR", "no OpenCL driver is installed"},
};

static const cl_code *find_code(cl_int rc)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == rc) return &codes[i];
    return NULL;
}

const char *clm__cl_error_name(cl_int rc)
{
    const cl_code *code = find_code(rc);
    return code != NULL ? code->name : "unknown OpenCL error";
}

clm_status clm__fail_cl(clm_err *err, const char *call, cl_int rc)
{
    const cl_code *code = find_code(rc);
    clm_status st = rc == CL_MEM_OBJECT_ALLOCATION_FAILURE || rc == CL_INVALID_BUFFER_SIZE
                        ? CLM_E_DEVMEM
                        : CLM_E_CL;

    if (code == NULL || code->advice == NULL)
        return clm_fail(err, st, "%s: %s (%d)", call, clm__cl_error_name(rc), (int)rc);
    return clm_fail(err, st, "%s: %s (%d): %s", call, code->name, (int)rc, code->advice);
}
