/* tuning/key.h: operators and shapes as text, for files and pipes.
 *
 * Layer    tuning.
 * Threads  no state.
 */
#ifndef CLM_TUNING_KEY_H
#define CLM_TUNING_KEY_H

#include "tuning/op_desc.h"
#include "tuning/report.h"

/* A table of operators; what tuning knows of them. */
typedef struct clm_op_table {
    const clm_op_desc *const *ops;
    size_t n;
} clm_op_table;

/* NULL: there is no such operator. */
const clm_op_desc *clm_op_find(const clm_op_table *table, const char *name);

/* Whether `text` is not empty and holds nothing but characters of `allowed`; those of operators' and
 * parameters' names. */
#define CLM_TUNE_NAME_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789"
bool clm_tune_is_word(const char *text, const char *allowed);

/* Index of the dimension called M, which counts tokens (rows that are independent of each other);
 * n_dims: there is none. */
size_t clm_op_tokens_dim(const clm_op_desc *op);

/* "M=1 N=5120 K=5120 F0=1": all dimensions in the operator's order, then scalars that are not 0. */
void clm_shape_write(const clm_op_desc *op, const clm_shape *shape, char out[CLM_TUNE_SHAPE_TEXT]);
/* Reads what clm_shape_write wrote, and nothing else; false: it is no shape of `op`. `user` of the
 * result is NULL. */
bool clm_shape_read(const clm_op_desc *op, const char *text, clm_shape *out);

/* Key of `op` at `shape`, with the hash of its source. */
clm_status clm_tune_key_make(const clm_op_desc *op, const clm_shape *shape, clm_tune_key *out,
                             clm_err *err);

/* The operator's parameters as named values, whose number is returned; and back: false when a name is not an axis, is missing
 * or repeated, or a value is none of the axis's. */
size_t clm_params_name(const clm_op_desc *op, const int *params,
                       clm_tune_param out[CLM_TUNE_MAX_PARAMS]);
bool clm_params_read(const clm_op_desc *op, const clm_tune_entry *entry, int params[CLM_MAX_AXES]);

/* How a device is named in files. */
void clm_tune_device_describe(const clm_caps *caps, clm_tune_device *out);

#endif
