/* tuning/tune_log.h: the log of a device's tuning: one line per candidate, appended when it begins
 * and when it is done, so that a killed run goes on where it was.
 *
 * Layer    tuning.
 * Threads  one process at a time has a log open for writing; it holds a lock on it.
 *
 * A line that is not whole is skipped. A candidate that was being tried when the machine went down,
 * twice, counts as a crash: it is not tried a third time. So a try that ends without a result (Ctrl+C,
 * no time left) has a line that says so, which takes back what was counted before.
 */
#ifndef CLM_TUNING_TUNE_LOG_H
#define CLM_TUNING_TUNE_LOG_H

#include "tuning/report.h"

typedef struct clm_tune_log clm_tune_log;

/* Opens or creates the log, and locks it against other processes: whoever writes the device's database
 * must, since it is replaced as a whole. Closing `*fd` ends it. Returns CLM_OK, CLM_E_LIMIT (another
 * process has it) or CLM_E_IO. */
clm_status clm_tune_log_lock(const char *path, int *fd, clm_err *err);

/* Locks the log and reads it. Returns the same, or CLM_E_NOMEM. */
clm_status clm_tune_log_open(const char *path, clm_tune_log **out, clm_err *err);
void clm_tune_log_close(clm_tune_log *j);

/* The newest result for the candidate, or NULL. */
const clm_tune_try *clm_tune_log_find(const clm_tune_log *j, const clm_tune_key *key,
                                      const clm_tune_param *params, size_t n);

/* Appends that the candidate is about to be tried, its result, or that there will be none. */
clm_status clm_tune_log_begin(clm_tune_log *j, const clm_tune_try *t, clm_err *err);
clm_status clm_tune_log_end(clm_tune_log *j, const clm_tune_try *t, clm_err *err);
clm_status clm_tune_log_stop(clm_tune_log *j, const clm_tune_try *t, clm_err *err);

#endif
