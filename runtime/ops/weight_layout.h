/* runtime/ops/weight_layout.h: sizes of a weight matrix in the layouts of weight.h.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_WEIGHT_LAYOUT_H
#define CLM_RUNTIME_OPS_WEIGHT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include "host/buffer.h"
#include "runtime/ops/weight.h"

/* Whether groups have a minimum, and what its fp16 is: its value, or how many scales it is (a whole
 * number: GPTQ's zeros, which are exact so, and would not be after the product is rounded). */
typedef enum clm_min_kind { CLM_MIN_NONE, CLM_MIN_VALUE, CLM_MIN_STEPS } clm_min_kind;

/* A matrix of `rows` x `columns`. `group` (elements per scale, 0: a whole row) and `has_min` count
 * for the quantised formats only. */
typedef struct clm_weight_layout {
    clm_weight_format format;
    size_t rows, columns, group;
    int has_min; /* clm_min_kind */
} clm_weight_layout;

/* The layout that a shape's numbers stand for; a size below 0 counts 0, which is not legal. */
clm_weight_layout clm_weight_layout_of(int format, int rows, int columns, int group, int has_min);

/* Tiles that hold `rows` rows, and the rows that they have. */
size_t clm_weight_tiles(size_t rows);
size_t clm_weight_padded(size_t rows);

/* Whether the format is known, no size is 0 and the columns fit block and group. */
bool clm_weight_legal(const clm_weight_layout *w);

/* Whether every kernel takes a legal layout, not only the plain ones: without 4 bits in groups of 16. */
bool clm_weight_for_all(const clm_weight_layout *w);

/* Whether the format has scales. */
bool clm_weight_quantised(clm_weight_format format);

/* Element type of q, and the elements of the three arrays. An array that the format lacks counts
 * 1, since a kernel's argument must be some buffer. Layouts that are not legal give undefined
 * counts; sizes come from shapes, whose numbers are ints, so that size_t cannot overflow. */
clm_elem clm_weight_q_type(clm_weight_format format);
size_t clm_weight_q_count(const clm_weight_layout *w);
size_t clm_weight_scale_count(const clm_weight_layout *w);
size_t clm_weight_min_count(const clm_weight_layout *w);

/* Elements per scale with "a whole row" resolved. */
size_t clm_weight_group(const clm_weight_layout *w);

/* Value of -D GROUP: 0 for a whole row, so that a program does not depend on the columns. */
int clm_weight_group_define(const clm_weight_layout *w);

/* Bytes of `rows` rows with their scales and minimums, without padding. */
double clm_weight_bytes(const clm_weight_layout *w);

#endif
