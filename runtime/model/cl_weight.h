/* runtime/model/cl_weight.h: a matrix of the model in device memory; private to the OpenCL backend.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_MODEL_CL_WEIGHT_H
#define CLM_RUNTIME_MODEL_CL_WEIGHT_H

#include "host/buffer.h"
#include "runtime/model/backend.h"
#include "runtime/model/stack.h"

/* Rows row0 .. row0 + rows - 1. A matrix has several parts when the device's largest allocation
 * does not hold it. */
typedef struct clm_cl_part {
    size_t row0, rows;
    clm_buffer *q, *scale, *min; /* scale, min: NULL where the layout has none */
} clm_cl_part;

struct clm_weight {
    clm_weight_layout layout;
    clm_cl_part *parts;
    size_t n_parts;
    clm_buffer *column_order; /* i32 [columns]: which input each column takes; NULL: its own */
    clm_buffer *vector;       /* f32 [columns]; then there are no parts */
    uint64_t bytes;           /* on the device */
};

/* Packs a matrix of one tensor or several (clm_stack_possible()) with all processors, on a CPU device
 * right into the buffers. */
clm_status clm_cl_weight_create(clm_device *dev, const clm_stack *stack, clm_weight **out,
                                clm_err *err);
/* The same with the way chosen: into mapped buffers, or through staging buffers. */
clm_status clm__cl_weight_create_by(clm_device *dev, const clm_stack *stack, bool in_place,
                                    clm_weight **out, clm_err *err);
clm_status clm_cl_vector_create(clm_device *dev, const clm_tensor *t, clm_weight **out,
                                clm_err *err);
void clm_cl_weight_destroy(clm_weight *w);

#endif
