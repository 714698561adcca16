/* runtime/doctor.c: see runtime/doctor.h. Drivers, the list of devices, the model, and folders; one device
 * is doctor_device.c's. */
#include "runtime/doctor.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/driver_check.h"
#include "host/file.h"
#include "host/utf8.h"
#include "runtime/doctor_impl.h"
#include "runtime/engine.h"

void clm__doctor_say(clm__doctor *d, clm_finding_level level, clm_status st, const char *advice,
                     const char *format, ...)
{
    clm_finding f = {.section = d->section, .level = level};
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* Paths, drivers' texts and the environment are in them. */
    clm_utf8_clean(f.text, sizeof f.text, text, sizeof text);
    snprintf(f.advice, sizeof f.advice, "%s", advice != NULL ? advice : "");
    if (level == CLM_FINDING_FAILURE && d->n_failures++ == 0) d->first = st;
    d->o->found(d->o->user, &f);
}

bool clm__doctor_stopped(const clm__doctor *d)
{
    return d->o->stop != NULL && *d->o->stop;
}

static void enter(clm__doctor *d, const char *section)
{
    snprintf(d->section, sizeof d->section, "%s", section);
}

/* ---- Drivers --------------------------------------------------------------------------------- */

/* clm_driver_listener's: clm runs as long as one driver works. */
static void say_driver(void *user, const char *text, const char *advice)
{
    clm__doctor_say(user, advice != NULL ? CLM_FINDING_WARNING : CLM_FINDING_OK, CLM_OK, advice,
                    "%s", text);
}

/* False: this process had better not look at devices. */
static bool check_drivers(clm__doctor *d)
{
    static char *const lister[] = {(char *)"/proc/self/exe", (char *)"devices", NULL};
    const clm_driver_listener l = {say_driver, d, d->o->stop};
    bool safe;

    enter(d, "OpenCL");
    safe = clm_drivers_check(&l, lister);
    clm_device_nodes_check(&l);
    if (!safe && !clm__doctor_stopped(d))
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_CL,
                        "take the driver named above out of its folder until it is repaired",
                        "looking for devices takes programs down, or does not come back");
    return safe;
}

/* ---- Devices --------------------------------------------------------------------------------- */

static const char *selector_of(const clm_settings *s)
{
    const char *select = clm__device_selector(s);

    return strcmp(select, "ref") == 0 ? "auto" : select;
}

/* The device that would be used; *chosen is `n` when there is none. */
static void check_choice(clm__doctor *d, const clm_device_info *list, size_t n, size_t *chosen)
{
    char reason[256];
    clm_err err;
    const clm_status st = clm_device_select(list, n, selector_of(d->s), chosen, reason, &err);

    if (st != CLM_OK) {
        *chosen = n;
        clm__doctor_say(d, CLM_FINDING_FAILURE, st, NULL, "%s", err.text);
        return;
    }
    clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL, "device %zu would be used, %s: %s", *chosen,
                    list[*chosen].caps.name, reason);
}

static clm_status check_devices(clm__doctor *d, const clm_device_info *list, size_t n,
                                size_t chosen, clm_err *err)
{
    const bool all = strcmp(selector_of(d->s), "auto") == 0;
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        const char *unusable = clm_device_unusable(&list[i].caps);
        char section[300];

        if (!all && i != chosen) continue;
        snprintf(section, sizeof section, "Device %zu: %s (%s)", i, list[i].caps.name,
                 list[i].caps.platform_name);
        enter(d, section);
        if (unusable != NULL)
            clm__doctor_say(d, CLM_FINDING_WARNING, CLM_OK, NULL, "it cannot be used: %s",
                            unusable);
        else
            st = clm__doctor_device(d, &list[i], err);
    }
    return st;
}

/* ---- The model ------------------------------------------------------------------------------- */

/* GB of the weights on the device; about, where the key `weights` has them converted. Fewer bits stay. */
static double weights_need(const clm_model_report *r, clm_weights mode)
{
    static const double bits[] = {
        [CLM_WEIGHTS_F16] = 16.0, [CLM_WEIGHTS_INT8] = 8.5, [CLM_WEIGHTS_INT4] = 4.7};
    const double now = 1e-9 * (double)r->device_weight_bytes;
    double converted;

    if (mode == CLM_WEIGHTS_KEEP) return now;
    converted = 1e-9 * bits[mode] / 8.0 * (double)r->n_params;
    return mode == CLM_WEIGHTS_F16 ? converted : fmin(now, converted);
}

