/* runtime/text/chat_detect.c: names of the templates, which one a model wants, and the system text
 * that its file states; see chat_template.h.
 */
#include "runtime/text/chat_template.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const NAMES[CLM_TEMPLATE_COUNT] = {
    [CLM_TEMPLATE_AUTO] = "auto",
    [CLM_TEMPLATE_BAICHUAN_INSTRUCTION] = "baichuan-instruction",
    [CLM_TEMPLATE_BAICHUAN_CHAT] = "baichuan-chat",
    [CLM_TEMPLATE_LLAMA2] = "llama2",
    [CLM_TEMPLATE_ALPACA] = "alpaca",
    [CLM_TEMPLATE_VICUNA] = "vicuna",
    [CLM_TEMPLATE_ZIYA] = "ziya",
    [CLM_TEMPLATE_CHATML] = "chatml",
    [CLM_TEMPLATE_NONE] = "none",
};

const char *clm_template_name(clm_template t)
{
    return (int)t >= 0 && t < CLM_TEMPLATE_COUNT ? NAMES[t] : NULL;
}

clm_template clm_template_find(const char *name)
{
    for (int t = 0; t < CLM_TEMPLATE_COUNT; t++)
        if (strcmp(NAMES[t], name) == 0) return (clm_template)t;
    return CLM_TEMPLATE_COUNT;
}

/* A family betrays itself by words of its prompt, which stand in the file's template whatever
 * language that is written in. The first row whose words all occur wins. */
static clm_template by_text(const char *text)
{
    static const struct {
        clm_template t;
        const char *first, *second;
    } rows[] = {
        {CLM_TEMPLATE_CHATML, "<|im_start|>", "<|im_end|>"},
        {CLM_TEMPLATE_LLAMA2, "[INST]", "[/INST]"},
        {CLM_TEMPLATE_ALPACA, "### Instruction", "### Response"},
        {CLM_TEMPLATE_VICUNA, "USER:", "ASSISTANT:"},
        {CLM_TEMPLATE_ZIYA, "<human>", "<bot>"},
        {CLM_TEMPLATE_BAICHUAN_CHAT, "<reserved_102>", "<reserved_103>"},
        {CLM_TEMPLATE_BAICHUAN_CHAT, "<reserved_106>", "<reserved_107>"},
        {CLM_TEMPLATE_BAICHUAN_INSTRUCTION, "Human:", "Assistant:"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strstr(text, rows[i].first) != NULL && strstr(text, rows[i].second) != NULL)
            return rows[i].t;
    return CLM_TEMPLATE_COUNT;
}

static bool has_piece(const clm_vocab *vocab, const char *text)
{
    size_t size = strlen(text);

    /* Pieces inside a tokenizer.model are not seen here; encoding says so if they are missing. */
    if (vocab->pieces == NULL) return true;
    for (size_t i = 0; i < vocab->n_pieces; i++)
        if (vocab->pieces[i].size == size && memcmp(vocab->pieces[i].text, text, size) == 0)
            return true;
    return false;
}

static bool named(const clm_hparams *hp, const char *word)
{
    return strcasestr(hp->name, word) != NULL;
}

static clm_template by_name(const clm_hparams *hp, const clm_vocab *vocab)
{
    if (strcmp(hp->arch, "baichuan") == 0) {
        if (named(hp, "instruct")) return CLM_TEMPLATE_BAICHUAN_INSTRUCTION;
        if (vocab->user > 0 && vocab->assistant > 0) return CLM_TEMPLATE_BAICHUAN_CHAT;
        if (named(hp, "base")) return CLM_TEMPLATE_NONE;
        /* The base models of the family have these pieces as well; without a name a conversation
         * is the better guess. */
        if (has_piece(vocab, "<reserved_102>") && has_piece(vocab, "<reserved_103>"))
            return CLM_TEMPLATE_BAICHUAN_CHAT;
        return CLM_TEMPLATE_NONE;
    }
    if (named(hp, "ziya")) return CLM_TEMPLATE_ZIYA;
    if (named(hp, "vicuna")) return CLM_TEMPLATE_VICUNA;
    if (named(hp, "alpaca")) return CLM_TEMPLATE_ALPACA;
    if ((named(hp, "llama-2") || named(hp, "llama2") || named(hp, "llama 2")) && named(hp, "chat"))
        return CLM_TEMPLATE_LLAMA2;
    return CLM_TEMPLATE_NONE;
}

clm_template clm_template_detect(const clm_hparams *hp, const clm_vocab *vocab)
{
    clm_template t =
        vocab->chat_template != NULL ? by_text(vocab->chat_template) : CLM_TEMPLATE_COUNT;

    return t != CLM_TEMPLATE_COUNT ? t : by_name(hp, vocab);
}

/* Copies a literal of a Jinja template without its escapes; false when it is no plain literal, since
 * a quote ends it or an expression begins in it. */
static bool copy_literal(const char *from, const char *end, char *to)
{
    for (; from < end; from++) {
        if (*from == '{' || *from == '}' || *from == '\'' || *from == '"') return false;
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        if (++from == end) return false;
        *to++ = *from == 'n' ? '\n' : *from;
    }
    *to = '\0';
    return true;
}

clm_status clm_template_default_system(const clm_vocab *vocab, char **text, clm_err *err)
{
    static const char open[] = "<|im_start|>system", close[] = "<|im_end|>";
    const char *at = vocab->chat_template, *end;

    *text = NULL;
    while (at != NULL && (at = strstr(at, open)) != NULL) {
        at += sizeof open - 1;
        if (strncmp(at, "\\n", 2) == 0)
            at += 2;
        else if (*at == '\n')
            at++;
        else
            continue;
        end = strstr(at, close);
        if (end == NULL || end == at) continue;
        *text = malloc((size_t)(end - at) + 1);
        if (*text == NULL) return clm_fail(err, CLM_E_NOMEM, "chat template: no memory");
        if (copy_literal(at, end, *text)) return CLM_OK;
        free(*text);
        *text = NULL;
    }
    return CLM_OK;
}
