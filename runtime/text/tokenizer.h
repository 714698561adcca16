/* runtime/text/tokenizer.h: text to token ids and back; the part of it that is not public.
 *
 * Layer    runtime. Two kinds of vocabulary: SentencePiece's, which the library does behind
 *          sp_shim.h (what it is handed is validated before: 0.1.97 crashes on malformed models),
 *          and byte-level BPE, bpe_model.h.
 * Threads  read-only after creation: may be shared.
 *
 * clm_tokenizer_load, _encode, _decode and _destroy: runtime/clm.h. Whatever cannot be loaded is
 * CLM_E_MODEL; a tokenizer.model alone does not say whether BOS is wanted: add_bos is false. No BOS
 * or EOS is added by encoding; a text of more than 64 MiB is CLM_E_LIMIT. Text may hold NUL and
 * broken UTF-8. In decoding an undecodable byte becomes U+FFFD and control ids give nothing;
 * SentencePiece drops one leading space, byte-level BPE none; an id outside the vocabulary is
 * CLM_E_USAGE. `*ids` is NULL when *count is 0; `*text` is always NUL-terminated, which `*size`
 * does not count.
 */
#ifndef CLM_RUNTIME_TEXT_TOKENIZER_H
#define CLM_RUNTIME_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include "runtime/clm.h"
#include "runtime/formats/model_file.h"

/* From a model file's vocabulary: a SentencePiece model is rebuilt in memory from the pieces, or
 * vocab->sp_model is used; "gpt2" is byte-level BPE. Nothing of `vocab` is kept.
 * Returns CLM_OK, CLM_E_MODEL or CLM_E_NOMEM. */
clm_status clm_tokenizer_create(const clm_vocab *vocab, clm_tokenizer **out, clm_err *err);

/* The tokenizer of a whole model, which must fit its embeddings: a tokenizer.model may have fewer
 * pieces, since tables are padded, but not by much. Returns CLM_OK, CLM_E_MODEL (the text names the
 * file) or CLM_E_NOMEM. */
clm_status clm_tokenizer_of_model(const clm_model_file *mf, clm_tokenizer **out, clm_err *err);

size_t clm_tokenizer_size(const clm_tokenizer *tok); /* number of ids */
int clm_tokenizer_bos(const clm_tokenizer *tok);     /* -1: none */
int clm_tokenizer_eos(const clm_tokenizer *tok);
bool clm_tokenizer_add_bos(const clm_tokenizer *tok); /* the file asks for BOS in front */
/* Ids that stand before what each side says, when the model's files state both. */
bool clm_tokenizer_roles(const clm_tokenizer *tok, int *user, int *assistant);
bool clm_tokenizer_is_control(const clm_tokenizer *tok, int id);
/* Whether `id` ends an answer: EOS, what the file names besides, and, in a byte-level vocabulary,
 * control pieces whose text is known to mean it ("<|im_end|>", "<|eot_id|>" ...). */
bool clm_tokenizer_is_end(const clm_tokenizer *tok, int id);
/* Whether a text of its own begins with a space that does not belong to it. */
bool clm_tokenizer_pads(const clm_tokenizer *tok);

/* Ids of a text that a sequence begins with: BOS is in front when the vocabulary wants it, and has it. Otherwise as
 * clm_tokenizer_encode. */
clm_status clm_tokenizer_encode_sequence(const clm_tokenizer *tok, const char *text, size_t size,
                                         int **ids, size_t *count, clm_err *err);

/* Id of the piece with exactly this text, -1 when there is none. */
int clm_tokenizer_find(const clm_tokenizer *tok, const char *piece);

/* Bytes that one id adds to a text that has already begun (a space stays a space, a byte piece is
 * one raw byte, control ids give none). Borrowed; `*size` 0 for nothing. For streaming through
 * runtime/text/utf8.h. An id outside the vocabulary gives nothing. */
const char *clm_tokenizer_piece(const clm_tokenizer *tok, int id, size_t *size);

#endif
