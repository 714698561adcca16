/* runtime/formats/synthetic.h: a model without a file, for measuring speed: the shape of a real one,
 * with pseudo-random weights.
 *
 * Layer    runtime. No device, nothing is read from disk.
 * Memory   all matrices share one array as large as the largest of them, each from another place on.
 */
#ifndef CLM_RUNTIME_FORMATS_SYNTHETIC_H
#define CLM_RUNTIME_FORMATS_SYNTHETIC_H

#include "runtime/formats/model_file.h"

/* Hyperparameters by name: "13b" (Baichuan-13B), "7b" (Baichuan-7B), "llama13b". NULL: no such name;
 * clm_synthetic_names says which there are. */
const clm_hparams *clm_synthetic_find(const char *name);
const char *clm_synthetic_names(void);

/* A model of the shape `hp` with matrices of the element type called `type` (as clm_qtype_name has
 * it, case ignored), norms of ones, no vocabulary. Weights are spread like a trained model's, so
 * that activations stay finite and sensible over any number of layers.
 * Returns CLM_OK, CLM_E_USAGE (a type that does not exist, cannot be made or does not fit the shape),
 * CLM_E_MODEL (an impossible shape) or CLM_E_NOMEM. */
clm_status clm_synthetic_create(const clm_hparams *hp, const char *type, clm_model_file **out,
                                clm_err *err);

#endif
