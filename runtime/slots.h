/* runtime/slots.h: the key-value caches of an engine, one for each answer in progress; private to runtime/.
 *
 * Layer    runtime.
 *
 * A slot remembers the ids whose keys and values it holds, so that the next prompt that begins with them
 * keeps that beginning.
 */
#ifndef CLM_RUNTIME_SLOTS_H
#define CLM_RUNTIME_SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include "runtime/model/transformer.h"

/* One sequence of the transformer. */
typedef struct clm_slot {
    size_t seq;
    int *ids; /* [ctx], of which the cache holds the first n */
    size_t n;
    bool busy;     /* an answer is in progress */
    uint64_t used; /* when it was taken last: a count */
} clm_slot;

typedef struct clm_slots {
    clm_transformer *model;
    clm_slot **list; /* each stays where it is */
    size_t n;
    uint64_t n_taken;
} clm_slots;

/* One slot, for sequence 0. `model` is borrowed. */
clm_status clm_slots_create(clm_slots *s, clm_transformer *model, clm_err *err);
void clm_slots_clear(clm_slots *s);
/* One more; CLM_E_DEVMEM or CLM_E_NOMEM, and nothing has changed, when memory does not suffice. */
clm_status clm_slots_add(clm_slots *s, clm_err *err);

/* A free slot for ids[0 .. n-1]: one whose conversation they go on with; else an empty one, as others may go on yet;
 * else one that holds half of them; else the one unused longest. NULL: none is free. It is busy then, and holds what is
 * common, at most n - 1 ids. */
clm_slot *clm_slots_take(clm_slots *s, const int *ids, size_t n);
void clm_slots_release(clm_slot *slot);
/* Of a slot whose answer goes on from other ids: keeps what is common, at most n - 1. */
void clm_slot_keep(clm_slot *slot, const int *ids, size_t n);

/* All hold nothing: after a failure what was queued may never have been computed, and it shows only when somebody
 * waits. Answers in progress then process their ids again. */
void clm_slots_forget(clm_slots *s);

/* Processes the next of ids[0 .. n-1] that the slot does not hold, at most `most` (and a batch). `want` (may be
 * NULL) is given when that are the last ones. `stop` (may be NULL) not 0 ends it between two layers (CLM_E_INTERRUPTED),
 * and the slot is as before; after any other failure all are forgotten. */
clm_status clm_slot_feed(clm_slots *s, clm_slot *slot, const int *ids, size_t n, size_t most,
                         const clm_outputs *want, const atomic_int *stop, clm_err *err);
/* Waits until what was fed has been computed; on failure all are forgotten. */
clm_status clm_slots_finish(clm_slots *s, clm_err *err);

#endif
