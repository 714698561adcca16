/* runtime/engine_devices.c: the devices of an engine, and which layers each gets. See runtime/engine.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine.h"
#include "runtime/model/shapes.h"
#include "runtime/placement.h"
#include "tuning/device_limits.h"

/* A device that may get layers. */
typedef struct candidate {
    const clm_device_info *info;
    clm_device_memory memory;
    clm_place place;
} candidate;

/* The search for places. */
typedef struct search {
    const clm_settings *s;
    const clm_observer *obs;
    const clm_footprint *need;
    clm_device_info *list; /* of all devices */
    size_t n_list;
    candidate *found; /* [n_list], in use or not */
    size_t n;
    bool automatic; /* nobody has named a device */
} search;

const char *clm__device_selector(const clm_settings *s)
{
    return s->n_devices > 0 ? s->devices[0].select : "auto";
}

bool clm__on_reference(const clm_settings *s)
{
    return s->backend == CLM_BACKEND_REF ||
           (s->n_devices <= 1 && strcmp(clm__device_selector(s), "ref") == 0);
}

clm_status clm__devices_named(const clm_settings *s, const clm_device_info *list, size_t n,
                              size_t *indices, char (*reasons)[256], clm_err *err)
{
    for (size_t i = 0; i < s->n_devices; i++) {
        const char *select = s->devices[i].select;
        clm_status st;

        if (s->n_devices > 1 && strcmp(select, "ref") == 0)
            return clm_fail(err, CLM_E_CONFIG, "device: 'ref' cannot be one of several devices");
        if ((s->devices[i].share > 0.0) != (s->devices[0].share > 0.0))
            return clm_fail(err, CLM_E_CONFIG,
                            "device: each of several devices has a 'share', or none has");
        st = clm_device_select(list, n, strcmp(select, "ref") == 0 ? "auto" : select, &indices[i],
                               reasons != NULL ? reasons[i] : NULL, err);
        if (st != CLM_OK) return st;
        for (size_t k = 0; k < i; k++)
            if (indices[k] == indices[i])
                return clm_fail(err, CLM_E_CONFIG, "device: '%s' is named twice (%s)", select,
                                list[indices[i]].caps.name);
    }
    return CLM_OK;
}

static double gb(uint64_t bytes)
{
    return 1e-9 * (double)bytes;
}

/* ---- which devices --------------------------------------------------------------------------- */

static void add(search *f, size_t index, double share)
{
    candidate *c = &f->found[f->n++];

    memset(c, 0, sizeof *c);
    c->info = &f->list[index];
    c->memory = clm_device_info_memory(c->info);
    /* Drivers and others keep some of it. */
    c->place.memory = c->memory.free / 10 * 9;
    c->place.of_host = c->memory.of_host;
    c->place.share = share;
}

static bool first_has_room(const search *f)
{
    return clm_footprint_total(f->need) <= f->found[0].place.memory;
}

