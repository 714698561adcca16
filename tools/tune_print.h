/* tools/tune_print.h: results of tuning as text, Markdown, T4 JSON and a page.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_TUNE_PRINT_H
#define CLM_TOOLS_TUNE_PRINT_H

#include <stdio.h>

#include "runtime/tune.h"

/* A database and the tries behind it; `tries` may be empty. */
typedef struct clm_tune_results {
    clm_tune_db db;
    clm_tune_try *tries;
    size_t n_tries;
    bool own; /* of kernels of the user's, not of clm's operators */
} clm_tune_results;

/* "FAMILY=0 KSPLIT=1" */
void clm_tune_print_params(FILE *f, const clm_tune_param *params, size_t n);
/* Why clm does not use the entry, NULL: it does. */
const char *clm_tune_print_unused(const clm_tune_results *r, const clm_tune_entry *e);
/* "41.2 GB/s (93 %)"; without percentage where the limit is not known. */
void clm_tune_format_rate(const clm_tune_device *d, double bytes, double flops, double ms,
                          char out[48]);

/* A table of the entries; `markdown`: for a document, else for a terminal. */
void clm_tune_print_table(FILE *f, const clm_tune_results *r, bool markdown);

/* What clm_tune_print_match has printed so far. */
typedef struct clm_tune_matches {
    bool markdown;
    size_t launches, same, failed;
    double apart;            /* largest time of one choice over the other's */
    double a_worst, b_worst; /* largest time over the default's */
} clm_tune_matches;

/* A launch of `clm tune diff --time`, and the sums at the end. */
void clm_tune_print_match(FILE *f, const clm_tune_match *m, clm_tune_matches *sum);
void clm_tune_print_matches(FILE *f, const clm_tune_matches *sum);

/* Results in the schema that kernel_tuner and others read (T4 1.0.0). */
clm_status clm_tune_print_t4(FILE *f, const clm_tune_results *r, clm_err *err);

/* One self-contained page: default, tuned and limit of each entry, and all candidates. */
void clm_tune_print_html(FILE *f, const clm_tune_results *r);

#endif
