/* tuning/measure.h: builds, checks and times candidates in this process. Whoever calls it lives in a
 * child process (tuning/worker.h), since a candidate may hang or crash.
 *
 * Layer    tuning.
 */
#ifndef CLM_TUNING_MEASURE_H
#define CLM_TUNING_MEASURE_H

#include "tuning/op_time.h"
#include "tuning/report.h"

typedef struct clm_trial_case clm_trial_case; /* an operator at a shape: data on host and device */

/* Fills the case, computes what is right, and puts copies of the buffers onto the device
 * (tuning/op_time.h). A shape whose reference would take more than a fraction of a second is checked
 * with fewer tokens (a dimension called M), all else as it is.
 * `params`: the operator's defaults, which decide what is legal. */
clm_status clm_trial_case_create(clm_device *dev, const clm_op_desc *op, const clm_shape *shape,
                                 const int *params, clm_trial_case **out, clm_err *err);
void clm_trial_case_destroy(clm_trial_case *b);

typedef enum clm_trial_stage { CLM_TRIAL_BUILD, CLM_TRIAL_CHECK, CLM_TRIAL_TIME } clm_trial_stage;

typedef struct clm_trial_result {
    clm_tune_reason reason;
    double min_ms, median_ms; /* of one launch; 0: not timed */
    double ratio, low, high;  /* as in clm_op_times, to the first one that works */
    double error, build_s;
    clm_err err; /* of a failure */
} clm_trial_result;

typedef struct clm_trial_order {
    double seconds; /* of timing, for all together */
    double give_up; /* SLOW when so many times slower than the first; 0: never */
    /* Called when a stage of candidate `i` begins, and before each of its batches. May be NULL. */
    void (*stage)(void *user, clm_trial_stage stage, size_t i);
    void *user;
} clm_trial_order;

/* Builds and checks `n` (1 to CLM_RACE_MAX) candidates, and times those that work in turn. The first
 * one is not checked again when it was before, as it is compared with one after the other. */
void clm_trial_run(clm_trial_case *b, const int (*params)[CLM_MAX_AXES], size_t n,
                   const clm_trial_order *order, clm_trial_result *out);

#endif
