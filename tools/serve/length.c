/* tools/serve/length.c: see tools/serve/length.h. */
#include "tools/serve/length.h"

#include <stdlib.h>

enum {
    PART = 16 << 10, /* bytes that are tokenised at once */
    ENDS = 16 /* tokens that it may have more by itself: a character that is cut becomes up to 12 */
};

static size_t count_texts(const clm_request *r)
{
    return r->kind == CLM_REQUEST_CHAT ? r->n_messages : 1;
}

static clm_message text_at(const clm_request *r, size_t i)
{
    const clm_message prompt = {CLM_ROLE_USER, r->prompt, r->prompt_size};

    return r->kind == CLM_REQUEST_CHAT ? r->messages[i] : prompt;
}

/* Adds the tokens of a text to `*total`, until it has reached `enough`. */
static clm_status add_tokens(const clm_tokenizer *tok, const clm_message *m, size_t enough,
                             size_t *total, clm_err *err)
{
    size_t n;

    for (size_t at = 0; at < m->size && *total < enough; at += n) {
        int *ids;
        size_t n_ids;
        clm_status st;

        n = m->size - at < PART ? m->size - at : PART;
        st = clm_tokenizer_encode(tok, m->text + at, n, &ids, &n_ids, err);
        if (st != CLM_OK) return st;
        free(ids);
        *total += n_ids > ENDS ? n_ids - ENDS : 0;
    }
    return CLM_OK;
}

clm_status clm_length_check(const clm_request *r, const clm_tokenizer *tok, size_t ctx,
                            clm_err *err)
{
    size_t bytes = 0, total = 0;

    for (size_t i = 0; i < count_texts(r); i++) bytes += text_at(r, i).size;
    if (bytes <= CLM_LENGTH_SHORT) return CLM_OK;
    for (size_t i = 0; i < count_texts(r); i++) {
        const clm_message text = text_at(r, i);
        const clm_status st = add_tokens(tok, &text, ctx, &total, err);

        if (st != CLM_OK) return st;
    }
    if (total < ctx) return CLM_OK;
    return clm_fail(err, CLM_E_LIMIT,
                    "the texts have more tokens than the context of %zu: leave out what is oldest, "
                    "or raise ctx_size",
                    ctx);
}
