/* tuning/op_time.h: how long one launch of an operator takes, on data that no cache still holds.
 *
 * Layer    tuning; knows no operator by name.
 */
#ifndef CLM_TUNING_OP_TIME_H
#define CLM_TUNING_OP_TIME_H

#include "tuning/op_desc.h"

/* Median seconds of one launch of `op` at `shape` with `params`. Several copies of the case's data,
 * together more than three times the device's cache, are used in turn; launches are timed in batches
 * for about `budget_s`, after one that warms up. The results are not checked (clm_op_check does).
 * Returns CLM_OK, CLM_E_DEVMEM and what else building and launching can give. */
clm_status clm_op_time(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                       const int *params, double budget_s, double *seconds, clm_err *err);

#endif