/* What nobody has chosen is one device, and others only where that has too little memory. */
static clm_status choose_automatically(search *f, clm_err *err)
{
    size_t first, *others;
    clm_status st = clm_device_select(f->list, f->n_list, "auto", &first, NULL, err);

    if (st != CLM_OK) return st;
    f->automatic = true;
    add(f, first, 0.0);
    if (first_has_room(f)) return CLM_OK;
    others = calloc(f->n_list, sizeof *others);
    if (others == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    for (size_t i = 0, n = clm_device_others(f->list, f->n_list, first, others); i < n; i++)
        add(f, others[i], 0.0);
    free(others);
    return CLM_OK;
}

static clm_status choose_named(search *f, clm_err *err)
{
    size_t *indices = calloc(f->s->n_devices, sizeof *indices);
    clm_status st;

    if (indices == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    st = clm__devices_named(f->s, f->list, f->n_list, indices, NULL, err);
    for (size_t i = 0; i < f->s->n_devices && st == CLM_OK; i++)
        add(f, indices[i], f->s->devices[i].share);
    free(indices);
    return st;
}

static clm_status choose(search *f, clm_err *err)
{
    const clm_settings *s = f->s;
    clm_status st = clm_device_list(&f->list, &f->n_list, err);

    if (st != CLM_OK) return st;
    f->found = calloc(f->n_list, sizeof *f->found);
    if (f->found == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    if (s->n_devices == 0 || (s->n_devices == 1 && strcmp(s->devices[0].select, "auto") == 0))
        return choose_automatically(f, err);
    return choose_named(f, err);
}

/* ---- which layers ---------------------------------------------------------------------------- */

static clm_status measure_one(const search *f, candidate *c, clm_err *err)
{
    clm_device *dev = NULL;
    clm_status st = clm_device_open(c->info, f->obs, &dev, err);

    if (st == CLM_OK) st = clm_device_read_measure(dev, &c->place.gbps, err);
    clm_device_close(dev);
    return st != CLM_OK ? clm_fail_context(err, st, "device %zu", c->info->index) : CLM_OK;
}

/* How fast each device reads its memory. One that nobody has named and that does not work is left out. */
static clm_status measure(search *f, clm_err *err)
{
    size_t kept = 0;
    clm_status st = CLM_OK;
    clm_err why = {""};

    for (size_t i = 0; i < f->n; i++) {
        candidate c = f->found[i];

        clm_progress(f->obs, "measuring the devices", i, f->n);
        st = measure_one(f, &c, &why);
        if (st == CLM_OK)
            f->found[kept++] = c;
        else if (f->automatic)
            clm_log(f->obs, CLM_LOG_WARN, "left out: %s", why.text);
        else
            return clm_fail(err, st, "%s", why.text);
    }
    clm_progress(f->obs, "measuring the devices", f->n, f->n);
    f->n = kept;
    return kept > 0 ? CLM_OK : clm_fail(err, st, "%s", why.text);
}

static clm_status place(search *f, clm_err *err)
{
    clm_place *places = calloc(f->n, sizeof *places);
    clm_status st;

    if (places == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    for (size_t i = 0; i < f->n; i++) places[i] = f->found[i].place;
    st = clm_placement_make(f->need, places, f->n, err);
    for (size_t i = 0; i < f->n; i++) f->found[i].place = places[i];
    free(places);
    return st;
}

/* All of the model on the first device, whatever the driver says that there is. */
static void place_alone(search *f)
{
    candidate *c = &f->found[0];

    f->n = 1;
    c->place.n_layers = f->need->n_layers;
    c->place.bytes = clm_footprint_total(f->need);
    if (c->place.bytes > c->place.memory)
        clm_log(f->obs, CLM_LOG_WARN,
                "the model needs about %.2f GB, and %s has %.2f GB for it: it may not fit (fewer "
                "bits: weights: int4, kv_cache_type: int8; a smaller ctx_size; or several devices)",
                gb(c->place.bytes), c->info->caps.name, gb(c->place.memory));
}

static void say_plan(const search *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const candidate *c = &f->found[i];
        const clm_place *p = &c->place;
        char speed[32] = "";

        if (p->gbps > 0.0) snprintf(speed, sizeof speed, ", reads %.0f GB/s", p->gbps);
        if (p->n_layers == 0)
            clm_log(f->obs, CLM_LOG_INFO, "device %zu (%s%s): not needed", c->info->index,
                    c->info->caps.name, speed);
        else
            clm_log(f->obs, CLM_LOG_INFO,
                    "device %zu (%s%s): layers %zu to %zu of %zu%s%s, %.2f GB of %.2f GB",
                    c->info->index, c->info->caps.name, speed, p->first + 1, p->first + p->n_layers,
                    f->need->n_layers, p->first == 0 ? ", embeddings" : "",
                    p->first + p->n_layers == f->need->n_layers ? ", head" : "", gb(p->bytes),
                    gb(p->memory));
    }
}

/* For qsort: in the order of layers. */
static int earlier(const void *x, const void *y)
{
    const candidate *a = x, *b = y;

    return a->place.first < b->place.first ? -1 : a->place.first > b->place.first;
}

/* Where nobody has named several devices and they do not suffice, the first one is tried alone. */
static clm_status decide(search *f, clm_err *err)
{
    clm_err why = {""};
    clm_status st = CLM_OK;

    if (f->n > 1 && f->found[0].place.share <= 0.0) st = measure(f, err);
    if (st != CLM_OK) return st;
    if (f->n == 1) {
        place_alone(f);
        return CLM_OK;
    }
    st = place(f, &why);
    if (st == CLM_E_DEVMEM && f->automatic) {
        place_alone(f);
        return CLM_OK;
    }
    if (st != CLM_OK) return clm_fail(err, st, "%s", why.text);
    say_plan(f);
    return CLM_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static clm_status open_devices(clm_engine *e, search *f, clm_err *err)
{
    clm_status st = CLM_OK;

    e->shares = calloc(f->n, sizeof *e->shares);
    if (e->shares == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    qsort(f->found, f->n, sizeof *f->found, earlier);
    for (size_t i = 0; i < f->n && st == CLM_OK; i++) {
        const clm_cl_options options = {
            .device = f->found[i].info,
            .activations = f->s->activations,
            .kernels = f->s->kernels,
            .tuning = f->s->tuning_mode,
        };
        clm_share *share = &e->shares[e->n_shares];

        if (f->found[i].place.n_layers == 0) continue;
        st = clm_backend_cl_create(&options, f->obs, &share->backend, err);
        if (st != CLM_OK) break;
        share->n_layers = f->found[i].place.n_layers;
        e->n_shares++;
    }
    return st;
}

static clm_status use_reference(clm_engine *e, size_t n_layers, clm_err *err)
{
    clm_status st;

    e->shares = calloc(1, sizeof *e->shares);
    if (e->shares == NULL) return clm_fail(err, CLM_E_NOMEM, "devices: no memory");
    st = clm_backend_ref_create(&e->shares[0].backend, err);
    if (st != CLM_OK) return st;
    e->shares[0].n_layers = n_layers;
    e->n_shares = 1;
    return CLM_OK;
}

clm_status clm__engine_open_devices(clm_engine *e, const clm_settings *s, size_t ctx,
                                    const clm_observer *obs, clm_err *err)
{
    const clm_hparams *hp = clm_model_file_hparams(e->file);
    const clm_kv_shape kv = clm_kv_shape_of(hp, ctx, s->kv_cache_type);
    clm_footprint need = {0};
    search f = {.s = s, .obs = obs, .need = &need};
    clm_status st;

    if (clm__on_reference(s)) return use_reference(e, hp->n_layers, err);
    st = clm_footprint_create(e->file, &kv, s->batch_size, &need, err);
    if (st == CLM_OK) st = choose(&f, err);
    if (st == CLM_OK) st = decide(&f, err);
    if (st == CLM_OK) st = open_devices(e, &f, err);
    free(f.found);
    free(f.list);
    clm_footprint_clear(&need);
    return st;
}
