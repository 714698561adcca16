/* host/device_others.c: which devices are different pieces of hardware. See host/device.h. */
#include <CL/cl_ext.h>
#include <string.h>

#include "host/cl_util.h"

/* cl_khr_pci_bus_info, which Debian 12's headers may not have. */
enum { PCI_BUS_INFO_KHR = 0x410F };

typedef struct bus_info {
    cl_uint domain, bus, device, function;
} bus_info;

static bool query_bus(const clm_device_info *d, bus_info *out)
{
    return clGetDeviceInfo(d->device_id, PCI_BUS_INFO_KHR, sizeof *out, out, NULL) == CL_SUCCESS;
}

/* Whether both are surely different hardware. There is one set of processors. */
static bool differ(const clm_device_info *a, const clm_device_info *b)
{
    bus_info of_a, of_b;

    if (a->caps.type != b->caps.type) return true;
    if (a->caps.type == CLM_DEVICE_CPU) return false;
    if (a->platform_index == b->platform_index) return true;
    return query_bus(a, &of_a) && query_bus(b, &of_b) && memcmp(&of_a, &of_b, sizeof of_a) != 0;
}

/* Whether what may be the same hardware, but is not that of `first`, is to be preferred as another driver shows it. */
static bool has_better_driver(const clm_device_info *list, size_t count, size_t first, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        if (differ(&list[i], &list[at]) || !differ(&list[i], &list[first]) ||
            clm_device_unusable(&list[i].caps) != NULL)
            continue;
        if (clm__device_is_better(&list[i].caps, &list[at].caps)) return true;
    }
    return false;
}

size_t clm_device_others(const clm_device_info *list, size_t count, size_t first, size_t *out)
{
    static const clm_device_type order[] = {CLM_DEVICE_GPU, CLM_DEVICE_OTHER, CLM_DEVICE_CPU};
    size_t n = 0;

    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < count; i++) {
            bool other = i != first && list[i].caps.type == order[k] &&
                         clm_device_unusable(&list[i].caps) == NULL &&
                         differ(&list[i], &list[first]) &&
                         !has_better_driver(list, count, first, i);

            for (size_t j = 0; j < n && other; j++) other = differ(&list[i], &list[out[j]]);
            if (other) out[n++] = i;
        }
    return n;
}
