/* runtime/text/bpe_split.c: see bpe_split.h. */
#include "runtime/text/bpe_split.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MAX_STAGES = 4 };

/* Inside a bracket expression: White_Space of Unicode. */
#define SPACE                                                                                      \
    "\\x09-\\x0d \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"   \
    "\\x{3000}"
#define SPACES_AT_END "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

#define GPT2                                                                                       \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACES_AT_END

/* The case of the contractions is written out: caseless matching would also take U+017F for s. */
#define LLAMA3(digits)                                                                             \
    "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits  \
    "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|[" SPACE "]*[\\r\\n]+|" SPACES_AT_END

/* Each stage cuts what the stage before has left: its matches, and what lies between them. */
typedef struct rule {
    const char *name;
    bool whole_words;
    const char *stages[MAX_STAGES + 1];
} rule;

static const rule rules[] = {
    {"default", false, {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2", false, {GPT2}},
    {"smollm", false, {"\\p{N}", GPT2}},
    {"llama-bpe", true, {LLAMA3("\\p{N}{1,3}")}},
    {"llama3", true, {LLAMA3("\\p{N}{1,3}")}},
    {"llama-v3", true, {LLAMA3("\\p{N}{1,3}")}},
    {"qwen2", false, {LLAMA3("\\p{N}")}},
};

struct clm_bpe_split {
    const rule *rule;
    pcre2_code *stages[MAX_STAGES];
    size_t n_stages;
    pcre2_match_context *limits;
};

void clm_bpe_split_destroy(clm_bpe_split *s)
{
    if (s == NULL) return;
    for (size_t i = 0; i < s->n_stages; i++) pcre2_code_free(s->stages[i]);
    pcre2_match_context_free(s->limits);
    free(s);
}

static clm_status compile(clm_bpe_split *s, const char *pattern, clm_err *err)
{
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR text[160];
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);

    if (re == NULL) {
        pcre2_get_error_message(code, text, sizeof text);
        return clm_fail(err, CLM_E_INTERNAL, "pre-tokenizer '%s': %s (at %zu)", s->rule->name, text,
                        (size_t)at);
    }
    s->stages[s->n_stages++] = re;
    return CLM_OK;
}

clm_status clm_bpe_split_create(const char *name, clm_bpe_split **out, clm_err *err)
{
    clm_bpe_split *s = calloc(1, sizeof *s);
    clm_status st = CLM_OK;

    *out = NULL;
    if (s == NULL) return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].name, name) == 0) s->rule = &rules[i];
    if (s->rule == NULL) {
        st =
            clm_fail(err, CLM_E_MODEL,
                     "the pre-tokenizer '%s' is not supported; smollm, gpt-2, llama-bpe, qwen2 and "
                     "default are",
                     name);
        goto out;
    }
    s->limits = pcre2_match_context_create(NULL);
    if (s->limits == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
        goto out;
    }
    /* The time that these expressions need is proportional to the text, however long it is. */
    pcre2_set_match_limit(s->limits, UINT32_MAX);
    for (size_t i = 0; s->rule->stages[i] != NULL && st == CLM_OK; i++)
        st = compile(s, s->rule->stages[i], err);
    if (st != CLM_OK) goto out;
    *out = s;
    s = NULL;
out:
    clm_bpe_split_destroy(s);
    return st;
}

bool clm_bpe_split_whole_words(const clm_bpe_split *s)
{
    return s->rule->whole_words;
}

typedef struct run {
    const clm_bpe_split *split;
    pcre2_match_data *found[MAX_STAGES]; /* of each stage: they are nested */
    clm_bpe_word_fn fn;
    void *user;
    clm_err *err;
} run;

/* Cuts `text` from `stage` on. The expressions see nothing outside it, which is what their
 * lookahead at its end relies on. */
static clm_status cut(run *r, size_t stage, const char *text, size_t size)
{
    size_t at = 0;
    clm_status st = CLM_OK;

    if (size == 0) return CLM_OK;
    if (stage == r->split->n_stages) return r->fn(r->user, text, size);
    while (at < size && st == CLM_OK) {
        int rc = pcre2_match(r->split->stages[stage], (PCRE2_SPTR)text, size, at,
                             PCRE2_NO_UTF_CHECK, r->found[stage], r->split->limits);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(r->found[stage]);
        size_t begin, end;

        if (rc == PCRE2_ERROR_NOMATCH) return cut(r, stage + 1, text + at, size - at);
        if (rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAPLIMIT)
            return clm_fail(r->err, CLM_E_NOMEM, "tokenizer: no memory");
        begin = span[0];
        end = span[1];
        if (rc < 0 || end <= begin)
            return clm_fail(r->err, CLM_E_INTERNAL, "pre-tokenizer '%s': PCRE2 error %d",
                            r->split->rule->name, rc);
        st = cut(r, stage + 1, text + at, begin - at);
        if (st == CLM_OK) st = cut(r, stage + 1, text + begin, end - begin);
        at = end;
    }
    return st;
}

clm_status clm_bpe_split_run(const clm_bpe_split *s, const char *text, size_t size,
                             clm_bpe_word_fn fn, void *user, clm_err *err)
{
    run r = {.split = s, .fn = fn, .user = user, .err = err};
    clm_status st = CLM_OK;

    for (size_t i = 0; i < s->n_stages; i++) {
        r.found[i] = pcre2_match_data_create(1, NULL);
        if (r.found[i] == NULL) st = clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    }
    if (st == CLM_OK) st = cut(&r, 0, text, size);
    for (size_t i = 0; i < s->n_stages; i++) pcre2_match_data_free(r.found[i]);
    return st;
}
