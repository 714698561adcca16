/* runtime/formats/gguf_model.h: how GGUF files hold models; shared by their reader and their writer.
 *
 * Layer    runtime; included by runtime/formats/gguf_*.c and runtime/quantize/ only.
 */
#ifndef CLM_RUNTIME_FORMATS_GGUF_MODEL_H
#define CLM_RUNTIME_FORMATS_GGUF_MODEL_H

#include "runtime/formats/gguf.h"
#include "runtime/formats/gguf_write.h"
#include "runtime/formats/model_file_impl.h"

/* Fills mf->vocab and mf->hparams.vocab from the tokenizer's keys. mf->hparams.arch is set. */
clm_status clm__gguf_read_vocab(const clm_gguf *g, clm_model_file *mf, clm_err *err);

/* Recommended settings from and to keys. (gguf_advice.c) */
void clm__gguf_read_advice(const clm_gguf *g, clm_model_file *mf);
void clm__gguf_put_advice(clm_gguf_writer *w, const clm_advice *advice);

/* Name of the tensor of a role: "token_embd.weight", "blk.3.attn_q.weight". */
void clm__gguf_tensor_name(clm_weight_role role, size_t layer, char name[CLM_GGUF_MAX_NAME]);

/* Ids that end an answer besides eos: llama.cpp has keys for two, Ollama has one for a list of all, eos
 * among them. Both are read and written. */
#define CLM_KEY_EOT  "tokenizer.ggml.eot_token_id"
#define CLM_KEY_EOM  "tokenizer.ggml.eom_token_id"
#define CLM_KEY_ENDS "tokenizer.ggml.eos_token_ids"

/* Keys of clm's own. SentencePiece models are kept whole, since GGUF has no place for their rules
 * of normalisation; sums of the tensors' data are 64-bit XXH3, in the order of the table. */
#define CLM_KEY_PREFIX    "clm."
#define CLM_KEY_SP_MODEL  "clm.tokenizer.model"
#define CLM_KEY_CHECKSUMS "clm.checksums"
#define CLM_KEY_WEIGHTS   "clm.weights"
#define CLM_KEY_USER      "clm.chat.user_token_id"
#define CLM_KEY_ASSISTANT "clm.chat.assistant_token_id"

#endif
