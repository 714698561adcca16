/* runtime/slots.c: see runtime/slots.h. */
#include "runtime/slots.h"

#include <stdlib.h>
#include <string.h>

/* A slot for sequence s->n. */
static clm_status add_slot(clm_slots *s, clm_err *err)
{
    const size_t ctx = clm_transformer_ctx(s->model);
    clm_slot **grown = realloc(s->list, (s->n + 1) * sizeof *grown);
    clm_slot *slot = calloc(1, sizeof *slot);
    int *ids = calloc(ctx, sizeof *ids);

    if (grown != NULL) s->list = grown;
    if (grown == NULL || slot == NULL || ids == NULL) {
        free(slot);
        free(ids);
        return clm_fail(err, CLM_E_NOMEM, "a context of %zu tokens: no memory", ctx);
    }
    slot->seq = s->n;
    slot->ids = ids;
    s->list[s->n++] = slot;
    return CLM_OK;
}

static void drop_last(clm_slots *s)
{
    clm_slot *slot = s->list[--s->n];

    free(slot->ids);
    free(slot);
}

clm_status clm_slots_create(clm_slots *s, clm_transformer *model, clm_err *err)
{
    *s = (clm_slots){.model = model};
    return add_slot(s, err);
}

void clm_slots_clear(clm_slots *s)
{
    while (s->n > 0) drop_last(s);
    free(s->list);
    s->list = NULL;
}

clm_status clm_slots_add(clm_slots *s, clm_err *err)
{
    clm_status st = add_slot(s, err);

    if (st != CLM_OK) return st;
    st = clm_transformer_add_sequence(s->model, err);
    if (st != CLM_OK) drop_last(s);
    return st;
}

/* How many of the first `n` ids the slot already holds. */
static size_t common_beginning(const clm_slot *slot, const int *ids, size_t n)
{
    size_t i = 0;

    while (i < slot->n && i < n && slot->ids[i] == ids[i]) i++;
    return i;
}

/* How many of the first `n` ids the slot holds, if they go on with what it holds or ask it again; else 0. */
static size_t gone_on_with(const clm_slot *slot, const int *ids, size_t n)
{
    const size_t common = common_beginning(slot, ids, n);

    return 2 * common >= slot->n || common + 1 >= n ? common : 0;
}

clm_slot *clm_slots_take(clm_slots *s, const int *ids, size_t n)
{
    clm_slot *best = NULL;
    size_t most = 0;

    for (size_t i = 0; i < s->n; i++) {
        clm_slot *slot = s->list[i];
        const size_t common = slot->busy ? 0 : gone_on_with(slot, ids, n);

        if (slot->busy || (best != NULL && common < most)) continue;
        if (best == NULL || common > most || slot->used < best->used) {
            best = slot;
            most = common;
        }
    }
    if (best == NULL) return NULL;
    best->busy = true;
    best->used = ++s->n_taken;
    clm_slot_keep(best, ids, n);
    return best;
}

void clm_slots_release(clm_slot *slot)
{
    if (slot != NULL) slot->busy = false;
}

void clm_slot_keep(clm_slot *slot, const int *ids, size_t n)
{
    slot->n = common_beginning(slot, ids, n > 0 ? n - 1 : 0);
}

clm_status clm_slot_feed(clm_slots *s, clm_slot *slot, const int *ids, size_t n, size_t most,
                         const clm_outputs *want, clm_err *err)
{
    const size_t batch = clm_transformer_batch(s->model), at = slot->n;
    const size_t room = most < batch ? most : batch, m = n - at < room ? n - at : room;
    clm_outputs last = {0};
    clm_status st;

    if (at >= n) return CLM_OK;
    if (at + m == n && want != NULL) {
        last = *want;
        last.from = m - 1;
    }
    st = clm_transformer_run(s->model, slot->seq, ids + at, m, at, &last, err);
    if (st != CLM_OK) return st;
    memcpy(slot->ids + at, ids + at, m * sizeof *ids);
    slot->n = at + m;
    return CLM_OK;
}
