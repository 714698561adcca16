/* tools/cmd_devices.c: `clm devices`: what OpenCL offers on this machine.
 *
 * Layer    tools.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tools/cli.h"
#include "tools/commands.h"

static void print_features(const clm_device_report *d)
{
    const struct {
        bool present;
        const char *name;
    } all[] = {{d->fp16, "fp16"},
               {d->fp64, "fp64"},
               {d->subgroups, "sub-groups"},
               {d->intel_subgroups, "Intel sub-groups"},
               {d->integer_dot_product, "integer dot product"},
               {d->command_buffer, "command buffers"},
               {d->unified_memory, "memory shared with the host"}};
    size_t n = 0;

    printf("    features     ");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].present) printf("%s%s", n++ > 0 ? ", " : "", all[i].name);
    puts(n > 0 ? "" : "none beyond the standard");
}

static void print_device(const clm_device_report *d)
{
    char memory[32], largest[32], cache[32], local[32];

    clm_cli_format_bytes((double)d->global_mem, memory);
    clm_cli_format_bytes((double)d->max_alloc, largest);
    clm_cli_format_bytes((double)d->global_cache, cache);
    clm_cli_format_bytes((double)d->local_mem, local);
    printf("%s %zu: %s (%s, %s)\n", d->chosen ? "*" : " ", d->index, d->name, d->type, d->vendor);
    printf("    version      %s, driver %s, %s\n", d->version, d->driver, d->c_version);
    printf("    compute      %" PRIu32 " units at %" PRIu32 " MHz, work-groups up to %" PRIu64 "\n",
           d->compute_units, d->clock_mhz, d->max_group_size);
    printf("    memory       %s, largest buffer %s, cache %s, local %s%s\n", memory, largest, cache,
           local, d->local_mem_dedicated ? "" : " (ordinary memory)");
    print_features(d);
    if (d->unusable[0] != '\0') printf("    cannot be used: %s\n", d->unusable);
    if (d->chosen) printf("    would be used: %s\n", d->reason);
}

static void print_text(const clm_device_report *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || list[i].platform_index != list[i - 1].platform_index)
            printf("%sPlatform %zu: %s, %s\n", i > 0 ? "\n" : "", list[i].platform_index,
                   list[i].platform, list[i].platform_version);
        print_device(&list[i]);
    }
}

static json_t *device_json(const clm_device_report *d)
{
    return json_pack(
        "{s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, "
        "s:b, s:b, "
        "s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:s, s:s}",
        "index", (int)d->index, "platform_index", (int)d->platform_index, "platform", d->platform,
        "platform_version", d->platform_version, "name", d->name, "vendor", d->vendor, "type",
        d->type, "version", d->version, "driver", d->driver, "c_version", d->c_version,
        "compute_units", (int)d->compute_units, "clock_mhz", (int)d->clock_mhz, "global_mem",
        (json_int_t)d->global_mem, "max_alloc", (json_int_t)d->max_alloc, "local_mem",
        (json_int_t)d->local_mem, "global_cache", (json_int_t)d->global_cache, "max_group_size",
        (json_int_t)d->max_group_size, "local_mem_dedicated", d->local_mem_dedicated,
        "unified_memory", d->unified_memory, "fp16", d->fp16, "fp64", d->fp64, "subgroups",
        d->subgroups, "intel_subgroups", d->intel_subgroups, "integer_dot_product",
        d->integer_dot_product, "command_buffer", d->command_buffer, "chosen", d->chosen,
        "unusable", d->unusable, "reason", d->reason);
}

static clm_status print_json(const clm_device_report *list, size_t n, clm_err *err)
{
    json_t *all = json_array();
    char *text = NULL;
    size_t done = 0;

    while (done < n && json_array_append_new(all, device_json(&list[done])) == 0) done++;
    if (done == n) text = json_dumps(all, JSON_INDENT(2));
    json_decref(all);
    if (text == NULL)
        return clm_fail(err, CLM_E_INTERNAL, "the devices' texts are not valid UTF-8");
    puts(text);
    free(text);
    return CLM_OK;
}

static clm_status print_devices(const clm_settings *s, bool json, clm_err *err)
{
    clm_device_report *list = NULL;
    size_t n = 0;
    clm_status st = clm_devices_report(s, &list, &n, err);

    if (st != CLM_OK) return st;
    if (json)
        st = print_json(list, n, err);
    else
        print_text(list, n);
    free(list);
    return st;
}

static clm_status run(const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    clm_status st = clm_args_config(args, &config, err);

    if (st != CLM_OK) return st;
    st = print_devices(clm_config_settings(config), clm_args_has(args, "json"), err);
    clm_config_destroy(config);
    return st;
}

const clm_command clm_cmd_devices = {
    .name = "devices",
    .synopsis = "[--json]",
    .summary = "list OpenCL platforms and devices, and say which one would be used",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_DEVICE | CLM_FLAGS_JSON,
    .run = run,
};
