/* host/device_list.c: enumeration of devices, and what they report. See host/device.h. */
#include "host/device.h"

#include <CL/cl_ext.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cl_util.h"
#include "host/utf8.h"

/* ---- queries: a failing query leaves the value at zero --------------------------------------- */

/* Drivers pad names. */
static void trim_end(char *text)
{
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = '\0';
}

/* Texts go to terminals, into JSON and into files: they become printable UTF-8. */
static void device_text(cl_device_id id, cl_device_info what, char *out, size_t room)
{
    char *text;
    size_t size = 0;

    out[0] = '\0';
    if (clGetDeviceInfo(id, what, 0, NULL, &size) != CL_SUCCESS || size == 0) return;
    text = calloc(1, size + 1);
    if (text == NULL) return;
    if (clGetDeviceInfo(id, what, size, text, NULL) == CL_SUCCESS) {
        trim_end(text);
        clm_utf8_clean(out, room, text, size);
        trim_end(out);
    }
    free(text);
}

static void platform_text(cl_platform_id id, cl_platform_info what, char *out, size_t room)
{
    char text[1024] = "";

    if (clGetPlatformInfo(id, what, sizeof text - 1, text, NULL) != CL_SUCCESS) text[0] = '\0';
    clm_utf8_clean(out, room, text, sizeof text);
}

/* Any scalar of 4 or 8 bytes. */
static uint64_t device_number(cl_device_id id, cl_device_info what)
{
    unsigned char raw[16] = {0};
    size_t size = 0;
    uint64_t u64;
    uint32_t u32;

    if (clGetDeviceInfo(id, what, sizeof raw, raw, &size) != CL_SUCCESS) return 0;
    memcpy(&u64, raw, sizeof u64);
    memcpy(&u32, raw, sizeof u32);
    return size == 8 ? u64 : size == 4 ? u32 : 0;
}

/* Whether the space-separated list `all` has the word `name`. */
static bool has_word(const char *all, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = strstr(all, name); p != NULL; p = strstr(p + 1, name))
        if ((p == all || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0')) return true;
    return false;
}

/* Of Intel's devices, which list what sizes they have; 0 when this one does not. */
static uint32_t smallest_sub_group(cl_device_id id)
{
    size_t sizes[16] = {0}, bytes = 0, smallest = 0;

    if (clGetDeviceInfo(id, CL_DEVICE_SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) !=
        CL_SUCCESS)
        return 0;
    for (size_t i = 0; i < bytes / sizeof *sizes; i++)
        if (i == 0 || sizes[i] < smallest) smallest = sizes[i];
    return (uint32_t)smallest;
}

static void query_extensions(cl_device_id id, clm_caps *caps)
{
    size_t size = 0;
    char *all;

    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS || size == 0)
        return;
    all = calloc(1, size + 1);
    if (all == NULL) return;
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, size, all, NULL) == CL_SUCCESS) {
        caps->fp16 = has_word(all, "cl_khr_fp16");
        caps->fp64 = has_word(all, "cl_khr_fp64");
        caps->subgroups = has_word(all, "cl_khr_subgroups");
        caps->intel_subgroups = has_word(all, "cl_intel_subgroups");
        if (has_word(all, "cl_intel_subgroup_matrix_multiply_accumulate"))
            caps->intel_matrix_lanes = smallest_sub_group(id);
        caps->integer_dot_product = has_word(all, "cl_khr_integer_dot_product");
        caps->command_buffer = has_word(all, "cl_khr_command_buffer");
    }
    free(all);
    /* From OpenCL 2.1 on sub-groups are core and need not be listed. */
    if (device_number(id, CL_DEVICE_MAX_NUM_SUB_GROUPS) > 0) caps->subgroups = true;
}

