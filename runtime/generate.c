/* runtime/generate.c: see runtime/generate.h. */
#include "runtime/generate.h"

#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "runtime/text/stop_filter.h"
#include "runtime/text/utf8.h"

clm_status clm__text_append(clm_text_buf *t, const char *data, size_t size, clm_err *err)
{
    if (size > t->room - t->size) {
        size_t room = 2 * (t->size + size) + 64;
        char *grown = realloc(t->data, room);
        if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "answer: no memory");
        t->data = grown;
        t->room = room;
    }
    if (size > 0) memcpy(t->data + t->size, data, size);
    t->size += size;
    return CLM_OK;
}

/* The state of one answer. */
typedef struct run {
    const clm_generation *g;
    int *ids; /* prompt, then what was generated: [ctx] */
    size_t n_ids, n_prompt;
    float *logits; /* [vocab]; NULL when the device chooses */
    clm_utf8_stream utf8;
    clm_stop_filter *filter;
    clm_text_buf *answer;
    clm_reply *reply;
    bool first_piece;
} run;

static clm_status run_create(run *r, const clm_generation *g, const int *prompt, size_t n_prompt,
                             clm_err *err)
{
    size_t ctx = clm_transformer_ctx(g->engine->model), n_stops = 0;
    size_t vocab = clm_model_file_hparams(g->engine->file)->vocab;
    const char **stops;
    clm_status st;

    if (n_prompt == 0) return clm_fail(err, CLM_E_USAGE, "the prompt is empty");
    if (n_prompt >= ctx)
        return clm_fail(
            err, CLM_E_LIMIT,
            "the prompt of %zu tokens leaves no room in the context of %zu: raise ctx_size",
            n_prompt, ctx);
    r->ids = malloc(ctx * sizeof *r->ids);
    if (!clm_sampling_is_argmax(g->sampling)) r->logits = malloc(vocab * sizeof *r->logits);
    stops = malloc((g->sampling->n_stop + 1) * sizeof *stops);
    if (r->ids == NULL || stops == NULL ||
        (r->logits == NULL && !clm_sampling_is_argmax(g->sampling))) {
        free(stops);
        return clm_fail(err, CLM_E_NOMEM, "answer: no memory");
    }
    for (; n_stops < g->sampling->n_stop; n_stops++) stops[n_stops] = g->sampling->stop[n_stops];
    if (g->stop_text != NULL) stops[n_stops++] = g->stop_text;
    st = clm_stop_filter_create(stops, n_stops, &r->filter, err);
    free(stops);
    memcpy(r->ids, prompt, n_prompt * sizeof *prompt);
    r->n_ids = r->n_prompt = n_prompt;
    r->first_piece = true;
    return st;
}

static clm_status show(run *r, const char *text, size_t size, clm_err *err)
{
    if (size == 0) return CLM_OK;
    if (r->g->fn != NULL) r->g->fn(r->g->user, text, size);
    return clm__text_append(r->answer, text, size, err);
}

/* Shows what token `id` adds. */
static clm_status emit(run *r, int id, bool *stopped, clm_err *err)
{
    size_t size, n;
    const char *piece = clm_tokenizer_piece(r->g->engine->tokenizer, id, &size), *text;
    char *chars;
    clm_status st;

    if (r->first_piece && size > 0) {
        r->first_piece = false;
        if (r->g->drop_leading_space && clm_tokenizer_pads(r->g->engine->tokenizer) &&
            piece[0] == ' ')
            piece++, size--;
    }
    chars = malloc(3 * (size + 3));
    if (chars == NULL) return clm_fail(err, CLM_E_NOMEM, "answer: no memory");
    n = clm_utf8_feed(&r->utf8, piece, size, chars);
    st = clm_stop_filter_feed(r->filter, chars, n, &text, &size, stopped, err);
    if (st == CLM_OK) st = show(r, text, size, err);
    free(chars);
    return st;
}

/* Shows what is held back at the end, unless a stop string ended the text. */
static clm_status emit_rest(run *r, clm_err *err)
{
    char chars[16];
    const char *text;
    size_t size, n = clm_utf8_flush(&r->utf8, chars);
    bool stopped = false;
    clm_status st = clm_stop_filter_feed(r->filter, chars, n, &text, &size, &stopped, err);

    if (st == CLM_OK) st = show(r, text, size, err);
    if (st == CLM_OK && !stopped) {
        clm_stop_filter_flush(r->filter, &text, &size);
        st = show(r, text, size, err);
    }
    return st;
}

static bool ends_answer(const run *r, int id)
{
    if (clm_tokenizer_is_end(r->g->engine->tokenizer, id)) return true;
    for (size_t i = 0; i < r->g->n_end_ids; i++)
        if (r->g->end_ids[i] == id) return true;
    return false;
}

