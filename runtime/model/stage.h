/* runtime/model/stage.h: the layers that one backend has of a model: their weights, and the activations of a
 * batch on their way through. A transformer is a row of stages.
 *
 * Layer    runtime; for transformer.c.
 * Threads  one thread at a time.
 *
 * Everything is queued on the backend's device but what reads results, so that devices of different stages
 * work at the same time on different batches of a prompt.
 */
#ifndef CLM_RUNTIME_MODEL_STAGE_H
#define CLM_RUNTIME_MODEL_STAGE_H

#include <stdatomic.h>
#include "runtime/model/backend.h"
#include "runtime/model/transformer.h"

typedef struct clm_stage clm_stage;

/* The tokens of a run: `n` of sequence `seq` from `pos0` on, or one of each of `rows`. */
typedef struct clm_tokens {
    size_t n, seq, pos0;
    const clm_row *rows;    /* or NULL */
    const atomic_int *stop; /* not 0: leave off between two layers; or NULL */
} clm_tokens;

/* Makes kernels, caches and activations ready for batches of up to `batch` tokens. All arguments but `kv` and
 * `part` are borrowed and must outlive the stage. */
clm_status clm_stage_create(clm_backend *b, const clm_model_file *mf, const clm_part *part,
                            const clm_kv_shape *kv, size_t batch, clm_stage **out, clm_err *err);
void clm_stage_destroy(clm_stage *s);

/* Tensors loaded so far, of all stages, for the progress bar. */
typedef struct clm_loading {
    const clm_observer *obs;
    size_t done, total;
} clm_loading;

/* How many tensors clm_stage_load will count. */
size_t clm_stage_tensors(const clm_stage *s);
clm_status clm_stage_load(clm_stage *s, clm_loading *loading, clm_err *err);

clm_backend *clm_stage_backend(const clm_stage *s);
const clm_part *clm_stage_part(const clm_stage *s);

/* Of the first stage: the residual stream of these tokens before the first layer. */
clm_status clm_stage_embed(clm_stage *s, const int *ids, size_t n, clm_err *err);
/* The stage's layers. CLM_E_INTERRUPTED: left off. */
clm_status clm_stage_run(clm_stage *s, const clm_tokens *of, clm_err *err);
/* Takes over the residual stream of n tokens by way of `host` [n][width]. Waits for `from`, and for what `to`
 * still has to do. */
clm_status clm_stage_hand_over(clm_stage *from, clm_stage *to, size_t n, float *host, clm_err *err);

/* Of the last stage: logits of rows row0 .. row0 + n - 1 (n at most CLM_LOGIT_ROWS) are computed, and read
 * [n][vocab], or only the index of the largest of one of these rows. */
clm_status clm_stage_head(clm_stage *s, size_t row0, size_t n, clm_err *err);
clm_status clm_stage_read_logits(clm_stage *s, size_t n, float *logits, clm_err *err);
clm_status clm_stage_read_best(clm_stage *s, size_t row, int *best, clm_err *err);

#endif
