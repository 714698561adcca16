/* runtime/devices.c: the report of `clm devices`. See runtime/clm.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/device.h"
#include "runtime/engine.h"

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

/* Marks what the selectors choose. Where no device can be used they are listed with the reasons, none chosen. */
static clm_status mark_chosen(const clm_settings *s, const clm_device_info *infos, size_t n,
                              clm_device_report *reports, clm_err *err)
{
    size_t *indices = calloc(s->n_devices + 1, sizeof *indices);
    char(*reasons)[256] = calloc(s->n_devices + 1, sizeof *reasons);
    clm_status st = CLM_E_NOMEM;

    if (indices == NULL || reasons == NULL)
        clm_fail(err, st, "devices: no memory");
    else
        st = clm__devices_named(s, infos, n, indices, reasons, err);
    for (size_t i = 0; i < s->n_devices && st == CLM_OK; i++) {
        reports[indices[i]].chosen = true;
        memcpy(reports[indices[i]].reason, reasons[i], sizeof *reasons);
    }
    free(reasons);
    free(indices);
    return st == CLM_E_NODEVICE ? CLM_OK : st;
}

clm_status clm_devices_report(const clm_settings *s, clm_device_report **list, size_t *count,
                              clm_err *err)
{
    clm_device_info *infos = NULL;
    clm_device_report *reports = NULL;
    size_t n = 0;
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
    st = mark_chosen(s, infos, n, reports, err);
    if (st != CLM_OK) goto out;
    *list = reports;
    *count = n;
    reports = NULL;
out:
    free(reports);
    free(infos);
    return st;
}