/* GB of keys and values, and scales of int8 ones. */
static double cache_need(const clm_model_report *r, clm_kv_type type, size_t ctx)
{
    const double bytes = type == CLM_KV_F32 ? 4.0 : type == CLM_KV_F16 ? 2.0 : 1.0;
    const double head = bytes * (double)r->head_dim + (type == CLM_KV_INT8 ? 2.0 : 0.0);

    return 1e-9 * 2.0 * head * (double)r->n_layers * (double)r->n_kv_heads * (double)ctx;
}

/* Whether it fits the device, roughly: drivers keep some of the memory for themselves. */
static void check_model(clm__doctor *d, const clm_device_info *device)
{
    clm_model_report *r = NULL;
    clm_err err;
    double need, have;
    size_t ctx;
    const clm_status st = clm_model_report_create(d->s->model, &r, &err);

    enter(d, "Model");
    if (st != CLM_OK) {
        clm__doctor_say(d, CLM_FINDING_FAILURE, st, NULL, "%s", err.text);
        return;
    }
    ctx = clm__engine_ctx(r->ctx_train, d->s->ctx_size);
    need = weights_need(r, d->s->weights) + cache_need(r, d->s->kv_cache_type, ctx);
    have = device != NULL ? 1e-9 * (double)device->caps.global_mem : 0.0;
    if (!r->has_weights)
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_MODEL, NULL,
                        "%s: holds a vocabulary only, no weights", r->path);
    else if (device == NULL)
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL, "%s needs %.2f GB with %zu tokens",
                        r->path, need, ctx);
    else if (need > have)
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_DEVMEM,
                        "fewer bits (--weights int4, --kv-cache-type int8), a smaller context (-c) "
                        "or another device",
                        "%s needs %.2f GB with %zu tokens, and %s has %.2f", r->path, need, ctx,
                        device->caps.name, have);
    else
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL,
                        "%s needs %.2f GB with %zu tokens; %s has %.2f", r->path, need, ctx,
                        device->caps.name, have);
    clm_model_report_destroy(r);
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* `folder` is freed; NULL: there is no place for it. `ending` of what it holds. */
static void check_folder(clm__doctor *d, char *folder, const char *what, const char *ending,
                         const char *variable)
{
    char *probe = folder != NULL ? clm_path_join(folder, ".doctor") : NULL, *name = NULL;
    char advice[128];
    size_t count = 0;
    clm_err err = {"neither HOME nor the variable is set"};

    snprintf(advice, sizeof advice, "set %s to a folder that you may write to", variable);
    if (probe == NULL || clm_dir_create(folder, &err) != CLM_OK ||
        clm_file_replace(probe, "", 0, &err) != CLM_OK) {
        clm__doctor_say(d, CLM_FINDING_WARNING, CLM_OK, advice, "%s cannot be kept: %s", what,
                        err.text);
    } else {
        (void)clm_file_remove(probe, NULL);
        (void)clm_dir_find(folder, ending, &count, &name, NULL);
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL, "%s: %s (%zu)", what, folder, count);
    }
    free(name);
    free(probe);
    free(folder);
}

static void check_folders(clm__doctor *d)
{
    enter(d, "Files");
    check_folder(d, clm_dir_cache("kernels"), "compiled kernels", ".bin", "XDG_CACHE_HOME");
    check_folder(d, clm_dir_cache("models"), "converted models", ".gguf", "XDG_CACHE_HOME");
    check_folder(d, clm_dir_data("tuning"), "tuned values", ".yaml", "XDG_DATA_HOME");
}

/* ---- All of it ------------------------------------------------------------------------------- */

clm_status clm_doctor_run(const clm_settings *s, const clm_doctor_options *o,
                          const clm_observer *obs, clm_err *err)
{
    clm__doctor d = {.s = s, .o = o, .obs = obs};
    clm_device_info *list = NULL;
    size_t n = 0, chosen = 0;
    clm_status st;

    st = check_drivers(&d) ? clm_device_list(&list, &n, err) : CLM_OK;
    if (st == CLM_E_NODEVICE)
        clm__doctor_say(&d, CLM_FINDING_FAILURE, st, NULL, "%s", err->text);
    else if (st != CLM_OK)
        return st;
    else if (n > 0)
        check_choice(&d, list, n, &chosen);
    st = check_devices(&d, list, n, chosen, err);
    if (st == CLM_OK && s->model[0] != '\0') check_model(&d, chosen < n ? &list[chosen] : NULL);
    if (st == CLM_OK) check_folders(&d);
    free(list);
    if (st == CLM_OK && clm__doctor_stopped(&d))
        st = clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
    if (st != CLM_OK || d.n_failures == 0) return st;
    return clm_fail(err, d.first, "%zu failure%s, see above", d.n_failures,
                    d.n_failures == 1 ? "" : "s");
}
