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

/* What a slot is worth to ids[0 .. n-1], of which it holds `common`. */
typedef enum worth {
    OTHERS,    /* another conversation, that may go on yet */
    BEGINNING, /* another one, or an earlier state of this, that has half of the ids */
    EMPTY,     /* nobody's */
    CONTINUED  /* little or nothing of it is lost */
} worth;

/* Two texts that have nothing in common begin with the same BOS or two; the end of a text may be cut into other tokens
 * when it goes on. */
enum { SAME_BEGINNING = 2, OTHER_END = 8 };

static worth worth_of(const clm_slot *slot, size_t common, size_t n)
{
    const bool goes_on = common > SAME_BEGINNING && common + OTHER_END >= slot->n;
    const bool asks_again = common + 1 >= n && 2 * common >= slot->n;

    if (slot->n == 0) return EMPTY;
    if (goes_on || common == slot->n || asks_again) return CONTINUED;
    return 2 * common >= n ? BEGINNING : OTHERS;
}

/* A free slot, and what decides about it. */
typedef struct offer {
    clm_slot *slot; /* NULL: none */
    worth worth;
    size_t common;
} offer;

static bool is_better(const offer *a, const offer *b)
{
    if (b->slot == NULL || a->worth != b->worth) return b->slot == NULL || a->worth > b->worth;
    if (a->worth != OTHERS && a->common != b->common) return a->common > b->common;
    return a->slot->used < b->slot->used;
}

clm_slot *clm_slots_take(clm_slots *s, const int *ids, size_t n)
{
    offer best = {0};

    for (size_t i = 0; i < s->n; i++) {
        clm_slot *slot = s->list[i];
        const size_t common = slot->busy ? 0 : common_beginning(slot, ids, n);
        const offer here = {slot, worth_of(slot, common, n), common};

        if (!slot->busy && is_better(&here, &best)) best = here;
    }
    if (best.slot == NULL) return NULL;
    best.slot->busy = true;
    best.slot->used = ++s->n_taken;
    clm_slot_keep(best.slot, ids, n);
    return best.slot;
}

void clm_slots_release(clm_slot *slot)
{
    if (slot != NULL) slot->busy = false;
}

void clm_slot_keep(clm_slot *slot, const int *ids, size_t n)
{
    slot->n = common_beginning(slot, ids, n > 0 ? n - 1 : 0);
}

void clm_slots_forget(clm_slots *s)
{
    for (size_t i = 0; i < s->n; i++) s->list[i]->n = 0;
}

clm_status clm_slots_finish(clm_slots *s, clm_err *err)
{
    const clm_status st = clm_transformer_finish(s->model, err);

    if (st != CLM_OK) clm_slots_forget(s);
    return st;
}

clm_status clm_slot_feed(clm_slots *s, clm_slot *slot, const int *ids, size_t n, size_t most,
                         const clm_outputs *want, const atomic_int *stop, clm_err *err)
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
    clm_transformer_watch(s->model, stop);
    st = clm_transformer_run(s->model, slot->seq, ids + at, m, at, &last, err);
    clm_transformer_watch(s->model, NULL);
    if (st != CLM_OK && st != CLM_E_INTERRUPTED) clm_slots_forget(s);
    if (st != CLM_OK) return st;
    memcpy(slot->ids + at, ids + at, m * sizeof *ids);
    slot->n = at + m;
    return CLM_OK;
}
