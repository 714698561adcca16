/* runtime/formats/gguf_model.h: the parts of the GGUF reader of model files.
 *
 * Layer    runtime; included by runtime/formats/gguf_model.c and gguf_vocab.c only.
 */
#ifndef CLM_RUNTIME_FORMATS_GGUF_MODEL_H
#define CLM_RUNTIME_FORMATS_GGUF_MODEL_H

#include "runtime/formats/gguf.h"
#include "runtime/formats/model_file_impl.h"

/* Fills mf->vocab and mf->hparams.vocab from the tokenizer's keys. mf->hparams.arch is set. */
clm_status clm__gguf_read_vocab(const clm_gguf *g, clm_model_file *mf, clm_err *err);

#endif
