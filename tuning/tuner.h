/* tuning/tuner.h: one run of the tuner over a list of operators and shapes.
 *
 * Layer    tuning.
 *
 * Time is shared among the subjects by what a token costs there and how much choice there is, the
 * largest share first. Every candidate
 * goes to the worker process and to the log; after each subject the database is replaced. So a run
 * that ends early, in whatever way, has lost one candidate at most, and the next goes on from there.
 */
#ifndef CLM_TUNING_TUNER_H
#define CLM_TUNING_TUNER_H

#include <signal.h>

#include "host/log.h"
#include "tuning/key.h"
#include "tuning/search.h"

typedef struct clm_subject {
    const clm_op_desc *op;
    clm_shape shape;
} clm_subject;

/* Pointers are borrowed for the run; those marked so may be NULL. */
typedef struct clm_tuner_config {
    const clm_caps *caps;
    char *const *worker_argv; /* the worker process's command line; ends with NULL */
    const char *db_path, *log_path;
    clm_tune_strategy strategy;
    uint64_t seed;
    double budget_s;
    bool again;                        /* take no results of earlier runs from the log */
    const volatile sig_atomic_t *stop; /* may be NULL; set by Ctrl+C: end with the best so far */
    const clm_observer *obs;           /* may be NULL */
    void *user;
    void (*progress)(void *user, const clm_tune_progress *p); /* may be NULL */
    void (*finished)(void *user, const clm_tune_device *device, const clm_tune_entry *e); /* too */
} clm_tuner_config;

typedef struct clm_tuner_summary {
    size_t subjects; /* those that leave a choice */
    size_t illegal;  /* those without any legal candidate, not among `subjects` */
    size_t tuned;    /* subjects with an entry now */
    size_t gained;   /* of these, faster than the default */
    size_t skipped;  /* no time was left */
    size_t tried, failed[CLM_TUNE_REASONS];
    bool stopped;
    double elapsed_s;
} clm_tuner_summary;

/* Takes budget_s seconds, plus what the last exchange with the worker needs to end. Returns CLM_OK
 * also when it was stopped; CLM_E_LIMIT (another process tunes this device), CLM_E_IO, CLM_E_CONFIG
 * (the database cannot be read), CLM_E_CL (the worker cannot work at all), CLM_E_NOMEM. */
clm_status clm_tuner_run(const clm_tuner_config *config, const clm_subject *subjects, size_t n,
                         clm_tuner_summary *out, clm_err *err);

#endif
