/* runtime/placement.c: see runtime/placement.h. */
#include "runtime/placement.h"

#include <stdlib.h>

/* Devices that read at least so much of what the fastest reads are as fast. */
#define ALIKE 0.8

/* A try to place the model. */
typedef struct attempt {
    const clm_footprint *f;
    clm_place **order; /* the devices in use: those as fast as the fastest, then by speed */
    size_t n;
    size_t n_alike;     /* of all devices, so many are as fast as the fastest */
    uint64_t layer;     /* bytes of the largest layer with its cache */
    uint64_t host_left; /* of the supply that devices in the host's memory have in common */
} attempt;

static uint64_t largest_layer(const clm_footprint *f)
{
    uint64_t largest = 0;

    for (size_t i = 0; i < f->n_layers; i++)
        if (f->layers[i] > largest) largest = f->layers[i];
    return largest + f->cache;
}

/* Takes `bytes` of a device's memory, if they are there. */
static bool take(attempt *a, clm_place *p, uint64_t bytes)
{
    if (bytes > p->memory - p->bytes || (p->of_host && bytes > a->host_left)) return false;
    p->bytes += bytes;
    if (p->of_host) a->host_left -= bytes;
    return true;
}

static bool has_room(const attempt *a, const clm_place *p)
{
    return a->layer <= p->memory - p->bytes && (!p->of_host || a->layer <= a->host_left);
}

/* The device for one more layer: of those as fast as the fastest the one with the fewest, else the fastest that has
 * room; NULL: none has. */
static clm_place *next_place(const attempt *a)
{
    clm_place *best = NULL;

    for (size_t i = 0; i < a->n; i++) {
        clm_place *p = a->order[i];

        if (i >= a->n_alike && best != NULL) break;
        if (has_room(a, p) && (best == NULL || p->n_layers < best->n_layers)) best = p;
    }
    return best;
}

/* The supply of devices in the host's memory: the most that one of them sees. */
static uint64_t host_supply(const attempt *a)
{
    uint64_t most = 0;

    for (size_t i = 0; i < a->n; i++)
        if (a->order[i]->of_host && a->order[i]->memory > most) most = a->order[i]->memory;
    return most;
}

/* One layer more for a device, if it has room. */
static bool give_layer(attempt *a, clm_place *p)
{
    if (p == NULL || !take(a, p, a->layer)) return false;
    p->n_layers++;
    return true;
}

/* Whether the model fits a->order, each end of the row with a layer. */
static bool fits(attempt *a)
{
    const clm_footprint *f = a->f;
    clm_place *fastest = a->order[0], *slowest = a->order[a->n - 1];
    const uint64_t embed = a->n == 1 && f->tied ? 0 : f->embed;
    size_t given = 0;

    a->host_left = host_supply(a);
    for (size_t i = 0; i < a->n; i++) {
        a->order[i]->n_layers = 0;
        a->order[i]->bytes = 0;
        if (!take(a, a->order[i], f->work)) return false;
    }
    if (!take(a, fastest, f->head) || !take(a, slowest, embed)) return false;
    if (a->n > 1 && (!give_layer(a, fastest) || !give_layer(a, slowest))) return false;
    for (given = a->n > 1 ? 2 : 0; given < f->n_layers; given++)
        if (!give_layer(a, next_place(a))) return false;
    return given == f->n_layers;
}

/* Puts the devices first that have room for a layer; how many they are. */
static size_t leave_out_tiny(const attempt *a, clm_place **order, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (order[i]->memory >= a->f->work + a->layer) order[kept++] = order[i];
    return kept;
}

/* For qsort: as they were named. */
static int named_earlier(const void *x, const void *y)
{
    const clm_place *const *a = x, *const *b = y;

    return *a < *b ? -1 : *a > *b;
}

/* How many are as fast as the first; they are put in the order of their names, so that the plan does not hang on
 * a measurement's last digit. */
static size_t group_alike(clm_place **order, size_t n)
{
    size_t alike = n > 0 ? 1 : 0;

    while (alike < n && order[alike]->gbps >= ALIKE * order[0]->gbps) alike++;
    qsort(order, alike, sizeof *order, named_earlier);
    return alike;
}

