/* host/device_select.c: which devices can be used, and which one a selector means. See host/device.h. */
#include "host/device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/cl_util.h"
#include "host/utf8.h"

const char *clm_device_unusable(const clm_caps *caps)
{
    if (!caps->available) return "the driver says that it is not available";
    if (!caps->compiler) return "its driver has no kernel compiler";
    if (!caps->little_endian) return "it is big-endian";
    if (caps->cl_major < 1 || (caps->cl_major == 1 && caps->cl_minor < 2))
        return "it is older than OpenCL 1.2";
    if (caps->max_group_size < 16) return "its work-groups are smaller than 16";
    return NULL;
}

static bool contains(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

/* What `auto` takes, the best last. Devices with memory of their own stream weights fastest. Of the drivers for the host's
 * processor (docs/performance.md, "Drivers for processors") PoCL alone takes instructions for 8-bit products as
 * assembly, and Mesa's llvmpipe is made for graphics. */
typedef enum device_rank {
    RANK_MESA_CPU,
    RANK_OTHER,
    RANK_POCL_CPU,
    RANK_SHARING_GPU,
    RANK_GPU
} device_rank;

static device_rank rank_of(const clm_caps *caps)
{
    if (caps->type == CLM_DEVICE_GPU) return caps->unified_memory ? RANK_SHARING_GPU : RANK_GPU;
    if (caps->type != CLM_DEVICE_CPU) return RANK_OTHER;
    if (contains(caps->platform_name, "Portable Computing Language")) return RANK_POCL_CPU;
    if (contains(caps->platform_name, "rusticl") || contains(caps->platform_name, "clover"))
        return RANK_MESA_CPU;
    return RANK_OTHER;
}

bool clm__device_is_better(const clm_caps *a, const clm_caps *b)
{
    if (rank_of(a) != rank_of(b)) return rank_of(a) > rank_of(b);
    return a->global_mem > b->global_mem;
}

/* Why `best` is the first choice, in words. */
static const char *why_best(const clm_caps *best)
{
    switch (rank_of(best)) {
    case RANK_GPU:
        return "GPU with memory of its own";
    case RANK_SHARING_GPU:
        return "GPU that shares the host's memory";
    case RANK_POCL_CPU:
        return "no GPU, and the fastest driver for processors";
    default:
        return "no GPU";
    }
}

/* Writes "0: name (platform); 1: ..." for messages. */
static void list_names(const clm_device_info *list, size_t count, char *out, size_t room)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count && used < room; i++) {
        int n = snprintf(out + used, room - used, "%s%zu: %s (%s)", i ? "; " : "", i,
                         list[i].caps.name, list[i].caps.platform_name);
        if (n > 0) used += (size_t)n;
    }
}

/* The best of the usable devices, of one type unless `type` is NULL; returns how many there are. */
static size_t find_best(const clm_device_info *list, size_t count, const clm_device_type *type,
                        size_t *index)
{
    size_t usable = 0;

    for (size_t i = 0; i < count; i++) {
        const clm_caps *caps = &list[i].caps;

        if ((type != NULL && caps->type != *type) || clm_device_unusable(caps) != NULL) continue;
        if (usable++ == 0 || clm__device_is_better(caps, &list[*index].caps)) *index = i;
    }
    return usable;
}

static clm_status select_automatic(const clm_device_info *list, size_t count, size_t *index,
                                   char reason[256], clm_err *err)
{
    const size_t usable = find_best(list, count, NULL, index);

    if (usable == 0) {
        char names[256];
        list_names(list, count, names, sizeof names);
        return clm_fail(err, CLM_E_NODEVICE, "none of the OpenCL devices can be used (%s): %s",
                        count ? clm_device_unusable(&list[0].caps) : "there is none", names);
    }
    if (reason != NULL && usable == 1)
        snprintf(reason, 256, "the only usable device");
    else if (reason != NULL)
        snprintf(reason, 256, "first choice of %zu: %s", usable, why_best(&list[*index].caps));
    return CLM_OK;
}

/* The best of those that are a "cpu" or a "gpu". */
static clm_status select_type(const clm_device_info *list, size_t count, const char *word,
                              size_t *index, char reason[256], clm_err *err)
{
    const clm_device_type type = strcasecmp(word, "gpu") == 0 ? CLM_DEVICE_GPU : CLM_DEVICE_CPU;
    const size_t usable = find_best(list, count, &type, index);

    if (usable == 0) {
        char names[400];
        list_names(list, count, names, sizeof names);
        return clm_fail(err, CLM_E_CONFIG,
                        "device '%s': no usable one is of that type; there are %s", word, names);
    }
    if (reason != NULL)
        snprintf(reason, 256, "first choice of %zu asked for as '%s'", usable, word);
    return CLM_OK;
}

clm_status clm_device_select(const clm_device_info *list, size_t count, const char *selector,
                             size_t *index, char reason[256], clm_err *err)
{
    char names[400], *end;
    size_t found = 0, match = 0;
    unsigned long number;

    *index = 0;
    if (reason != NULL) reason[0] = '\0';
    if (strcmp(selector, "auto") == 0) return select_automatic(list, count, index, reason, err);

    if (strcasecmp(selector, "cpu") == 0 || strcasecmp(selector, "gpu") == 0)
        return select_type(list, count, selector, index, reason, err);

    number = strtoul(selector, &end, 10);
    if (isdigit((unsigned char)selector[0]) && *end == '\0') {
        if (number < count) {
            match = (size_t)number;
            found = 1;
        }
    } else {
        for (size_t i = 0; i < count; i++)
            if (contains(list[i].caps.name, selector) ||
                contains(list[i].caps.platform_name, selector)) {
                if (found++ == 0) match = i;
            }
    }
    list_names(list, count, names, sizeof names);
    if (found == 0)
        return clm_fail(err, CLM_E_CONFIG, "device '%s': there is no such device; there are %s",
                        selector, names);
    if (found > 1)
        return clm_fail(err, CLM_E_CONFIG, "device '%s' fits %zu devices, give an index: %s",
                        selector, found, names);
    if (clm_device_unusable(&list[match].caps) != NULL)
        return clm_fail(err, CLM_E_NODEVICE, "device '%s' (%s) cannot be used: %s", selector,
                        list[match].caps.name, clm_device_unusable(&list[match].caps));
    *index = match;
    if (reason != NULL) {
        char word[200];

        clm_utf8_clean(word, sizeof word, selector, strlen(selector));
        snprintf(reason, 256, "asked for as '%s'", word);
    }
    return CLM_OK;
}

clm_status clm_device_find(const char *selector, clm_device_info *out, clm_err *err)
{
    clm_device_info *list = NULL;
    size_t count, index;
    clm_status st = clm_device_list(&list, &count, err);

    if (st == CLM_OK) st = clm_device_select(list, count, selector, &index, NULL, err);
    if (st == CLM_OK) *out = list[index];
    free(list);
    return st;
}
