/* runtime/placement.h: which device gets which layers.
 *
 * Layer    runtime.
 * Threads  no state.
 *
 * A token passes all layers one after the other, so the time it takes is the sum over devices of bytes over
 * speed, and a layer is best where memory is read fastest. So the fastest device is filled first, then the next.
 * Devices that are about as fast as the fastest (80 % of it) share in equal parts instead, which hardly costs a
 * token anything, and prompts gain: the last device works on a batch while the others have the next one.
 * The slowest device in use comes first in the row, since the table of embeddings, which is hardly read, is
 * there; the fastest comes last, with the head.
 */
#ifndef CLM_RUNTIME_PLACEMENT_H
#define CLM_RUNTIME_PLACEMENT_H

#include "runtime/model/footprint.h"

/* A device. */
typedef struct clm_place {
    double gbps;     /* at which it reads its memory, measured */
    uint64_t memory; /* bytes that it may be given */
    bool of_host;    /* from one supply, that of all devices with this */
    double share; /* not 0: of the layers, beside the shares of the others, as somebody wants it */
    size_t n_layers; /* result */
    size_t first;    /* result: the first of them */
    uint64_t bytes;  /* result: what they, the embeddings and the head take */
} clm_place;

/* Sets the results of the `n` places. With shares (all or none of the places have one) memory is not looked at.
 * CLM_E_DEVMEM: the model does not fit, with a sentence that says how much is missing. */
clm_status clm_placement_make(const clm_footprint *f, clm_place *places, size_t n, clm_err *err);

#endif
