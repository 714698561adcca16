/* runtime/model/footprint.h: how much device memory a model takes, layer by layer, before anything is loaded.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_MODEL_FOOTPRINT_H
#define CLM_RUNTIME_MODEL_FOOTPRINT_H

#include "runtime/model/backend.h"

/* In bytes, as the OpenCL backend holds things. */
typedef struct clm_footprint {
    size_t n_layers;
    uint64_t *layers; /* [n_layers] weights of each */
    uint64_t cache;   /* keys and values of a layer of one sequence */
    uint64_t embed;   /* the table of embeddings */
    uint64_t head; /* head and last normalisation; tied: counted where they are on another device */
    uint64_t work; /* activations and what products need, on each device; about */
    bool tied;     /* head and embeddings are one matrix */
} clm_footprint;

/* `mf` has weights; `batch`: as for clm_transformer_create. */
clm_status clm_footprint_create(const clm_model_file *mf, const clm_kv_shape *kv, size_t batch,
                                clm_footprint *out, clm_err *err);
void clm_footprint_clear(clm_footprint *f);

/* Of the whole model on one device: its weights, and everything. */
uint64_t clm_footprint_weights(const clm_footprint *f);
uint64_t clm_footprint_total(const clm_footprint *f);

#endif
