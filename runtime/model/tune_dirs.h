/* runtime/model/tune_dirs.h: where tuned values are; private to runtime/.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_TUNE_DIRS_H
#define CLM_RUNTIME_TUNE_DIRS_H

#include "tuning/lookup.h"

/* All operators. */
clm_op_table clm__op_table(void);

/* $XDG_DATA_HOME/clm/tuning; malloc'd, NULL when there is no such place. */
char *clm__tuning_user_dir(void);
/* tuning/db of the source tree, or share/clm/tuning, seen from the program; malloc'd, may be NULL. */
char *clm__tuning_shipped_dir(void);

/* What is known for the device. Only memory can fail. */
clm_status clm__tuning_load(const clm_caps *caps, const clm_observer *obs, clm_tuning **out,
                            clm_err *err);
/* Whether there is something for exactly this device and driver: clm_tuning_look. */
clm_status clm__tuning_look(const clm_caps *caps, const clm_observer *obs, bool *known,
                            clm_err *err);

#endif
