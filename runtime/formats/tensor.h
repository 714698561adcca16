/* runtime/formats/tensor.h: a matrix of a model as its file stores it, and its rows as numbers.
 *
 * Files store the same matrix in many ways: plain or quantised rows; rows of q and k in the order
 * of "half-split" rotary positions; an output matrix whose rows are still to be normalised; packed
 * columns (GPTQ). The functions here hand out the matrix that the model multiplies with, so that
 * nobody else needs to know.
 *
 * Layer    runtime. Plain C, no device.
 * Threads  no state: rows of one tensor may be read by several threads at once.
 * Memory   everything a tensor points to belongs to its clm_model_file.
 */
#ifndef CLM_RUNTIME_FORMATS_TENSOR_H
#define CLM_RUNTIME_FORMATS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"
#include "runtime/formats/qtype.h"

/* A linear layer as AutoGPTQ's first format has it. Element [n][k] of the matrix is
 *     scales[g][n] * (q - zero), g = g_idx[k] (or k / group)
 *     q = field k % (32 / bits) of word qweight[k / (32 / bits)][n], the lowest bits first
 *     zero = 1 + field n % (32 / bits) of word qzeros[g][n / (32 / bits)] */
typedef struct clm_gptq {
    int bits;               /* 4 or 8 */
    size_t group;           /* columns that share a scale */
    size_t stride;          /* rows of the stored layer; a tensor may be some of them (W_pack) */
    const uint8_t *qweight; /* 32-bit words [cols * bits / 32][stride] */
    const uint8_t *qzeros;  /* 32-bit words [cols / group][stride * bits / 32] */
    const uint8_t *scales;  /* fp16 [cols / group][stride] */
    const uint8_t *g_idx;   /* 32-bit [cols]; NULL: k / group */
    bool symmetric;         /* every zero is half of the range */
} clm_gptq;

/* A matrix [rows][cols]; a vector has rows == 1. */
typedef struct clm_tensor {
    const char *name;
    size_t rows, cols;
    size_t bytes; /* in the file */

    /* Stored as rows of whole blocks of `type`, one after the other; `gptq` is NULL. */
    clm_qtype type;
    const uint8_t *data; /* inside the mapped file; no alignment is promised */

    /* Stored as packed columns; `type` and `data` say nothing. */
    const clm_gptq *gptq;
    size_t gptq_row0; /* row 0 of this tensor in the stored layer */

    /* Not 0: rows are heads of this many elements, of which the file pairs i with
     * i + rotary_head / 2 for rotary positions; handed out they are pairs (2i, 2i + 1). */
    size_t rotary_head;
    bool normalised; /* rows are divided by their Euclidean norm (Baichuan 2's head) */

    /* Not NULL: clm_tensor_unpack gives columns in this order, so that groups are consecutive: its
     * column j multiplies input column_order[j]. Rows read as floats are in the natural order. */
    const uint32_t *column_order;
} clm_tensor;

/* Rows row0 .. row0 + n - 1 as floats: out[n][cols]. Exact, but for the rounding of each element to
 * float. Returns CLM_OK, or CLM_E_INTERNAL for rows that do not exist. */
clm_status clm_tensor_read_rows(const clm_tensor *t, size_t row0, size_t n, float *out,
                                clm_err *err);

/* How a quantised tensor splits; false when it is none. */
bool clm_tensor_split(const clm_tensor *t, clm_qtype_split *split);

/* Splits rows of a quantised tensor: q[n][cols], scale[n][cols / group] and min (also written when
 * has_min is 0). Of normalised rows, scale and min are divided by the norm. Cheapest for 16 rows at a time, which share cache lines when columns are packed. */
void clm_tensor_unpack(const clm_tensor *t, size_t row0, size_t n, int8_t *q, float *scale,
                       float *min);

/* The fp16 number that element [row][k] of a tensor packed by GPTQ is a multiple of. */
uint16_t clm_tensor_gptq_scale(const clm_tensor *t, size_t row, size_t k);

/* Bytes of row `row` in the file, for tensors of plain rows that need no arithmetic; else NULL. */
const uint8_t *clm_tensor_row_bytes(const clm_tensor *t, size_t row);

/* "Q4_K", "GPTQ4 g128": how the tensor is stored, in words. Returns `out`. */
enum { CLM_TENSOR_TYPE_ROOM = 24 };
const char *clm_tensor_type_name(const clm_tensor *t, char out[CLM_TENSOR_TYPE_ROOM]);

#endif