static void query_caps(cl_platform_id platform, cl_device_id id, clm_caps *caps)
{
    cl_device_type type = (cl_device_type)device_number(id, CL_DEVICE_TYPE);
    unsigned major = 0, minor = 0;

    memset(caps, 0, sizeof *caps);
    platform_text(platform, CL_PLATFORM_NAME, caps->platform_name, sizeof caps->platform_name);
    platform_text(platform, CL_PLATFORM_VERSION, caps->platform_version,
                  sizeof caps->platform_version);
    device_text(id, CL_DEVICE_NAME, caps->name, sizeof caps->name);
    device_text(id, CL_DEVICE_VENDOR, caps->vendor, sizeof caps->vendor);
    device_text(id, CL_DEVICE_VERSION, caps->version, sizeof caps->version);
    device_text(id, CL_DRIVER_VERSION, caps->driver, sizeof caps->driver);
    device_text(id, CL_DEVICE_OPENCL_C_VERSION, caps->c_version, sizeof caps->c_version);
    if (sscanf(caps->version, "OpenCL %u.%u", &major, &minor) != 2) major = minor = 0;
    caps->cl_major = major;
    caps->cl_minor = minor;

    caps->vendor_id = (uint32_t)device_number(id, CL_DEVICE_VENDOR_ID);
    caps->type = type & CL_DEVICE_TYPE_CPU   ? CLM_DEVICE_CPU
                 : type & CL_DEVICE_TYPE_GPU ? CLM_DEVICE_GPU
                                             : CLM_DEVICE_OTHER;
    caps->available = device_number(id, CL_DEVICE_AVAILABLE) != 0;
    caps->compiler = device_number(id, CL_DEVICE_COMPILER_AVAILABLE) != 0;
    caps->little_endian = device_number(id, CL_DEVICE_ENDIAN_LITTLE) != 0;
    caps->compute_units = (uint32_t)device_number(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    caps->clock_mhz = (uint32_t)device_number(id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
    caps->address_bits = (uint32_t)device_number(id, CL_DEVICE_ADDRESS_BITS);
    caps->global_mem = device_number(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    caps->max_alloc = device_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    caps->local_mem = device_number(id, CL_DEVICE_LOCAL_MEM_SIZE);
    caps->local_mem_dedicated = device_number(id, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
    caps->constant_mem = device_number(id, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE);
    caps->global_cache = device_number(id, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
    caps->cacheline = device_number(id, CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE);
    caps->unified_memory = device_number(id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
    caps->max_group_size = (size_t)device_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    caps->base_align_bits = (uint32_t)device_number(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN);
    caps->vector_width_float = (uint32_t)device_number(id, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT);
    {
        size_t sizes[16] = {0};
        char profile[64];
        if (clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof sizes, sizes, NULL) ==
            CL_SUCCESS)
            memcpy(caps->max_item_sizes, sizes, sizeof caps->max_item_sizes);
        device_text(id, CL_DEVICE_PROFILE, profile, sizeof profile);
        caps->full_profile = strcmp(profile, "FULL_PROFILE") == 0;
    }
    query_extensions(id, caps);
}

/* ---- list ------------------------------------------------------------------------------------ */

/* Appends the devices of one platform. A platform whose driver fails has none: it is skipped. */
static clm_status append_platform(cl_platform_id platform, size_t platform_index,
                                  clm_device_info **list, size_t *count, clm_err *err)
{
    clm_status st = CLM_OK;
    cl_device_id *ids = NULL;
    clm_device_info *grown;
    cl_uint n = 0;

    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n) != CL_SUCCESS || n == 0)
        return CLM_OK;
    ids = calloc(n, sizeof *ids);
    if (ids == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, n, ids, NULL) != CL_SUCCESS) goto out;
    grown = realloc(*list, (*count + n) * sizeof **list);
    if (grown == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "devices: no memory");
        goto out;
    }
    *list = grown;
    for (cl_uint i = 0; i < n; i++) {
        clm_device_info *info = &grown[*count];
        info->index = *count;
        info->platform_index = platform_index;
        info->device_index = i;
        info->platform_id = platform;
        info->device_id = ids[i];
        query_caps(platform, ids[i], &info->caps);
        (*count)++;
    }
out:
    free(ids);
    return st;
}

clm_status clm_device_list(clm_device_info **list, size_t *count, clm_err *err)
{
    clm_status st = CLM_OK;
    cl_platform_id *platforms = NULL;
    cl_uint n = 0;
    cl_int rc;

    *list = NULL;
    *count = 0;
    rc = clGetPlatformIDs(0, NULL, &n);
    if (rc != CL_SUCCESS || n == 0)
        return clm_fail(
            err, CLM_E_NODEVICE,
            "no OpenCL platform is installed: install a driver for your device (Debian and Ubuntu: "
            "pocl-opencl-icd for any CPU, intel-opencl-icd for Intel GPUs, mesa-opencl-icd or ROCm "
            "for AMD, nvidia-opencl-icd for NVIDIA), or run without one: --backend ref");
    platforms = calloc(n, sizeof *platforms);
    if (platforms == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    rc = clGetPlatformIDs(n, platforms, NULL);
    if (rc != CL_SUCCESS) {
        st = clm__fail_cl(err, "clGetPlatformIDs", rc);
        goto out;
    }
    for (cl_uint i = 0; i < n && st == CLM_OK; i++)
        st = append_platform(platforms[i], i, list, count, err);
    if (st == CLM_OK && *count == 0)
        st = clm_fail(err, CLM_E_NODEVICE,
                      "%u OpenCL platform(s) but no device: the driver found none; check that the "
                      "user is in the "
                      "groups render and video (usermod -aG render,video USER, then log in again)",
                      (unsigned)n);
out:
    if (st != CLM_OK) {
        free(*list);
        *list = NULL;
        *count = 0;
    }
    free(platforms);
    return st;
}
