/* runtime/engine.h: what sessions see of an engine; private to runtime/.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_ENGINE_H
#define CLM_RUNTIME_ENGINE_H

#include "runtime/clm.h"
#include "runtime/model/transformer.h"
#include "runtime/slots.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

struct clm_engine {
    clm_model_file *file;
    clm_tokenizer *tokenizer;
    clm_share *shares; /* the devices, in the order of their layers */
    size_t n_shares;
    clm_transformer *model;
    clm_template chat_template;
    char *default_system; /* of the file's template, when that is the one in use; or NULL */

    clm_slots slots;
    float *logits; /* [logit_rows][vocab], of the answers in progress */
    size_t logit_rows;
    double prompt_token_seconds; /* of prompts that are processed beside others; 0: not known */
};

/* As clm_engine_create, for a model that is open; it is the engine's from then on, also on failure.
 *   text  false: no tokenizer is made, and the engine is for clm_transformer_run only */
clm_status clm__engine_create_from(clm_model_file *file, bool text, const clm_settings *s,
                                   const clm_observer *obs, clm_engine **out, clm_err *err);

/* Opens the devices that the settings name, decides which layers of e->file each gets, and says so to `obs`.
 * Without a name it is one device, or several where that has too little memory. CLM_E_CONFIG: devices that do not
 * exist or do not go together. CLM_E_DEVMEM: the model does not fit several devices; of a single one
 * that is seen when memory is taken. */
clm_status clm__engine_open_devices(clm_engine *e, const clm_settings *s, size_t ctx,
                                    const clm_observer *obs, clm_err *err);

/* What the key `device` names, of a list of devices: an index for each entry of s->devices ("ref": what is chosen
 * automatically), and why (`reasons` may be NULL). CLM_E_CONFIG, CLM_E_NODEVICE: see clm_device_select; also
 * when entries do not go together. */
clm_status clm__devices_named(const clm_settings *s, const clm_device_info *list, size_t n,
                              size_t *indices, char (*reasons)[256], clm_err *err);

/* The first device that the settings name: "auto" when they name none. */
const char *clm__device_selector(const clm_settings *s);
/* Whether everything is computed in plain C. */
bool clm__on_reference(const clm_settings *s);

/* The context of an engine for which `asked` tokens are asked for (0: none), of a model that was trained with
 * `trained` (0: not known): what is asked for, else what the model was trained with, but at most 4096. */
size_t clm__engine_ctx(size_t trained, size_t asked);

#endif
