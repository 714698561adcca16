/* tuning/race.h: candidates of one operator and shape, checked and then timed in turn in the worker
 * process, so that what changes the machine's speed meets all of them.
 *
 * Layer    tuning.
 */
#ifndef CLM_TUNING_RACE_H
#define CLM_TUNING_RACE_H

#include "tuning/worker.h"

typedef struct clm_race {
    clm_worker *worker;
    const clm_op_desc *op;
    const clm_tune_key *key; /* of op and shape */
    double seconds;          /* of timing, for all together */
    double give_up;          /* as in clm_trial_order */
    double build_s, run_s;   /* limits of a candidate: as in clm_worker_order */
    double until;            /* of clm_clock_seconds: the end of all patience */
} clm_race;

typedef enum clm_race_end {
    CLM_RACE_DONE,
    CLM_RACE_NO_TIME, /* `until`, or Ctrl+C: there are no results */
    CLM_RACE_BROKEN   /* the worker cannot prepare this subject */
} clm_race_end;

/* Makes sure that the worker holds the subject, which takes seconds once. clm_race_run does it when it
 * was not done. Of no use for a library, see below. */
clm_race_end clm_race_prepare(const clm_race *r, clm_err *err);

/* A candidate that hangs or crashes gets that as its reason, and the others are timed in a new process;
 * when only the first is left of several, it is not. Ratios are to the first one that works.
 * A library's parameters cannot be taken back (op->run): there each candidate has a process of its own
 * in each round, and a round takes seconds.
 * `err` is set with CLM_RACE_BROKEN. */
clm_race_end clm_race_run(const clm_race *r, const int (*params)[CLM_MAX_AXES], size_t n,
                          clm_trial_result *out, clm_err *err);

#endif
