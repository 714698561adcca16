/* runtime/text/bpe_split.h: a text into the words within which byte-level BPE merges.
 *
 * Layer    runtime; used by bpe_model.c and bpe_encode.c only.
 * Threads  read-only after creation: may be shared.
 * Source   the regular expressions of the models' tokenizer.json as llama.cpp has them; PCRE2
 *          matches them. White space is written out as Unicode's White_Space, since PCRE2's \s has
 *          one character more (U+180E). Categories are those of PCRE2's version of Unicode.
 */
#ifndef CLM_RUNTIME_TEXT_BPE_SPLIT_H
#define CLM_RUNTIME_TEXT_BPE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include "host/status.h"

typedef struct clm_bpe_split clm_bpe_split;

/* `name` as in the key tokenizer.ggml.pre: default, gpt-2, smollm, llama-bpe (also llama3,
 * llama-v3), qwen2. Returns CLM_OK, CLM_E_MODEL (another name: the text would fall apart
 * differently, and the model would see other tokens than it was trained with) or CLM_E_NOMEM. */
clm_status clm_bpe_split_create(const char *name, clm_bpe_split **out, clm_err *err);
void clm_bpe_split_destroy(clm_bpe_split *s);

/* Whether a word that is a token is taken as it is, without merging. */
bool clm_bpe_split_whole_words(const clm_bpe_split *s);

/* Receives a word, which is never empty. Another status than CLM_OK ends the run. */
typedef clm_status (*clm_bpe_word_fn)(void *user, const char *word, size_t size);

/* Hands all of `text` (valid UTF-8), word by word, to `fn`. */
clm_status clm_bpe_split_run(const clm_bpe_split *s, const char *text, size_t size,
                             clm_bpe_word_fn fn, void *user, clm_err *err);

#endif
