/* runtime/model/cl_kernels.h: the built kernels of one device, found by operator and -D values;
 * private to the OpenCL backend.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_MODEL_CL_KERNELS_H
#define CLM_RUNTIME_MODEL_CL_KERNELS_H

#include "tuning/lookup.h"

typedef struct clm_cl_kernels clm_cl_kernels;

/* `tuning` gives the tunables (NULL: the operators' defaults); both are borrowed. */
clm_status clm_cl_kernels_create(clm_device *dev, const clm_tuning *tuning, clm_cl_kernels **out,
                                 clm_err *err);
void clm_cl_kernels_destroy(clm_cl_kernels *k);

/* Notes that `op` will be launched with shapes like this one. */
clm_status clm_cl_kernels_plan(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                               clm_err *err);

/* The `index`th distinct plan: an operator with a shape of the model. False after the last. */
bool clm_cl_kernels_planned(const clm_cl_kernels *k, size_t index, const clm_op_desc **op,
                            clm_shape *shape);

/* Builds all that is planned and not built, several at once, with progress. */
clm_status clm_cl_kernels_build(clm_cl_kernels *k, clm_err *err);

/* How many were built after that, when something was launched that nobody had planned: while a user waits. */
size_t clm_cl_kernels_late(const clm_cl_kernels *k);

/* Whether all that are built had run before (clm_program_warm), and saying that they have now. */
bool clm_cl_kernels_warm(const clm_cl_kernels *k);
void clm_cl_kernels_set_warm(clm_cl_kernels *k);

/* A launch whose arguments are set: it can be put into the queue again and again. */
typedef struct clm_cl_launch {
    clm_kernel *kernel; /* the caller's; its program is the table's, which must outlive it */
    clm_range range;
} clm_cl_launch;

/* Prepares a launch of `op` with a kernel object of its own. */
clm_status clm_cl_kernels_bind(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                               clm_buffer *const *bufs, clm_cl_launch *out, clm_err *err);

/* Launches `op`. A kernel that was not planned is built now. */
clm_status clm_cl_kernels_launch(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                                 clm_buffer *const *bufs, clm_err *err);

#endif
