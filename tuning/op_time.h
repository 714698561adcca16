/* tuning/op_time.h: an operator's data on a device, and how long launches on it take.
 *
 * Layer    tuning; knows no operator by name.
 * Threads  one thread at a time.
 *
 * The speed of memory and processors changes by itself, by a factor of two within minutes, so times
 * from different moments say nothing about each other. What is to be compared is timed in turn, some
 * milliseconds apart, and compared round by round.
 */
#ifndef CLM_TUNING_OP_TIME_H
#define CLM_TUNING_OP_TIME_H

#include "tuning/op_desc.h"

/* At most so many are timed in turn, and so often. */
enum { CLM_RACE_MAX = 8, CLM_ROUNDS_MAX = 512 };

/* Copies of a case's buffers on the device, which launches use in turn: so many that what one round over
 * them moves does not fit its caches, as far as number and memory allow. */
typedef struct clm_op_data clm_op_data;

/* Copies the buffers of `c`, filled by op->fill, with guards behind outputs; the case is not kept.
 * `op` and `dev` are. */
clm_status clm_op_data_create(const clm_op_desc *op, clm_device *dev, const clm_case *c,
                              clm_op_data **out, clm_err *err);
void clm_op_data_destroy(clm_op_data *d);

/* Whether a round moves so little that the next one may find it in the device's caches. */
bool clm_op_data_cached(const clm_op_data *d);

/* One configuration; `kernel` is from clm_op_build for the case's shape. */
typedef struct clm_op_runner {
    const int *params;
    clm_kernel *kernel;
} clm_op_runner;

/* One launch on the first copy, waited for; CLM_E_SELFTEST when it wrote behind an output. */
clm_status clm_op_data_run(clm_op_data *d, const clm_op_runner *runner, clm_err *err);

typedef struct clm_op_race {
    double seconds; /* for all rounds; a few are made in any case */
    double give_up; /* ends when one takes so many times as long as the first; 0: never */
    void (*turn)(void *user, size_t runner); /* before each batch of launches; may be NULL */
    void *user;
} clm_op_race;

typedef struct clm_op_times {
    double min_s, median_s;  /* of one launch */
    double ratio, low, high; /* to the first runner in the same round: median, quartiles */
    bool given_up;
} clm_op_times;

/* What `n` rounds (1 to CLM_ROUNDS_MAX) say, with the first runner's times of the same rounds. */
void clm_op_times_of(const double *times, const double *first, size_t n, clm_op_times *out);

/* Times `n` (1 to CLM_RACE_MAX) in turn: each is warmed up, then rounds in which each launches one
 * batch, in alternating order. Returns CLM_OK or what launching gives. */
clm_status clm_op_data_race(clm_op_data *d, const clm_op_runner *runners, size_t n,
                            const clm_op_race *race, clm_op_times *out, clm_err *err);

typedef struct clm_op_timing {
    double seconds; /* median of one launch */
    bool cached;    /* clm_op_data_cached */
} clm_op_timing;

/* Times launches of `op` at `shape` with `params`, in rounds of about `budget_s`.
 * The results are not checked (clm_op_check does).
 * Returns CLM_OK, CLM_E_DEVMEM and what else building and launching can give. */
clm_status clm_op_time(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                       const int *params, double budget_s, clm_op_timing *out, clm_err *err);

#endif
