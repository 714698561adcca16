/* runtime/tune.h: tuning the kernels for a device, and the files that come of it.
 *
 * Layer    runtime; for tools/cmd_tune.c and what starts a model.
 * Threads  one thread at a time.
 */
#ifndef CLM_RUNTIME_TUNE_H
#define CLM_RUNTIME_TUNE_H

#include <signal.h>

#include "runtime/clm.h"
#include "tuning/report.h"

/* What is tuned and how. The device, the batch and the budget are those of the settings. */
typedef struct clm_tune_options {
    const char *synthetic;      /* shapes of "13b" ...; NULL: the model of the settings */
    const char *type;           /* weights of a synthetic model: "q4_0" ... */
    const char *ops;            /* "gemv_q4,attention"; NULL: all that the model uses */
    const char *kernel, *space; /* a user's kernel and its description, in place of operators */
    const char *strategy;       /* "descent", "random", "exhaustive"; NULL: descent */
    uint64_t seed;
    bool again; /* try anew what the log has */

    /* Set to non-zero from a signal handler: ends with the best so far. May be NULL. */
    const volatile sig_atomic_t *stop;
    void *user;
    void (*progress)(void *user, const clm_tune_progress *p); /* or NULL */
    void (*finished)(void *user, const clm_tune_device *device,
                     const clm_tune_entry *e); /* or NULL */
} clm_tune_options;

typedef struct clm_tune_report {
    char device[260];
    char *db_path, *log_path;                                /* malloc'd */
    size_t subjects, illegal, tuned, gained, skipped, tried; /* as in clm_tuner_summary */
    size_t failed[CLM_TUNE_REASONS];
    bool stopped;
    double elapsed_s;
} clm_tune_report;

void clm_tune_report_clear(clm_tune_report *r);

/* Tunes. Returns CLM_OK also when it was stopped; CLM_E_USAGE (no such operator, strategy or synthetic
 * model), CLM_E_LIMIT (another process is tuning the device), what opening model and device give,
 * and CLM_E_CONFIG for a user's kernel whose description is wrong. */
clm_status clm_tune_run(const clm_settings *s, const clm_tune_options *o, const clm_observer *obs,
                        clm_tune_report *out, clm_err *err);

/* To be called before a model starts. Tunes for the model of the settings, within their budget and
 * with progress to `obs`, when all of this holds: tuning.mode is auto and budget_s not 0, the
 * backend is OpenCL, there is no database for exactly this device and driver, and the model is large
 * enough for the kernels' speed to be noticed (its files have 512 MB). Failures are warnings.
 * Returns CLM_OK, or CLM_E_INTERRUPTED when that came before tuning began, while the weights were converted. */
clm_status clm_tune_auto(const clm_settings *s, const volatile sig_atomic_t *stop,
                         const clm_observer *obs, clm_err *err);

/* The worker process of a tuning run. `kernel` and `space` may be NULL. */
clm_status clm_tune_worker(const char *device, const char *kernel, const char *space, clm_err *err);

/* The files of the device that `selector` names, whether they exist or not; of operators, or of
 * users' kernels. Malloc'd. */
clm_status clm_tune_paths(const char *selector, bool user_kernels, char **db, char **log,
                          clm_err *err);

/* The file of the device in a folder: a run's XDG_DATA_HOME, or the folder with the databases itself.
 * Malloc'd; CLM_E_USAGE: it has none. */
clm_status clm_tune_file_in(const char *selector, const char *dir, char **db, clm_err *err);

/* Why clm does not use the entry of an operator, as a text that lives on (measured with another version of the
 * kernel ...); NULL: it does. */
const char *clm_tune_unused(const clm_tune_entry *e);

/* Takes the entries of a file into the user's database of the device that the file names. Entries
 * for another version of a kernel, or for one that is not here, are left out with a message; values
 * outside of an operator's space refuse the file (CLM_E_CONFIG). `*path` (malloc'd) is where they
 * went, `*taken` how many. CLM_E_LIMIT: the device is being tuned, which would write over them. */
clm_status clm_tune_import(const char *file, const clm_observer *obs, size_t *taken, char **path,
                           clm_err *err);

/* To be called before a database that is written is read: keeps others from writing it meanwhile, if
 * `db_path` is one that `clm tune` writes. clm_tune_unlock takes what is in `*lock`, whatever came of it.
 * CLM_E_LIMIT: the device is being tuned. */
clm_status clm_tune_lock(const char *db_path, int *lock, clm_err *err);
void clm_tune_unlock(int lock);

/* Writes a file that the user named: clm_file_write. */
clm_status clm_tune_write(const char *path, const char *text, size_t size, clm_err *err);

/* ---- Databases compared by time -------------------------------------------------------------- */

/* The entries of `like` with what the operators choose by themselves on the device, in place of what was
 * tuned. Entries that this program does not know are left out. */
clm_status clm_tune_defaults(const char *selector, const clm_tune_db *like, clm_tune_db *out,
                             clm_err *err);

/* How many times as long one takes as another in the same round: median, quartiles. 0: not timed. */
typedef struct clm_tune_ratio {
    double median, low, high;
} clm_tune_ratio;

enum { CLM_TUNE_MATCH_TEXT = 240 };

/* One launch that both databases have. */
typedef struct clm_tune_match {
    const clm_tune_key *key;
    bool same;        /* both choose the same */
    bool all_default; /* and that is the default: nothing was timed */
    double ms[3];     /* smallest time: A, B, default */
    clm_tune_ratio b_to_a, a_to_default;
    double b_to_default;
    char text[CLM_TUNE_MATCH_TEXT]; /* why there are no times, or "" */
} clm_tune_match;

typedef struct clm_tune_compare_options {
    double seconds;                    /* of timing, for each launch */
    const volatile sig_atomic_t *stop; /* as in clm_tune_options */
    void *user;
    void (*matched)(void *user, const clm_tune_match *m);
} clm_tune_compare_options;

/* For each launch that both have: A's choice, B's and the default are checked, and timed in turn on the
 * device, in a process of their own. Times of different runs cannot be compared: machines change
 * their speed. Returns CLM_OK, CLM_E_INTERRUPTED, or what finding the device and starting give. */
clm_status clm_tune_compare(const char *selector, const clm_tune_db *a, const clm_tune_db *b,
                            const clm_tune_compare_options *o, const clm_observer *obs,
                            clm_err *err);

#endif
