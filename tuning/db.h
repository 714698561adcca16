/* tuning/db.h: the database's entries and this program's operators. Files: tuning/report.h.
 *
 * Layer    tuning.
 * Threads  distinct databases may be used by distinct threads.
 *
 * Reading a file checks its form; whether the operators of this program know an entry is checked here.
 */
#ifndef CLM_TUNING_DB_H
#define CLM_TUNING_DB_H

#include "tuning/key.h"
#include "tuning/report.h"

/* What is wrong with an entry, in words; NULL: nothing. `stale` (may be NULL): the only thing is
 * that it was measured with another source text. */
const char *clm_tune_entry_check(const clm_op_table *table, const clm_tune_entry *e,
                                 const clm_op_desc **op, clm_shape *shape, int params[CLM_MAX_AXES],
                                 bool *stale);

/* Name of a device's file, without the folder and without ending: readable, and different for
 * different device or driver. */
void clm_tune_file_stem(const clm_tune_device *device, char out[128]);

#endif
