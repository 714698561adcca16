/* tuning/measure.h: builds, checks and times one candidate in this process. Whoever calls it lives
 * in a child process (tuning/worker.h), since a candidate may hang or crash.
 *
 * Layer    tuning.
 */
#ifndef CLM_TUNING_MEASURE_H
#define CLM_TUNING_MEASURE_H

#include "tuning/op_desc.h"
#include "tuning/report.h"

typedef struct clm_bench_case clm_bench_case; /* an operator at a shape: data on host and device */

/* Fills the case, computes what is right, and puts copies of the buffers onto the device: so many
 * that one round over them does not fit its caches. A shape whose reference would take more than a
 * second or so is checked with fewer tokens (a dimension called M), all else as it is.
 * `params`: the operator's defaults, which decide what is legal. */
clm_status clm_bench_case_create(clm_device *dev, const clm_op_desc *op, const clm_shape *shape,
                                 const int *params, clm_bench_case **out, clm_err *err);
void clm_bench_case_destroy(clm_bench_case *b);

typedef enum clm_bench_stage { CLM_BENCH_BUILD, CLM_BENCH_CHECK, CLM_BENCH_TIME } clm_bench_stage;

typedef struct clm_bench_result {
    clm_tune_reason reason;
    double min_ms, median_ms, error, build_s;
    clm_err err; /* of a failure */
} clm_bench_result;

/* Tries `params`. Given up as SLOW when clearly slower than `best_ms` (0: no best yet).
 * `stage` (may be NULL) is called when one begins. */
void clm_bench_try(clm_bench_case *b, const int *params, double best_ms,
                   void (*stage)(void *user, clm_bench_stage stage), void *user,
                   clm_bench_result *out);

#endif
