/* runtime/formats/hf_model.h: what the parts of the reader of Hugging Face folders share.
 *
 *   hf_config.c   config.json, quantize_config.json: hyperparameters and how weights are quantised
 *   hf_vocab.c    tokenizer.model, tokenizer_config.json, generation_config.json
 *   hf_files.c    the weight files: single or sharded, safetensors or torch
 *   hf_weights.c  roles by the names of tensors; W_pack, rotary order, NormHead, tied heads
 *   hf_gptq.c     layers that GPTQ has packed
 *
 * Layer    runtime; included by runtime/formats/ only.
 */
#ifndef CLM_RUNTIME_FORMATS_HF_MODEL_H
#define CLM_RUNTIME_FORMATS_HF_MODEL_H

#include "runtime/formats/json_file.h"
#include "runtime/formats/model_file_impl.h"

enum { CLM__HF_MAX_JSON = 4 << 20, CLM__HF_MAX_INDEX = 32 << 20 };

/* What is known of a folder while it is read. */
typedef struct clm__hf {
    clm_model_file *mf;
    clm_json config;
    bool norm_head; /* rows of the head are to be normalised */

    /* GPTQ; bits is 0 without it. */
    int bits;
    size_t group; /* 0: one for all columns */
} clm__hf;

/* "folder/name", malloc'd and kept in the model file; NULL: no memory. */
const char *clm__hf_path(clm__hf *hf, const char *name);

/* Fills in hparams, norm_head and quantisation, and checks the hyperparameters. */
clm_status clm__hf_read_config(clm__hf *hf, clm_err *err);
/* Fills in vocab and generation. */
clm_status clm__hf_read_vocab(clm__hf *hf, clm_err *err);
/* Maps the weight files; mf->stored then holds their tensors, sorted. */
clm_status clm__hf_read_files(clm__hf *hf, clm_err *err);
/* Gives the stored tensors their roles. */
clm_status clm__hf_read_weights(clm__hf *hf, clm_err *err);

/* The stored tensor `base` + `ending`, marked as used; NULL: there is none. */
clm_stored *clm__hf_find(clm__hf *hf, const char *base, const char *ending);
/* The layer `base` as GPTQ has packed it, when it has: `*found`. */
clm_status clm__hf_gptq(clm__hf *hf, const char *base, clm_tensor *out, bool *found, clm_err *err);

#endif
