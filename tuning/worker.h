/* tuning/worker.h: the process that candidates run in, and its parent's side.
 *
 * Layer    tuning.
 * Process  the child is the same program with another command line (fork and exec: OpenCL must not
 *          be forked once it is initialised). It speaks lines over two pipes, is in a process group
 *          of its own, so that Ctrl+C is the parent's, and is killed when the parent dies.
 *
 *   parent                          child
 *   limits                          limits READ_GBPS FP32_GFLOPS INT8_GOPS | fail TEXT
 *   subject OP SHAPE                ready | fail TEXT
 *   try SECONDS GIVE_UP N VALUE...  stage NAME I, any number of them, then N lines
 *                                   done REASON MIN_MS MEDIAN_MS RATIO LOW HIGH ERROR BUILD_S TEXT
 */
#ifndef CLM_TUNING_WORKER_H
#define CLM_TUNING_WORKER_H

#include <signal.h>

#include "tuning/device_limits.h"
#include "tuning/key.h"
#include "tuning/measure.h"

/* Where the child finds its pipes. */
enum { CLM_WORKER_IN = 3, CLM_WORKER_OUT = 4 };

/* The child: serves until its input ends. `user` goes into every shape. */
clm_status clm_worker_serve(const clm_op_table *table, clm_device *dev, const void *user,
                            clm_err *err);

/* Instead: answers what is asked first with `err`, and returns `st`. */
clm_status clm_worker_refuse(clm_status st, const clm_err *err);

/* ---- The parent ------------------------------------------------------------------------------ */

typedef struct clm_worker clm_worker;

/* How an exchange ended. */
typedef enum clm_worker_end {
    CLM_WORKER_ANSWERED,
    CLM_WORKER_TIMEOUT, /* no answer in time: the child is dead now */
    CLM_WORKER_DIED,    /* the child ended by itself: it is reaped */
    CLM_WORKER_STOPPED  /* *stop became non-zero: the child is dead now */
} clm_worker_end;

/* `argv` (ends with NULL) is kept by reference; `stop` (may be NULL) ends every wait. The process
 * is started by the first exchange, and again after it died. */
clm_status clm_worker_create(char *const *argv, const volatile sig_atomic_t *stop, clm_worker **out,
                             clm_err *err);
void clm_worker_destroy(clm_worker *w);
/* Ends the process, if there is one: the next exchange starts a fresh one. */
void clm_worker_kill(clm_worker *w);
/* Whether there is a process that holds the subject named last, and how to make it none. */
bool clm_worker_ready(const clm_worker *w);
void clm_worker_forget(clm_worker *w);

/* Each waits for `seconds` at most. CLM_WORKER_ANSWERED: `*st` says whether it went well, and `err`
 * why not. */
clm_worker_end clm_worker_limits(clm_worker *w, double seconds, clm_device_limits *out,
                                 clm_status *st, clm_err *err);
clm_worker_end clm_worker_subject(clm_worker *w, const char *op, const char *shape, double seconds,
                                  clm_status *st, clm_err *err);

/* What is asked of the child for candidates of the subject, and how long it may take. */
typedef struct clm_worker_order {
    size_t n_values;         /* of each candidate: the operator's axes */
    double seconds, give_up; /* as in clm_trial_order */
    double build_s, run_s;   /* for each build; for each check and each batch */
    double until;            /* of clm_clock_seconds: the end of all patience */
} clm_worker_order;

/* clm_trial_run in the child, for `n` candidates. `*stage` of candidate `*at` is the last thing that
 * began, also when the child dies; then there are no results. */
clm_worker_end clm_worker_try(clm_worker *w, const clm_worker_order *o,
                              const int (*params)[CLM_MAX_AXES], size_t n, clm_trial_stage *stage,
                              size_t *at, clm_trial_result *out);

#endif
