/* runtime/engine.h: what sessions see of an engine; private to runtime/.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_ENGINE_H
#define CLM_RUNTIME_ENGINE_H

#include <signal.h>

#include "runtime/clm.h"
#include "runtime/model/transformer.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

struct clm_engine {
    clm_model_file *file;
    clm_tokenizer *tokenizer;
    clm_backend *backend;
    clm_transformer *model;
    clm_template chat_template;
    char *default_system; /* of the file's template, when that is the one in use; or NULL */

    /* Ids whose keys and values are in the cache: the next prompt keeps the common beginning. */
    int *cached;
    size_t n_cached;
};

/* As clm_engine_create, for a model that is open; it is the engine's from then on, also on failure.
 *   text  false: no tokenizer is made, and the engine is for clm_transformer_run only */
clm_status clm__engine_create_from(clm_model_file *file, bool text, const clm_settings *s,
                                   const clm_observer *obs, clm_engine **out, clm_err *err);

/* The device that the settings name: "auto" when they name none. */
const char *clm__device_selector(const clm_settings *s);

/* The context of an engine for which `asked` tokens are asked for (0: none), of a model that was trained with
 * `trained` (0: not known): what is asked for, else what the model was trained with, but at most 4096. */
size_t clm__engine_ctx(size_t trained, size_t asked);

/* Brings the cache to hold exactly ids[0 .. n-1] and gives the outputs for the last one, if `want`
 * is not NULL. Only what differs from the cache is processed; `*kept` (may be NULL) says how many
 * ids were not. `stop` (may be NULL) is looked at between batches; when it becomes non-zero the result
 * is CLM_E_INTERRUPTED, and the cache holds what was done. */
clm_status clm__engine_feed(clm_engine *e, const int *ids, size_t n, const clm_outputs *want,
                            const volatile sig_atomic_t *stop, size_t *kept, clm_err *err);

#endif