/* Processes what is new of ids and chooses the next. */
static clm_status next_token(run *r, int *id, size_t *kept, clm_err *err)
{
    clm_outputs want = {0};
    clm_status st;

    if (r->logits != NULL)
        want.logits = r->logits;
    else
        want.best = id;
    st = clm__engine_feed(r->g->engine, r->ids, r->n_ids, &want, r->g->stop, kept, err);
    if (st != CLM_OK) return st;
    if (r->logits != NULL)
        st =
            clm_sampler_choose(r->g->sampler, r->g->sampling, r->logits, r->ids, r->n_ids, id, err);
    else if (*id < 0)
        st = clm_fail(err, CLM_E_MODEL,
                      "the model gives no number for any next token: its weights are damaged");
    if (st == CLM_E_MODEL) clm_fail_context(err, st, "%s", clm_model_file_path(r->g->engine->file));
    return st;
}

/* Replaces the prompt by a shorter one and keeps what was generated. */
static clm_status make_room(run *r, bool *made, clm_err *err)
{
    int *prompt = NULL;
    size_t n_prompt = 0, n_new = r->n_ids - r->n_prompt;
    clm_status st = CLM_OK;

    *made = false;
    if (r->g->shrink != NULL) st = r->g->shrink(r->g->owner, &prompt, &n_prompt, err);
    if (st == CLM_OK && prompt != NULL && n_prompt < r->n_prompt) {
        memmove(r->ids + n_prompt, r->ids + r->n_prompt, n_new * sizeof *r->ids);
        memcpy(r->ids, prompt, n_prompt * sizeof *prompt);
        r->n_prompt = n_prompt;
        r->n_ids = n_prompt + n_new;
        r->reply->dropped_rounds++;
        *made = true;
    }
    free(prompt);
    return st;
}

static clm_status run_loop(run *r, clm_err *err)
{
    size_t ctx = clm_transformer_ctx(r->g->engine->model);
    clm_status st = CLM_OK;
    bool stopped = false, made;
    int id;

    for (;;) {
        if (r->reply->new_tokens >= r->g->sampling->max_new_tokens) {
            r->reply->finish = CLM_FINISH_LENGTH;
            return CLM_OK;
        }
        st = next_token(r, &id, NULL, err);
        if (st == CLM_E_INTERRUPTED) {
            r->reply->finish = CLM_FINISH_INTERRUPTED;
            return CLM_OK;
        }
        if (st != CLM_OK) return st;
        r->reply->new_tokens++;
        if (ends_answer(r, id)) {
            r->reply->finish = CLM_FINISH_EOS;
            return CLM_OK;
        }
        st = emit(r, id, &stopped, err);
        if (st != CLM_OK) return st;
        if (stopped) {
            r->reply->finish = CLM_FINISH_STOP;
            return CLM_OK;
        }
        if (r->n_ids + 1 >= ctx) {
            st = make_room(r, &made, err);
            if (st != CLM_OK) return st;
            if (!made) {
                r->reply->finish = CLM_FINISH_CONTEXT;
                return CLM_OK;
            }
        }
        r->ids[r->n_ids++] = id;
    }
}

clm_status clm__generate(const clm_generation *g, const int *prompt, size_t n_prompt,
                         clm_text_buf *answer, clm_reply *reply, clm_err *err)
{
    run r = {.g = g, .answer = answer, .reply = reply};
    double start = clm_clock_seconds(), prompt_done;
    clm_status st = run_create(&r, g, prompt, n_prompt, err);

    memset(reply, 0, sizeof *reply);
    if (st != CLM_OK) goto out;
    reply->prompt_tokens = n_prompt;
    /* The prompt but its last token, so that its time is told apart from decoding. */
    if (n_prompt > 1)
        st = clm__engine_feed(g->engine, prompt, n_prompt - 1, NULL, g->stop, &reply->cached_tokens,
                              err);
    if (st == CLM_OK)
        st = g->engine->backend->ops->finish(g->engine->backend, err); /* queued so far */
    prompt_done = clm_clock_seconds();
    reply->prompt_seconds = prompt_done - start;
    if (st == CLM_E_INTERRUPTED) {
        reply->finish = CLM_FINISH_INTERRUPTED;
        st = CLM_OK;
        goto out;
    }
    if (st != CLM_OK) goto out;
    st = run_loop(&r, err);
    reply->decode_seconds = clm_clock_seconds() - prompt_done;
    if (st == CLM_OK && reply->finish != CLM_FINISH_STOP) st = emit_rest(&r, err);
out:
    free(r.ids);
    free(r.logits);
    clm_stop_filter_destroy(r.filter);
    return st;
}
