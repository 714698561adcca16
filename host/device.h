/* host/device.h: OpenCL platforms and devices, and what each can do.
 *
 * Layer    host.
 * Threads  enumeration has no state; a clm_device may be used by one thread at a time.
 *
 * Nothing is decided by a name: every limit is queried, and what no query tells (dot products,
 * half arithmetic on some drivers) is found by building and checking a probe.
 */
#ifndef CLM_HOST_DEVICE_H
#define CLM_HOST_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/dot.h"
#include "host/log.h"
#include "host/mma.h"
#include "host/status.h"

typedef enum clm_device_type { CLM_DEVICE_CPU, CLM_DEVICE_GPU, CLM_DEVICE_OTHER } clm_device_type;

/* What a device reports. Sizes in bytes. Strings are printable UTF-8, cut to fit. */
typedef struct clm_caps {
    char platform_name[128], platform_version[128];
    char name[128], vendor[128], version[128], driver[128], c_version[128];
    uint32_t vendor_id;
    clm_device_type type;
    bool available, compiler, little_endian, full_profile;
    uint32_t cl_major, cl_minor; /* device version, e.g. 1.2, 3.0 */
    uint32_t compute_units, clock_mhz, address_bits;
    uint64_t global_mem, max_alloc, local_mem, constant_mem, global_cache, cacheline;
    bool local_mem_dedicated; /* CL_LOCAL, as opposed to ordinary memory */
    bool unified_memory;      /* host and device share memory */
    size_t max_group_size, max_item_sizes[3];
    uint32_t base_align_bits;
    uint32_t vector_width_float;
    bool fp16, fp64, subgroups, intel_subgroups, integer_dot_product, command_buffer;
    uint32_t intel_matrix_lanes; /* the sub-groups of Intel's matrix functions; 0: it has none */
    /* Found when the device is opened; CLM_DOT_PLAIN, false and CLM_MMA_NONE before. */
    clm_dot dot;
    bool amx;     /* tile instructions in kernels: cl/amx.cl */
    bool amx_cvt; /* and AVX-512 ones for bfloat16: CVT there */
    clm_mma mma;
} clm_caps;

/* One device of a platform, before it is opened. `platform_id` and `device_id` are the driver's
 * handles, meaningful to the host layer only. */
typedef struct clm_device_info {
    size_t index; /* position in the list over all platforms: what `device: 1` means */
    size_t platform_index, device_index;
    void *platform_id, *device_id;
    clm_caps caps;
} clm_device_info;

typedef struct clm_device clm_device; /* opaque: context, in-order queue, caps */

/* Lists all devices of all platforms in the loader's order. `*list` is malloc'd (free it).
 * No platform at all: CLM_E_NODEVICE, and the sentence says what to install. */
clm_status clm_device_list(clm_device_info **list, size_t *count, clm_err *err);

/* Index of the device that `selector` names: "auto", an index, "cpu" or "gpu" (the best of that type), or a
 * part of the device or platform name (case ignored). `reason` (may be NULL) receives why in words, at most 256 bytes.
 * Returns CLM_OK, CLM_E_CONFIG (no such device; the sentence lists those that exist, or says
 * that the name fits several) or CLM_E_NODEVICE (none is usable). */
clm_status clm_device_select(const clm_device_info *list, size_t count, const char *selector,
                             size_t *index, char reason[256], clm_err *err);

/* The device that `selector` names among all: clm_device_list and clm_device_select in one. */
clm_status clm_device_find(const char *selector, clm_device_info *out, clm_err *err);

/* Devices that a model can be spread over beside `first`: usable ones, GPUs before CPUs, each piece of hardware
 * once, by the driver that `auto` prefers. Where a GPU sits is known from the driver (cl_khr_pci_bus_info); of
 * one that does not tell, only the devices of the same platform are known to be others. `out` has room for `count`
 * indices; returns how many there are. */
size_t clm_device_others(const clm_device_info *list, size_t count, size_t first, size_t *out);

/* NULL when the device can run clm, else a sentence why not (no compiler, big-endian...). */
const char *clm_device_unusable(const clm_caps *caps);

/* Memory of a device in bytes. */
typedef struct clm_device_memory {
    uint64_t total; /* as the driver says */
    uint64_t free;  /* not taken by anybody yet; total where nobody knows */
    bool known;     /* somebody knows: AMD's driver, or the operating system of the host's memory */
    bool of_host;   /* it is memory of the host, which other devices may share */
} clm_device_memory;

clm_device_memory clm_device_info_memory(const clm_device_info *info);

/* Creates context and queue. `obs` may be NULL and must outlive the device.
 * Returns CLM_OK, CLM_E_NODEVICE, CLM_E_CL or CLM_E_NOMEM. */
clm_status clm_device_open(const clm_device_info *info, const clm_observer *obs, clm_device **out,
                           clm_err *err);
void clm_device_close(clm_device *dev);

/* Whether programs that are built for `dev` from now on go into the cache of binaries (by default they do,
 * unless CLM_KERNEL_CACHE is 0; what is in the cache is used either way). For those who try many and keep few: asking
 * for a binary makes PoCL compile the kernel a second time, for any size of work-groups. */
void clm_device_keep_programs(clm_device *dev, bool keep);

const clm_caps *clm_device_caps(const clm_device *dev);
clm_device_memory clm_device_memory_now(const clm_device *dev);
const clm_observer *clm_device_observer(const clm_device *dev);

/* Submits what is queued without waiting. */
clm_status clm_device_flush(clm_device *dev, clm_err *err);
/* Waits for everything queued. */
clm_status clm_device_finish(clm_device *dev, clm_err *err);

#endif
