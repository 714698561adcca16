/* tuning/report.h: what tuning found, as plain data: entries of the database, lines of the log,
 * progress. Part of the public interface (runtime/clm.h).
 *
 * Layer    tuning; includes nothing but host/status.h.
 */
#ifndef CLM_TUNING_REPORT_H
#define CLM_TUNING_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"

enum { CLM_TUNE_MAX_PARAMS = 16, CLM_TUNE_SHAPE_TEXT = 320 };

/* What files may hold: milliseconds; bytes or operations of a launch. */
#define CLM_TUNE_MAX_MS     1e9
#define CLM_TUNE_MAX_VALUE  1000000000 /* of a parameter */
#define CLM_TUNE_MAX_AMOUNT 1e18

/* Why a candidate is usable or not. X(name, word in files) */
#define CLM_TUNE_REASON_LIST(X)                                                                    \
    X(OK, "ok")                                                                                    \
    X(SLOW, "slow")             /* correct; given up early since clearly slower than the best */   \
    X(CONSTRAINT, "constraint") /* the device refuses its sizes */                                 \
    X(BUILD, "build")           /* does not compile */                                             \
    X(LAUNCH, "launch")         /* the driver refuses to run it */                                 \
    X(WRONG, "wrong")           /* wrong results, or memory behind an output written */            \
    X(HANG, "hang")             /* not done within its time limit, and killed */                   \
    X(CRASH, "crash")           /* took its process down */

typedef enum clm_tune_reason {
#define X(name, word) CLM_TUNE_##name,
    CLM_TUNE_REASON_LIST(X)
#undef X
        CLM_TUNE_REASONS
} clm_tune_reason;

const char *clm_tune_reason_text(clm_tune_reason reason);

typedef struct clm_tune_param {
    char name[32];
    int value;
} clm_tune_param;

/* What is tuned: an operator (or a user's kernel) at one shape, with one source text. */
typedef struct clm_tune_key {
    char op[64];
    char shape[CLM_TUNE_SHAPE_TEXT]; /* "M=1 N=5120 K=5120 ..." */
    char source[33];                 /* hash of the text */
} clm_tune_key;

/* One entry of a database. Times are milliseconds of one launch. */
typedef struct clm_tune_entry {
    clm_tune_key key;
    clm_tune_param params[CLM_TUNE_MAX_PARAMS];
    size_t n_params;
    /* Of one launch, from the race that decided: `default_ms` the default's smallest time, 0 when it does not
     * run; `ms` that times the ratio of both in turn; `median_ms` the median with `params`. */
    double ms, median_ms, default_ms;
    double error;        /* largest |got - want| / tolerance; at most 1 */
    double bytes, flops; /* of one launch */
    uint32_t tried, failed;
    char date[11]; /* "2026-11-24" */
} clm_tune_entry;

/* A device as its file names it, and what it can do at best (0: not measured). */
typedef struct clm_tune_device {
    char vendor[128], name[128], type[8], driver[128], platform[128];
    char arch[96]; /* limits and features, which chips of one family share */
    uint32_t units;
    double read_gbps, fp32_gflops, int8_gops;
} clm_tune_device;

typedef struct clm_tune_db {
    clm_tune_device device;
    clm_tune_entry *entries; /* malloc'd */
    size_t n, room;
} clm_tune_db;

/* One line of the log: one candidate that was tried. */
typedef struct clm_tune_try {
    clm_tune_key key;
    clm_tune_param params[CLM_TUNE_MAX_PARAMS];
    size_t n_params;
    clm_tune_reason reason;
    double ms, median_ms, error, build_s; /* ms: of OK and SLOW */
    char text[200];                       /* of a failure */
    int64_t when;                         /* seconds since 1970 */
} clm_tune_try;

typedef struct clm_tune_progress {
    size_t subject, n_subjects; /* the present one, from 0 */
    const clm_tune_key *key;
    size_t tried;      /* of this subject */
    double best_ms;    /* so far; 0: none */
    double default_ms; /* 0: not yet */
    double rate;       /* GB/s or GFLOP/s at best_ms */
    bool arithmetic;   /* rate is GFLOP/s */
    double share;      /* of the device's limit, 0..1; 0: not known */
    double elapsed_s, budget_s;
} clm_tune_progress;

/* How fast an entry is, and against which limit of the device: the one that leaves it the longer
 * time. `share` is 0 when that limit was not measured, or is clearly exceeded, as by small buffers that
 * come from a cache. */
void clm_tune_rate(const clm_tune_device *device, double bytes, double flops, double ms,
                   double *rate, bool *arithmetic, double *share);

/* ---- Databases: one YAML file per device and driver ------------------------------------------ */

/* Files come from users, other machines and other versions, and are never trusted: reading checks
 * form, names and ranges. Files are replaced atomically. */
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

bool clm_tune_key_same(const clm_tune_key *a, const clm_tune_key *b);
/* The entry of `key`, or NULL. */
clm_tune_entry *clm_tune_db_find(const clm_tune_db *db, const clm_tune_key *key);
/* Adds `e`, or puts it in the place of the entry of the same key. */
clm_status clm_tune_db_put(clm_tune_db *db, const clm_tune_entry *e, clm_err *err);
/* Puts the entries of `from` into `into`; of two with one key the one with the larger gain over the default
 * stays (the faster one, where the default does not work). */
clm_status clm_tune_db_merge(clm_tune_db *into, const clm_tune_db *from, clm_err *err);
bool clm_tune_device_same(const clm_tune_device *a, const clm_tune_device *b);
/* Raises the limits of `d` to those of `seen`: the best ever seen count, as other busy programs make them too low. */
void clm_tune_device_raise(clm_tune_device *d, const clm_tune_device *seen);

/* The log beside a database (x.yaml, x.log), malloc'd. NULL: it has another ending, or no memory. */
char *clm_tune_log_beside(const char *db_path);

/* All results of a log file, oldest first, malloc'd; a file that does not exist has none. */
clm_status clm_tune_log_read(const char *path, clm_tune_try **out, size_t *n, clm_err *err);

#endif
