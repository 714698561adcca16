/* tuning/db.h: the database: one YAML file per device and driver.
 *
 * Layer    tuning.
 * Threads  distinct databases may be used by distinct threads.
 *
 * Files come from users, other machines and other versions, and are never trusted: reading checks
 * form (names are words, numbers are in range), clm_tune_entry_check whether the operators of this
 * program know the entry. Files are replaced atomically.
 */
#ifndef CLM_TUNING_DB_H
#define CLM_TUNING_DB_H

#include "tuning/key.h"
#include "tuning/report.h"

enum { CLM_TUNE_SCHEMA = 1, CLM_TUNE_DB_MAX_BYTES = 8 << 20, CLM_TUNE_DB_MAX_ENTRIES = 20000 };

void clm_tune_db_clear(clm_tune_db *db);

/* Reads a file. Returns CLM_OK, CLM_E_IO, CLM_E_NOMEM, CLM_E_CONFIG (no database, or damaged; the
 * sentence names the place) or CLM_E_LIMIT (of another schema, or too large). */
clm_status clm_tune_db_read(const char *path, clm_tune_db *out, clm_err *err);
/* What is left of a file that clm_tune_db_read found damaged: all before its last line, if that is
 * sound. */
clm_status clm_tune_db_salvage(const char *path, clm_tune_db *out, clm_err *err);

/* Replaces `path`. The text alone: clm_tune_db_text, malloc'd. */
clm_status clm_tune_db_write(const clm_tune_db *db, const char *path, clm_err *err);
clm_status clm_tune_db_text(const clm_tune_db *db, char **text, size_t *size, clm_err *err);

/* The entry of `key`, or NULL. */
clm_tune_entry *clm_tune_db_find(const clm_tune_db *db, const clm_tune_key *key);
/* Adds `e`, or puts it in the place of the entry of the same key. */
clm_status clm_tune_db_put(clm_tune_db *db, const clm_tune_entry *e, clm_err *err);

/* What is wrong with an entry, in words; NULL: nothing. `stale` (may be NULL): the only thing is
 * that it was measured with another source text. */
const char *clm_tune_entry_check(const clm_op_table *table, const clm_tune_entry *e,
                                 const clm_op_desc **op, clm_shape *shape, int params[CLM_MAX_AXES],
                                 bool *stale);

/* Name of a device's file, without the folder and without ending: readable, and different for
 * different device or driver. */
void clm_tune_file_stem(const clm_tune_device *device, char out[128]);

#endif
