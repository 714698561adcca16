/* runtime/placement.c: see runtime/placement.h. */
#include "runtime/placement.h"

#include <stdlib.h>

/* Devices that read at least so much of what the fastest reads are as fast. */
#define ALIKE 0.8

/* A try to place the model. */
typedef struct attempt {
    const clm_footprint *f;
    clm_place **order; /* the devices in use, the fastest first */
    size_t n;
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

/* The device for one more layer: of those as fast as the fastest the one that is behind its share, else the
 * fastest that has room; NULL: none has. */
static clm_place *next_place(const attempt *a)
{
    clm_place *best = NULL;

    for (size_t i = 0; i < a->n; i++) {
        clm_place *p = a->order[i];
        const bool alike = p->gbps >= ALIKE * a->order[0]->gbps;

        if (!has_room(a, p)) continue;
        if (!alike) return best != NULL ? best : p;
        if (best == NULL ||
            (double)(p->n_layers + 1) * best->gbps < (double)(best->n_layers + 1) * p->gbps)
            best = p;
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

/* Puts the devices first that have room for one layer at either end of the row; how many they are. */
static size_t leave_out_tiny(const attempt *a, clm_place **order, size_t n)
{
    const clm_footprint *f = a->f;
    const uint64_t least = f->work + a->layer + (f->head > f->embed ? f->head : f->embed);
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (order[i]->memory >= least) order[kept++] = order[i];
    return kept;
}

/* How many of the fastest devices are to be in use at least. */
static size_t count_alike(clm_place *const *order, size_t n)
{
    size_t alike = 1;

    while (alike < n && order[alike]->gbps >= ALIKE * order[0]->gbps) alike++;
    return alike;
}

/* Fewest devices that the model fits, from the fastest on. *n receives how many of `order` are left. */
static clm_status place_by_speed(const clm_footprint *f, clm_place **order, size_t *n, clm_err *err)
{
    attempt a = {.f = f, .order = order, .layer = largest_layer(f)};
    uint64_t have;

    *n = leave_out_tiny(&a, order, *n);
    a.n = *n > 0 ? count_alike(order, *n) : 1;
    if (a.n > f->n_layers) a.n = f->n_layers;
    for (; a.n <= *n; a.n++)
        if (fits(&a)) return CLM_OK;
    a.n = *n;
    have = host_supply(&a);
    for (size_t i = 0; i < *n; i++) have += order[i]->of_host ? 0 : order[i]->memory;
    return clm_fail(err, CLM_E_DEVMEM,
                    "the model needs about %.1f GB, and the devices have %.1f GB: take fewer bits "
                    "(weights: int4, kv_cache_type: int8), a smaller ctx_size, or more devices",
                    (double)clm_footprint_total(f) * 1e-9, (double)have * 1e-9);
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
    clm_status st = CLM_OK;

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
        st = place_by_speed(f, order, &n, err);
    if (st == CLM_OK) number_layers(f, order, n);
    free(order);
    return st;
}
