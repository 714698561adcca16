/* tuning/lookup.h: which parameters an operator gets on a device: tuned, taken over from a similar
 * device, or the built-in defaults.
 *
 * Layer    tuning.
 * Threads  a finished clm_tuning may be read by any number of threads.
 *
 * Order: the user's file before those shipped with the program; device and driver, device,
 * architecture, vendor, type. Of the entries on the best level, the nearest shape among those that
 * need the same build apart from tunables and are that shape or have its built-in default: what beat, or did not
 * beat, another default says nothing. What is taken from another device counts as a default.
 */
#ifndef CLM_TUNING_LOOKUP_H
#define CLM_TUNING_LOOKUP_H

#include "host/log.h"
#include "tuning/db.h"

typedef struct clm_tuning clm_tuning;

typedef enum clm_tuning_level {
    CLM_TUNING_EXACT, /* device and driver */
    CLM_TUNING_DEVICE,
    CLM_TUNING_ARCH,
    CLM_TUNING_VENDOR,
    CLM_TUNING_TYPE,
    CLM_TUNING_NONE
} clm_tuning_level;

const char *clm_tuning_level_text(clm_tuning_level level);

/* How near a device of a file is to the one at hand. */
clm_tuning_level clm_tuning_match(const clm_tune_device *file, const clm_tune_device *here);

/* Reads the databases of the user's folder and of the one shipped (both may be NULL or absent) for
 * the device. Damaged files of the user are set aside (renamed to *.damaged) with a warning, what can
 * be read of them is used; entries that do not fit this program are ignored with one line. Only
 * memory can fail. */
clm_status clm_tuning_open(const clm_op_table *table, const clm_caps *caps, const char *user_dir,
                           const char *shipped_dir, const clm_observer *obs, clm_tuning **out,
                           clm_err *err);
void clm_tuning_close(clm_tuning *t);

/* Whether there is a database for exactly this device and driver. */
bool clm_tuning_known(const clm_tuning *t);
/* The same, for a look before clm_tuning_open: `obs` hears of damaged files, which are set aside as there,
 * and of nothing that clm_tuning_open will say. */
clm_status clm_tuning_look(const clm_op_table *table, const clm_caps *caps, const char *user_dir,
                           const char *shipped_dir, const clm_observer *obs, bool *known,
                           clm_err *err);

/* The parameters of `op` at `shape`; the operator's defaults when `t` is NULL or has nothing that is
 * legal there. Returns the level that they are from. */
clm_tuning_level clm_tuning_params(const clm_tuning *t, const clm_op_desc *op,
                                   const clm_shape *shape, const clm_caps *caps,
                                   int params[CLM_MAX_AXES]);

/* Sets a damaged file aside ("x.yaml" becomes "x.yaml.damaged", or .damaged-2 ... where that is taken), and
 * writes what can be read of it in its place. True: `db` is that, and the caller's. */
bool clm_tune_repair(const char *path, const char *why, const clm_observer *obs, clm_tune_db *db);

#endif
