/* runtime/ops/ref_weight.h: elements of weight matrices, read in plain C from the description in
 * weight.h, for the references of gemv_*, embed and dequant.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_REF_WEIGHT_H
#define CLM_RUNTIME_OPS_REF_WEIGHT_H

#include <stdint.h>
#include "runtime/ops/weight_layout.h"
#include "tuning/op_desc.h"

/* A matrix on the host. `scale` and `min` hold halves; unused ones may be NULL. */
typedef struct clm_ref_weight {
    clm_weight_layout layout;
    const void *q;
    const uint16_t *scale, *min;
} clm_ref_weight;

/* Takes q (and scale and min, when the layout has scales) from the first buffers of a case. */
clm_ref_weight clm_ref_weight_of(const clm_case *c, const clm_weight_layout *layout);

/* Element [n][k] is factor * level + offset: factor and offset are 1 and 0 without scales. */
double clm_ref_weight_level(const clm_ref_weight *w, size_t n, size_t k);
double clm_ref_weight_factor(const clm_ref_weight *w, size_t n, size_t k);
double clm_ref_weight_offset(const clm_ref_weight *w, size_t n, size_t k);

/* Element [n][k]. */
double clm_ref_weight_value(const clm_ref_weight *w, size_t n, size_t k);
/* Columns from k on that have one factor and offset, as far as there are any, a whole group from its first on. */
size_t clm_ref_weight_alike(const clm_ref_weight *w, size_t k);
/* Row n, for references of products: decoding a scale for each element is most of their time. */
void clm_ref_weight_row(const clm_ref_weight *w, size_t n, double *row);

#endif
