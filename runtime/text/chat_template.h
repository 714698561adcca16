/* runtime/text/chat_template.h: how a conversation becomes token ids.
 *
 * Layer    runtime.
 * Source   the model cards and code of each family.
 *
 * baichuan-instruction  {system}\nHuman:{question}\n\nAssistant:{answer}, tokenised as one text
 * baichuan-chat         {system} 195 {question} 196 {answer} EOS
 * llama2                BOS [INST] <<SYS>>\n{system}\n<</SYS>>\n\n{question} [/INST] {answer} EOS
 * alpaca                {system}\n\n### Instruction:\n{question}\n\n### Response:{answer}
 * vicuna                {system} USER: {question} ASSISTANT: {answer} EOS
 * ziya                  {system}\n<human>:{question}\n<bot>:{answer}\n
 * chatml                <|im_start|>role\n{text}<|im_end|>\n
 * none                  the texts, one after the other
 * alpaca and vicuna have a default for the system text, chatml has one when the file's template
 * states it (clm_template_default_system). Of several system messages the last one
 * counts; wherever it stands it goes to the front, and it is never dropped. BOS comes first in the
 * last five when the file asks for it; never in the Baichuan ones; always in each round of llama2.
 * llama2 strips questions and answers, ziya strips questions, as their own code does.
 * A special id is never spelled: control pieces do not match text, so what a user types cannot
 * forge one; user-defined pieces do match, which is what these models' tokenizers do.
 */
#ifndef CLM_RUNTIME_TEXT_CHAT_TEMPLATE_H
#define CLM_RUNTIME_TEXT_CHAT_TEMPLATE_H

#include <stddef.h>
#include "host/status.h"
#include "runtime/clm.h"
#include "runtime/text/tokenizer.h"

typedef enum clm_template {
    CLM_TEMPLATE_AUTO,
    CLM_TEMPLATE_BAICHUAN_INSTRUCTION,
    CLM_TEMPLATE_BAICHUAN_CHAT,
    CLM_TEMPLATE_LLAMA2,
    CLM_TEMPLATE_ALPACA,
    CLM_TEMPLATE_VICUNA,
    CLM_TEMPLATE_ZIYA,
    CLM_TEMPLATE_CHATML,
    CLM_TEMPLATE_NONE,
    CLM_TEMPLATE_COUNT
} clm_template;

/* "baichuan-instruction" ...; NULL outside the list. */
const char *clm_template_name(clm_template t);
/* CLM_TEMPLATE_COUNT when no template has that name. */
clm_template clm_template_find(const char *name);

/* The template for `auto`: recognised by the words of the file's chat template (Jinja is not run);
 * if that says nothing, by architecture and name: a Baichuan model is baichuan-instruction when
 * "instruct" is in its name, baichuan-chat when its files state the ids of user and assistant,
 * nothing when "base" is in its name, else baichuan-chat if the vocabulary has
 * <reserved_102> and <reserved_103>; Ziya, Vicuna, Alpaca and Llama 2 Chat by name.
 * CLM_TEMPLATE_NONE when nothing fits. */
clm_template clm_template_detect(const clm_hparams *hp, const clm_vocab *vocab);

/* The system text that the file's own template takes when the conversation has none, found in its
 * words: what stands as one literal between "<|im_start|>system\n" and "<|im_end|>" (SmolLM2, Qwen2).
 * `*text` is malloc'd, NULL when there is no such thing. Only the template that `auto` takes from
 * the file has it. Returns CLM_OK or CLM_E_NOMEM. */
clm_status clm_template_default_system(const clm_vocab *vocab, char **text, clm_err *err);

/* Ids of a conversation up to the point where the assistant speaks. `max_input` > 0 drops the
 * oldest rounds (a round starts at a user turn; the newest is always taken) while they do not fit,
 * and then keeps the last max_input ids; `*n_dropped` (may be NULL) says how many messages went.
 * For baichuan-chat this is exactly the publisher's rule, golden `chat/cases.json`; its two ids
 * are 195 and 196, checked or found by the names of their pieces.
 * `*ids` is malloc'd. Returns CLM_OK, CLM_E_MODEL (the vocabulary lacks an id that the template
 * needs) or CLM_E_NOMEM. */
clm_status clm_template_encode(clm_template t, const clm_tokenizer *tok, const clm_message *msgs,
                               size_t n_msgs, size_t max_input, int **ids, size_t *count,
                               size_t *n_dropped, clm_err *err);

/* Ids that end an answer, in addition to the tokenizer's EOS: at most 4, returns how many. */
size_t clm_template_stop_ids(clm_template t, const clm_tokenizer *tok, int ids[4]);
/* Text that ends an answer ("\nHuman:" for baichuan-instruction ...), or NULL. */
const char *clm_template_stop_text(clm_template t);

#endif
