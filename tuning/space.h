/* tuning/space.h: the configurations of an operator that are legal for a shape on a device.
 *
 * Layer    tuning.
 * Threads  no state besides the caller's generator.
 */
#ifndef CLM_TUNING_SPACE_H
#define CLM_TUNING_SPACE_H

#include "tuning/op_desc.h"

typedef struct clm_space {
    const clm_op_desc *op;
    const clm_shape *shape;
    const clm_caps *caps;
} clm_space;

typedef struct clm_point_set {
    int (*list)[CLM_MAX_AXES]; /* malloc'd */
    size_t n, room;
} clm_point_set;

/* How many configurations there are before the constraints. */
uint64_t clm_space_size(const clm_space *s);

bool clm_space_valid(const clm_space *s, const int *params);

/* All legal configurations, when the space before constraints has at most `limit` points; else an
 * empty set. */
clm_status clm_space_all(const clm_space *s, uint64_t limit, clm_point_set *out, clm_err *err);

/* A legal configuration by chance; false when `attempts` draws gave none. */
bool clm_space_random(const clm_space *s, uint64_t *rng, size_t attempts, int *params);

/* Legal configurations one step from `params` along `axis`: each other value of it. Where the
 * constraints forbid the step alone, one more axis is moved, to the nearest legal value. */
clm_status clm_space_neighbours(const clm_space *s, const int *params, size_t axis,
                                clm_point_set *out, clm_err *err);

void clm_point_set_clear(clm_point_set *set);

/* The next number of a generator; any state is a good one. */
uint64_t clm_space_next(uint64_t *rng);

#endif
