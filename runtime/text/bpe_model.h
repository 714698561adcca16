/* runtime/text/bpe_model.h: byte-level BPE, the "gpt2" kind of vocabulary.
 *
 * Layer    runtime; used by tokenizer.c only.
 * Threads  read-only after creation: may be shared.
 * Source   GPT-2's encoder.py; behaviour of llama.cpp where the two leave a choice.
 *
 * Pieces are written with one printable character a byte ("\xc4\xa0" is U+0120 for a space). A text
 * is cut into words (bpe_split.h), a word into bytes, and of all neighbours that a merge names the
 * pair of the lowest rank becomes one, the leftmost first, until none is left. The time is
 * n log n in the length of a word.
 *
 * Of a file nothing is trusted. Refused: pieces that are not UTF-8 or that another piece repeats,
 * no merges, a merge that is not two pieces whose concatenation is a piece, a vocabulary without
 * any byte, another pre-tokenizer than bpe_split.h names. Defined: a merge that occurs twice has
 * its first rank; an empty piece is never produced; a byte that has no piece is left out of the
 * ids, as llama.cpp does (the vocabulary of SmolLM2 lacks 21, most of which no UTF-8 has).
 */
#ifndef CLM_RUNTIME_TEXT_BPE_MODEL_H
#define CLM_RUNTIME_TEXT_BPE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include "host/status.h"
#include "runtime/formats/model_file.h"

typedef struct clm_bpe clm_bpe;

/* Nothing of `vocab` is kept. Returns CLM_OK, CLM_E_MODEL or CLM_E_NOMEM. */
clm_status clm_bpe_create(const clm_vocab *vocab, clm_bpe **out, clm_err *err);
void clm_bpe_destroy(clm_bpe *bpe);

/* Ids of `text` (any bytes: one that belongs to no character counts as U+FFFD); `*ids` is malloc'd,
 * NULL when there are none. User-defined pieces in the text become their ids, the longest first,
 * before anything else happens; with `special` control pieces and the unknown one do as well. */
clm_status clm_bpe_encode(const clm_bpe *bpe, const char *text, size_t size, bool special,
                          int **ids, size_t *count, clm_err *err);

/* Id of the piece with exactly this text (as the file writes it), -1 when there is none. */
int clm_bpe_find(const clm_bpe *bpe, const char *piece, size_t size);

/* The bytes that a piece stands for; at most `size`. A character that stands for no byte is kept as
 * it is. Returns how many. */
size_t clm_bpe_piece_bytes(const char *text, size_t size, char *out);

#endif
