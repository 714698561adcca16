/* tuning/measure.h: builds, checks and times one candidate in this process. Whoever calls it lives
 * in a child process (tuning/worker.h), since a candidate may hang or crash.
 *
 * Layer    tuning.
 */
#ifndef CLM_TUNING_MEASURE_H
#define CLM_TUNING_MEASURE_H

#include "tuning/op_desc.h"
#include "tuning/report.h"

typedef struct clm_trial_case clm_trial_case; /* an operator at a shape: data on host and device */

/* Fills the case, computes what is right, and puts copies of the buffers onto the device: so many
 * that one round over them does not fit its caches. A shape whose reference would take more than a
 * fraction of a second is checked with fewer tokens (a dimension called M), all else as it is.
 * `params`: the operator's defaults, which decide what is legal. */
clm_status clm_trial_case_create(clm_device *dev, const clm_op_desc *op, const clm_shape *shape,
                                 const int *params, clm_trial_case **out, clm_err *err);
void clm_trial_case_destroy(clm_trial_case *b);

typedef enum clm_trial_stage { CLM_TRIAL_BUILD, CLM_TRIAL_CHECK, CLM_TRIAL_TIME } clm_trial_stage;

typedef struct clm_trial_result {
    clm_tune_reason reason;
    double min_ms, median_ms, error, build_s;
    clm_err err; /* of a failure */
} clm_trial_result;

/* Tries `params`. Given up as SLOW when clearly slower than `best_ms` (0: no best yet).
 * `stage` (may be NULL) is called when one begins. */
void clm_trial_run(clm_trial_case *b, const int *params, double best_ms,
                   void (*stage)(void *user, clm_trial_stage stage), void *user,
                   clm_trial_result *out);

#endif