/* Whether the model fits the first of a->order: all that are alike and then as few others as possible, else fewer. */
static bool place_first(attempt *a, size_t n)
{
    const size_t most = n < a->f->n_layers ? n : a->f->n_layers;

    for (a->n = a->n_alike < most ? a->n_alike : most; a->n <= most; a->n++)
        if (fits(a)) return true;
    for (a->n = a->n_alike < most ? a->n_alike : most; a->n-- > 1;)
        if (fits(a)) return true;
    return false;
}

static clm_status fail_to_place(const clm_footprint *f, const clm_place *places, size_t n,
                                clm_err *err)
{
    uint64_t own = 0, of_host = 0;

    for (size_t i = 0; i < n; i++) {
        if (!places[i].of_host) own += places[i].memory;
        if (places[i].of_host && places[i].memory > of_host) of_host = places[i].memory;
    }
    return clm_fail(
        err, CLM_E_DEVMEM,
        "the model needs about %.2f GB, and the devices have %.2f GB for it: take fewer "
        "bits (weights: int4, kv_cache_type: int8), a smaller ctx_size, or more devices",
        (double)clm_footprint_total(f) * 1e-9, (double)(own + of_host) * 1e-9);
}

/* From the fastest device on, or, where that is too small, from the next one on. *n receives how many of `order` may
 * be in use; they come first. */
static bool place_by_speed(const clm_footprint *f, clm_place **order, size_t *n)
{
    attempt a = {.f = f, .layer = largest_layer(f)};

    *n = leave_out_tiny(&a, order, *n);
    for (size_t from = 0; from < *n; from++) {
        a.order = order + from;
        a.n_alike = group_alike(a.order, *n - from);
        if (place_first(&a, *n - from)) return true;
        for (size_t i = 0; i < *n; i++) order[i]->n_layers = 0;
    }
    return false;
}

static void place_by_share(const clm_footprint *f, clm_place **order, size_t n)
{
    for (size_t i = 0; i < f->n_layers; i++) {
        clm_place *behind = order[0];

        for (size_t k = 1; k < n; k++)
            if ((double)(order[k]->n_layers + 1) * behind->share <
                (double)(behind->n_layers + 1) * order[k]->share)
                behind = order[k];
        behind->n_layers++;
    }
}

/* Layers in a row from the slowest device on, and what each takes in the end. */
static void number_layers(const clm_footprint *f, clm_place **order, size_t n)
{
    size_t at = 0;

    for (size_t i = n; i-- > 0;) {
        clm_place *p = order[i];

        p->first = at;
        p->bytes = p->n_layers > 0 ? f->work : 0;
        for (size_t k = 0; k < p->n_layers; k++) p->bytes += f->layers[at++] + f->cache;
        if (p->n_layers == 0) continue;
        if (at == f->n_layers) p->bytes += f->head;
        if (p->first == 0 && (at < f->n_layers || !f->tied)) p->bytes += f->embed;
    }
}

/* For qsort: the fastest first; of equals, the one that was named first comes later in the row. */
static int faster(const void *x, const void *y)
{
    const clm_place *const *a = x, *const *b = y;

    if ((*a)->gbps != (*b)->gbps) return (*a)->gbps > (*b)->gbps ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

clm_status clm_placement_make(const clm_footprint *f, clm_place *places, size_t n, clm_err *err)
{
    clm_place **order = calloc(n, sizeof *order);
    size_t in_use = n;
    bool placed = true;

    if (order == NULL) return clm_fail(err, CLM_E_NOMEM, "memory plan: no memory");
    for (size_t i = 0; i < n; i++) {
        order[i] = &places[i];
        places[i].n_layers = 0;
        places[i].bytes = 0;
    }
    qsort(order, n, sizeof *order, faster);
    if (places[0].share > 0.0)
        place_by_share(f, order, n);
    else
        placed = place_by_speed(f, order, &in_use);
    if (placed) number_layers(f, order, in_use);
    free(order);
    return placed ? CLM_OK : fail_to_place(f, places, n, err);
}
