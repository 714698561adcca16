/* runtime/quantize/plan.h: what a quantised file will hold: which tensor in which type, and the
 * header before the data.
 *
 * Layer    runtime; private to runtime/quantize/.
 * Memory   a plan borrows the model file it was made for.
 */
#ifndef CLM_RUNTIME_QUANTIZE_PLAN_H
#define CLM_RUNTIME_QUANTIZE_PLAN_H

#include "host/log.h"
#include "runtime/formats/gguf_model.h"
#include "runtime/formats/gguf_write.h"

/* The types that --type takes. */
typedef struct clm_quantize_type {
    const char *name;
    clm_qtype layers;  /* matrices of the layers */
    clm_qtype ends;    /* output matrix and embedding, unless told otherwise */
    int32_t file_type; /* llama.cpp's number for general.file_type; -1: it has none */
} clm_quantize_type;

/* NULL: there is no such type. */
const clm_quantize_type *clm_quantize_type_find(const char *name);
/* "int4, int8, q4_0, ..." for messages. */
const char *clm_quantize_type_list(void);

typedef struct clm_plan_tensor {
    const clm_tensor *from;
    char name[CLM_GGUF_MAX_NAME];
    clm_qtype wanted, type; /* asked for, taken */
    bool vector;
    uint64_t place; /* of the data, in the file */
    size_t row_bytes;
    uint64_t bytes; /* of all rows, without padding */
} clm_plan_tensor;

typedef struct clm_plan {
    const clm_model_file *model;
    const clm_quantize_type *type;
    clm_plan_tensor *tensors;
    size_t n_tensors;
    size_t n_fallbacks;    /* tensors that got another type than wanted */
    uint64_t source_bytes; /* of the source tensors */
    size_t header_bytes;
    uint64_t file_bytes;
} clm_plan;

/* llama.cpp's number for the type that most matrices have; -1: it has none. */
int32_t clm_plan_file_type(const clm_plan *plan);

/* Chooses the type of each tensor. `head` and `embedding` may be NULL. Where rows do not divide into
 * blocks a larger type is taken. F16 would round what GPTQ has packed: Q8_0 is taken where it holds
 * the matrix exactly, else F32. `obs` is told of both.
 * Returns CLM_OK, CLM_E_MODEL (the vocabulary cannot be written) or CLM_E_NOMEM. */
clm_status clm_plan_create(const clm_model_file *model, const clm_quantize_type *type,
                           const clm_quantize_type *head, const clm_quantize_type *embedding,
                           const clm_observer *obs, clm_plan *out, clm_err *err);
void clm_plan_clear(clm_plan *plan);

/* The header with these sums of the tensors' data, always of plan->header_bytes; malloc'd. */
clm_status clm_plan_header(const clm_plan *plan, const uint64_t *sums, uint8_t **header,
                           clm_err *err);

/* Puts all keys but the sums: copied when the model is a GGUF file, else from what the model file
 * says. (metadata.c) */
clm_status clm_plan_put_keys(const clm_plan *plan, clm_gguf_writer *w, clm_err *err);

#endif
