/* runtime/devices.c: the report of `clm devices`. See runtime/clm.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/device.h"
#include "runtime/clm.h"

#define COPY(field, from) snprintf(r->field, sizeof r->field, "%s", from)

static void fill_report(clm_device_report *r, const clm_device_info *info)
{
    static const char *const types[] = {"CPU", "GPU", "other"};
    const clm_caps *caps = &info->caps;
    const char *unusable = clm_device_unusable(caps);

    r->index = info->index;
    r->platform_index = info->platform_index;
    COPY(platform, caps->platform_name);
    COPY(platform_version, caps->platform_version);
    COPY(name, caps->name);
    COPY(vendor, caps->vendor);
    COPY(version, caps->version);
    COPY(driver, caps->driver);
    COPY(c_version, caps->c_version);
    COPY(type, types[caps->type]);
    COPY(unusable, unusable != NULL ? unusable : "");
    r->compute_units = caps->compute_units;
    r->clock_mhz = caps->clock_mhz;
    r->global_mem = caps->global_mem;
    r->max_alloc = caps->max_alloc;
    r->local_mem = caps->local_mem;
    r->global_cache = caps->global_cache;
    r->max_group_size = caps->max_group_size;
    r->local_mem_dedicated = caps->local_mem_dedicated;
    r->unified_memory = caps->unified_memory;
    r->fp16 = caps->fp16;
    r->fp64 = caps->fp64;
    r->subgroups = caps->subgroups;
    r->intel_subgroups = caps->intel_subgroups;
    r->integer_dot_product = caps->integer_dot_product;
    r->command_buffer = caps->command_buffer;
}

clm_status clm_devices_report(const char *selector, clm_device_report **list, size_t *count,
                              clm_err *err)
{
    clm_device_info *infos = NULL;
    clm_device_report *reports = NULL;
    char reason[256];
    size_t n = 0, chosen;
    clm_status st = clm_device_list(&infos, &n, err);

    *list = NULL;
    *count = 0;
    if (st != CLM_OK) return st;
    reports = calloc(n, sizeof *reports);
    if (reports == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "devices: no memory");
        goto out;
    }
    for (size_t i = 0; i < n; i++) fill_report(&reports[i], &infos[i]);
    st = clm_device_select(infos, n, selector, &chosen, reason, err);
    if (st == CLM_OK) {
        reports[chosen].chosen = true;
        memcpy(reports[chosen].reason, reason, sizeof reason);
    } else if (st == CLM_E_NODEVICE) {
        st = CLM_OK; /* listed with the reasons, none chosen */
    }
    if (st != CLM_OK) goto out;
    *list = reports;
    *count = n;
    reports = NULL;
out:
    free(reports);
    free(infos);
    return st;
}
