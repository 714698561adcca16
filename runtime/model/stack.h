/* runtime/model/stack.h: several tensors with a common input as one matrix on the device.
 *
 * Layer    runtime. Plain C, no device.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_MODEL_STACK_H
#define CLM_RUNTIME_MODEL_STACK_H

#include "runtime/model/repack.h"

enum { CLM_STACK_MAX = 3 };

/* `n` tensors, borrowed. Tiles of the first, then of the second ..., or, `tiled`, a tile of each in
 * turn. Rows of a tensor are filled up with zeros to whole tiles. */
typedef struct clm_stack {
    const clm_tensor *parts[CLM_STACK_MAX];
    size_t n;
    bool tiled;
} clm_stack;

/* Whether the tensors have the same layout and order of columns, and, `tiled`, as many rows. */
bool clm_stack_possible(const clm_stack *s);

/* Layout of the whole; rows count those that fill up. */
clm_weight_layout clm_stack_layout(const clm_stack *s);

/* As clm_repack_tiles(), for tiles of the whole. */
clm_status clm_stack_tiles(const clm_stack *s, size_t tile0, size_t n, uint8_t *q, uint16_t *scale,
                           uint16_t *min, clm_err *err);

#endif
