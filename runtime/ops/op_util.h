/* runtime/ops/op_util.h: small things that descriptors share.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_OP_UTIL_H
#define CLM_RUNTIME_OPS_OP_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include "host/dot.h"
#include "tuning/op_desc.h"

#define CLM_COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The values of an axis DOT: all ways of cl/dot.cl. */
extern const int clm_op_dots[CLM_DOT_COUNT];

/* Whether a 1-D work-group of `wg` items fits the device. */
bool clm_op_group_fits(const clm_caps *caps, int wg);

/* The largest value of `axis` that is at most `wanted` and fits the device as a work-group size;
 * the first value (the smallest) when none does. Values ascend. */
int clm_op_group_choose(const clm_axis *axis, const clm_caps *caps, int wanted);

/* Bytes of local memory that products of cl/mma.cl need for a group of `warps`: CLM_MMA_LOCAL, of plain ones. */
size_t clm_op_mma_local(clm_mma mma, bool plain, size_t warps);

/* clm_op_desc.arithmetic of kernels that multiply tiles. */
clm_arithmetic clm_op_by_tiles(const clm_shape *shape);

/* ceil(a / b) of non-negative a and positive b. */
size_t clm_op_ceil_div(size_t a, size_t b);

/* "rmsnorm: no memory for a test case" as CLM_E_NOMEM. */
clm_status clm_op_fill_nomem(const char *op, clm_err *err);

#endif
