/* runtime/model/transformer.h: the decoder: layers in order, over one backend or several.
 *
 * Layer    runtime.
 * Source   Baichuan-13B's modeling code and the LLaMA papers: pre-norm RMSNorm, attention with ALiBi
 *          or rotary positions, SwiGLU.
 * Threads  one thread at a time.
 */
#ifndef CLM_RUNTIME_MODEL_TRANSFORMER_H
#define CLM_RUNTIME_MODEL_TRANSFORMER_H

#include <stdatomic.h>
#include "runtime/model/backend.h"

typedef struct clm_transformer clm_transformer;

/* How many layers a backend gets. */
typedef struct clm_share {
    clm_backend *backend;
    size_t n_layers;
} clm_share;

/* Loads the weights of `mf` into the `n` backends of `shares`, which get its layers in this order, and all of them
 * together. Backends and file are borrowed and must outlive the transformer.
 *   ctx    positions in the cache;  batch  largest number of tokens per run */
clm_status clm_transformer_create(const clm_share *shares, size_t n, const clm_model_file *mf,
                                  size_t ctx, size_t batch, clm_kv_type kv, const clm_observer *obs,
                                  clm_transformer **out, clm_err *err);
void clm_transformer_destroy(clm_transformer *t);

/* What a run is to give back. */
typedef struct clm_outputs {
    size_t from;   /* logits of rows from .. n-1 are wanted */
    float *logits; /* [n - from][vocab], or NULL: none */
    int *best;     /* arg max of the last row, or NULL: not wanted */
} clm_outputs;

/* Makes the cache of one more sequence; sequence 0 is there from the beginning. On failure (memory)
 * everything is as before. */
clm_status clm_transformer_add_sequence(clm_transformer *t, clm_err *err);

/* Processes `n` tokens (1 .. batch) of sequence `seq` at positions pos0 .. pos0 + n - 1 (< ctx). Positions
 * before pos0 must have been processed; later ones are forgotten. `want` may be NULL: only fill the cache. */
clm_status clm_transformer_run(clm_transformer *t, size_t seq, const int *ids, size_t n,
                               size_t pos0, const clm_outputs *want, clm_err *err);

/* From now on clm_transformer_run looks at *stop between layers of a batch that takes long, and ends with
 * CLM_E_INTERRUPTED when it is not 0: the batch counts as not processed then. NULL: never. */
void clm_transformer_watch(clm_transformer *t, const atomic_int *stop);

/* Processes one token of each of `n` different sequences (at most CLM_LOGIT_ROWS, and batch) as
 * clm_transformer_run does: weights are read once for all. `logits` is [n][vocab]. */
clm_status clm_transformer_run_rows(clm_transformer *t, const clm_row *rows, size_t n,
                                    float *logits, clm_err *err);

/* Rows of logits that are computed at a time, which bounds their memory: 8 MB for 64,000 words;
 * as many as float products by CLBlast need (cl_matmul.c). */
enum { CLM_LOGIT_ROWS = 32 };

/* Logits of rows row0 .. row0 + n - 1 of the last run (n at most CLM_LOGIT_ROWS), for those who want
 * many without room for all: `logits` is [n][vocab]. */
clm_status clm_transformer_logits(clm_transformer *t, size_t row0, size_t n, float *logits,
                                  clm_err *err);

/* Waits for all devices. */
clm_status clm_transformer_finish(clm_transformer *t, clm_err *err);

size_t clm_transformer_ctx(const clm_transformer *t);
size_t clm_transformer_batch(const clm_transformer *t);
/* Seconds that creation took for what precedes the weights (kernels, memory) and for the weights. */
void clm_transformer_times(const clm_transformer *t, double *prepare, double *load);

#endif
