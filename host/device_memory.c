/* host/device_memory.c: how much memory a device has left. See host/device.h. */
#include "host/cl_util.h"
#include "host/device.h"
#include "host/process.h"

/* cl_amd_device_attribute_query: kilobytes that are free, and of these the largest block; other drivers refuse
 * the number. */
enum { GLOBAL_FREE_MEMORY_AMD = 0x4039 };

static uint64_t free_of_amd(cl_device_id id)
{
    size_t kib[2] = {0};

    if (clGetDeviceInfo(id, GLOBAL_FREE_MEMORY_AMD, sizeof kib, kib, NULL) != CL_SUCCESS) return 0;
    return (uint64_t)kib[0] * 1024;
}

clm_device_memory clm__memory_of(cl_device_id id, const clm_caps *caps)
{
    clm_device_memory m = {.total = caps->global_mem, .free = caps->global_mem};
    uint64_t says;

    m.of_host = caps->type == CLM_DEVICE_CPU || caps->unified_memory;
    says = m.of_host ? clm_memory_available() : free_of_amd(id);
    m.known = says > 0;
    /* PoCL reports less than it gives: what a CPU device has is what the system has. */
    if (m.known && (says < m.free || caps->type == CLM_DEVICE_CPU)) m.free = says;
    return m;
}

clm_device_memory clm_device_info_memory(const clm_device_info *info)
{
    return clm__memory_of(info->device_id, &info->caps);
}
