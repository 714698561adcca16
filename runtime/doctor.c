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
#include "runtime/model/shapes.h"

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

/* Whether somebody has named devices. */
static bool named(const clm_settings *s)
{
    const char *select = clm__device_selector(s);

    return s->n_devices > 1 || (strcmp(select, "auto") != 0 && strcmp(select, "ref") != 0);
}

/* Marks the devices that would be used; false: one that is named is not there. */
static bool check_choice(clm__doctor *d, const clm_device_info *list, size_t n, bool *chosen)
{
    size_t *indices = calloc(d->s->n_devices + 1, sizeof *indices);
    char(*reasons)[256] = calloc(d->s->n_devices + 1, sizeof *reasons);
    clm_err err = {"no memory"};
    clm_status st = CLM_E_NOMEM;

    if (indices != NULL && reasons != NULL)
        st = clm__devices_named(d->s, list, n, indices, reasons, &err);
    if (st != CLM_OK) clm__doctor_say(d, CLM_FINDING_FAILURE, st, NULL, "%s", err.text);
    for (size_t i = 0; i < d->s->n_devices && st == CLM_OK; i++) {
        chosen[indices[i]] = true;
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL, "device %zu would be used, %s: %s",
                        indices[i], list[indices[i]].caps.name, reasons[i]);
    }
    free(reasons);
    free(indices);
    return st == CLM_OK;
}

static clm_status check_devices(clm__doctor *d, const clm_device_info *list, size_t n,
                                const bool *chosen, clm_err *err)
{
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        const char *unusable = clm_device_unusable(&list[i].caps);
        char section[300];

        if (named(d->s) && !chosen[i]) continue;
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
    const clm_kv_shape kv = {.n_heads = r->n_heads,
                             .n_kv_heads = r->n_kv_heads,
                             .head_dim = r->head_dim,
                             .ctx = ctx,
                             .type = type};

    return 1e-9 * (double)(r->n_layers * clm_kv_layer_bytes(&kv));
}

/* GB that a model may take of the chosen devices, nine tenths of what is left as for an engine; the host's memory, which
 * several may use, counts once. */
static double memory_left(const clm_device_info *list, size_t n, const bool *chosen)
{
    double own = 0.0, of_host = 0.0;

    for (size_t i = 0; i < n; i++) {
        const clm_device_memory m = clm_device_info_memory(&list[i]);
        const double left = 0.9e-9 * (double)m.free;

        if (chosen[i] && m.of_host) of_host = fmax(of_host, left);
        if (chosen[i] && !m.of_host) own += left;
    }
    return own + of_host;
}

/* Where nobody has named a device and the chosen one has too little, others are chosen beside it. */
static void choose_others(const clm_device_info *list, size_t n, bool *chosen)
{
    size_t first = 0, *others = calloc(n + 1, sizeof *others);

    while (first < n && !chosen[first]) first++;
    if (others != NULL && first < n)
        for (size_t i = 0, count = clm_device_others(list, n, first, others); i < count; i++)
            chosen[others[i]] = true;
    free(others);
}

/* Whether it fits the devices, roughly: drivers keep some of the memory for themselves. */
static void check_memory(clm__doctor *d, const clm_model_report *r, const clm_device_info *list,
                         size_t n, bool *chosen)
{
    const size_t ctx = clm__engine_ctx(r->ctx_train, d->s->ctx_size);
    const double need = weights_need(r, d->s->weights) + cache_need(r, d->s->kv_cache_type, ctx);
    double have = memory_left(list, n, chosen);
    const bool spread = need > have && !named(d->s);

    if (spread) {
        choose_others(list, n, chosen);
        have = memory_left(list, n, chosen);
    }
    if (need > have)
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_DEVMEM,
                        "fewer bits (--weights int4, --kv-cache-type int8), a smaller context (-c) "
                        "or more devices",
                        "%s needs %.2f GB with %zu tokens, and there are %.2f GB for it", r->path,
                        need, ctx, have);
    else
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL,
                        "%s needs %.2f GB with %zu tokens; there are %.2f GB for it%s", r->path,
                        need, ctx, have, spread ? ", on several devices together" : "");
}

static void check_model(clm__doctor *d, const clm_device_info *list, size_t n, bool *chosen)
{
    clm_model_report *r = NULL;
    clm_err err;
    const clm_status st = clm_model_report_create(d->s->model, &r, &err);

    enter(d, "Model");
    if (st != CLM_OK)
        clm__doctor_say(d, CLM_FINDING_FAILURE, st, NULL, "%s", err.text);
    else if (!r->has_weights)
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_MODEL, NULL,
                        "%s: holds a vocabulary only, no weights", r->path);
    else if (n == 0)
        clm__doctor_say(
            d, CLM_FINDING_OK, CLM_OK, NULL, "%s needs %.2f GB", r->path,
            weights_need(r, d->s->weights) +
                cache_need(r, d->s->kv_cache_type, clm__engine_ctx(r->ctx_train, d->s->ctx_size)));
    else
        check_memory(d, r, list, n, chosen);
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
    bool *chosen = NULL, usable = false;
    size_t n = 0;
    clm_status st;

    st = check_drivers(&d) ? clm_device_list(&list, &n, err) : CLM_OK;
    if (st == CLM_E_NODEVICE)
        clm__doctor_say(&d, CLM_FINDING_FAILURE, st, NULL, "%s", err->text);
    else if (st != CLM_OK)
        return st;
    chosen = calloc(n + 1, sizeof *chosen);
    if (chosen == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "doctor: no memory");
        goto out;
    }
    if (n > 0) usable = check_choice(&d, list, n, chosen);
    st = check_devices(&d, list, n, chosen, err);
    if (st == CLM_OK && s->model[0] != '\0') check_model(&d, list, usable ? n : 0, chosen);
    if (st == CLM_OK) check_folders(&d);
out:
    free(chosen);
    free(list);
    if (st == CLM_OK && clm__doctor_stopped(&d))
        st = clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
    if (st != CLM_OK || d.n_failures == 0) return st;
    return clm_fail(err, d.first, "%zu failure%s, see above", d.n_failures,
                    d.n_failures == 1 ? "" : "s");
}
