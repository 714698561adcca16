/* tuning/search.h: which configurations are tried, in which order. Knows no device and no time: what
 * one is worth is asked of the caller.
 *
 * Layer    tuning.
 */
#ifndef CLM_TUNING_SEARCH_H
#define CLM_TUNING_SEARCH_H

#include "tuning/report.h"
#include "tuning/space.h"

/*   DESCENT     from the default, one axis after the other to its best value, until nothing is
 *               gained; then samples by chance, and descents from those that are better
 *   RANDOM      by chance, none twice
 *   EXHAUSTIVE  all of them, in random order, the default first */
typedef enum clm_tune_strategy {
    CLM_TUNE_DESCENT,
    CLM_TUNE_RANDOM,
    CLM_TUNE_EXHAUSTIVE,
    CLM_TUNE_STRATEGIES
} clm_tune_strategy;

const char *clm_tune_strategy_text(clm_tune_strategy s);

typedef struct clm_candidate {
    int params[CLM_MAX_AXES];
    clm_tune_reason reason;
    double ms, median_ms, error;
} clm_candidate;

typedef struct clm_search {
    clm_space space;
    clm_tune_strategy strategy;
    uint64_t rng;
    const int (*hints)[CLM_MAX_AXES]; /* tried after the default, where they are legal */
    size_t n_hints;
    /* Fills reason, ms, median_ms and error of `c`. False ends the search. */
    bool (*eval)(void *user, clm_candidate *c);
    void *user;

    clm_candidate *seen; /* malloc'd; all that were tried, the default first */
    size_t n_seen, room;
} clm_search;

/* Searches until the caller's eval says so, or nothing is left to try. The default is tried first
 * (when it is legal). Returns CLM_OK or CLM_E_NOMEM. `s` is to be cleared in every case. */
clm_status clm_search_run(clm_search *s, clm_err *err);
void clm_search_clear(clm_search *s);

/* The fastest correct candidate; NULL: none. */
const clm_candidate *clm_search_best(const clm_search *s);

#endif
