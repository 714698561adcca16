/* runtime/weights_cache.h: the configuration's `weights`: which file the engine opens.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_WEIGHTS_CACHE_H
#define CLM_RUNTIME_WEIGHTS_CACHE_H

#include "runtime/clm.h"
#include "runtime/formats/model_file.h"

/* Opens the file with the weights of s->model as s->weights wants them: the model itself when it is so
 * already (or `keep`), else a converted one in $XDG_CACHE_HOME/clm/models, which is made when it is
 * not there, made anew when it is damaged, and goes on where an interrupted one stopped. Its name
 * depends on the source's path, sizes and times, on the type, and on the versions of clm and its encoders; one
 * that was just made replaces others of the same path and type.
 * `stop` as in clm_quantize_options. Returns CLM_OK or the statuses of clm_quantize and clm_model_file_open. */
clm_status clm__weights_open(const clm_settings *s, const volatile sig_atomic_t *stop,
                             const clm_observer *obs, clm_model_file **out, clm_err *err);

#endif
