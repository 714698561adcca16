/* runtime/generate.c: see runtime/generate.h. */
#include "runtime/generate.h"

#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/grow.h"
#include "host/parallel.h"
#include "runtime/text/stop_filter.h"
#include "runtime/text/utf8.h"

clm_status clm__text_append(clm_text_buf *t, const char *data, size_t size, clm_err *err)
{
    char *grown = clm_grow(t->data, &t->room, t->size + size + 1, 1);

    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "answer: no memory");
    t->data = grown;
    if (size > 0) memcpy(t->data + t->size, data, size);
    t->size += size;
    return CLM_OK;
}

/* The state of one answer. */
struct clm_run {
    clm_generation g;
    clm_slot *slot;
    int *ids; /* prompt, then what was generated: [ctx] */
    size_t n_ids, n_prompt;
    clm_utf8_stream utf8;
    clm_stop_filter *filter;
    clm_text_buf answer;
    clm_reply reply;
    double started, prompt_done; /* prompt_done 0: not through yet */
    bool first_piece, ended;
    clm_status status; /* when it has ended */
    clm_err err;
};

static void run_destroy(clm_run *r)
{
    if (r == NULL) return;
    clm_slots_release(r->slot);
    clm_stop_filter_destroy(r->filter);
    free(r->answer.data);
    free(r->ids);
    free(r);
}

/* The stop texts of the request and of the template. */
static clm_status create_filter(clm_run *r, clm_err *err)
{
    const clm_sampling *s = &r->g.sampling;
    const char **stops = malloc((s->n_stop + 1) * sizeof *stops);
    size_t n = 0;
    clm_status st;

    if (stops == NULL) return clm_fail(err, CLM_E_NOMEM, "answer: no memory");
    for (; n < s->n_stop; n++) stops[n] = s->stop[n];
    if (r->g.stop_text != NULL) stops[n++] = r->g.stop_text;
    st = clm_stop_filter_create(stops, n, &r->filter, err);
    free(stops);
    return st;
}

clm_status clm__run_begin(const clm_generation *g, const int *prompt, size_t n_prompt,
                          clm_run **out, clm_err *err)
{
    const size_t ctx = clm_transformer_ctx(g->engine->model);
    clm_run *r;
    clm_status st;

    *out = NULL;
    if (n_prompt == 0) return clm_fail(err, CLM_E_USAGE, "the prompt is empty");
    if (n_prompt >= ctx)
        return clm_fail(
            err, CLM_E_LIMIT,
            "the prompt of %zu tokens leaves no room in the context of %zu: raise ctx_size",
            n_prompt, ctx);
    r = calloc(1, sizeof *r);
    if (r != NULL) r->ids = malloc(ctx * sizeof *r->ids);
    if (r == NULL || r->ids == NULL) {
        free(r);
        return clm_fail(err, CLM_E_NOMEM, "answer: no memory");
    }
    r->g = *g;
    memcpy(r->ids, prompt, n_prompt * sizeof *prompt);
    r->n_ids = r->n_prompt = r->reply.prompt_tokens = n_prompt;
    r->first_piece = true;
    r->started = clm_clock_seconds();
    st = create_filter(r, err);
    if (st == CLM_OK) r->slot = clm_slots_take(&g->engine->slots, prompt, n_prompt);
    if (st == CLM_OK && r->slot == NULL)
        st = clm_fail(err, CLM_E_LIMIT, "as many answers are in progress as there are caches");
    if (st != CLM_OK) {
        run_destroy(r);
        return st;
    }
    r->reply.cached_tokens = r->slot->n;
    *out = r;
    return CLM_OK;
}

bool clm__run_ended(const clm_run *r)
{
    return r->ended;
}

clm_status clm__run_end(clm_run *r, clm_text_buf *answer, clm_reply *reply, clm_err *err)
{
    const clm_status st = r->status;

    *reply = r->reply;
    *answer = r->answer;
    r->answer = (clm_text_buf){NULL, 0, 0};
    if (st != CLM_OK && err != NULL) *err = r->err;
    run_destroy(r);
    return st;
}

/* ---- text ------------------------------------------------------------------------------------ */

static clm_status show(clm_run *r, const char *text, size_t size, clm_err *err)
{
    if (size == 0) return CLM_OK;
    if (r->g.fn != NULL) r->g.fn(r->g.user, text, size);
    return clm__text_append(&r->answer, text, size, err);
}

/* Shows what token `id` adds. */
static clm_status emit(clm_run *r, int id, bool *stopped, clm_err *err)
{
    size_t size, n;
    const char *piece = clm_tokenizer_piece(r->g.engine->tokenizer, id, &size), *text;
    char *chars;
    clm_status st;

    if (r->first_piece && size > 0) {
        r->first_piece = false;
        if (r->g.drop_leading_space && clm_tokenizer_pads(r->g.engine->tokenizer) &&
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
static clm_status emit_rest(clm_run *r, clm_err *err)
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

static bool ends_answer(const clm_run *r, int id)
{
    if (clm_tokenizer_is_end(r->g.engine->tokenizer, id)) return true;
    for (size_t i = 0; i < r->g.n_end_ids; i++)
        if (r->g.end_ids[i] == id) return true;
    return false;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void end(clm_run *r, clm_status st)
{
    r->reply.context_tokens = r->n_prompt + r->reply.new_tokens;
    r->ended = true;
    r->status = st;
    if (r->prompt_done > 0.0)
        r->reply.decode_seconds = clm_clock_seconds() - r->prompt_done;
    else
        r->reply.prompt_seconds = clm_clock_seconds() - r->started;
}

/* Without a failure. What was held back, as it might have been the beginning of a stop text, is shown. */
static void finish(clm_run *r, clm_finish why)
{
    r->reply.finish = why;
    end(r, why != CLM_FINISH_STOP ? emit_rest(r, &r->err) : CLM_OK);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Replaces the prompt by a shorter one and keeps what was generated. */
static clm_status make_room(clm_run *r, bool *made, clm_err *err)
{
    int *prompt = NULL;
    size_t n_prompt = 0, n_new = r->n_ids - r->n_prompt;
    clm_status st = CLM_OK;

    *made = false;
    if (r->g.shrink != NULL) st = r->g.shrink(r->g.owner, &prompt, &n_prompt, err);
    if (st == CLM_OK && prompt != NULL && n_prompt < r->n_prompt) {
        memmove(r->ids + n_prompt, r->ids + r->n_prompt, n_new * sizeof *r->ids);
        memcpy(r->ids, prompt, n_prompt * sizeof *prompt);
        r->n_prompt = n_prompt;
        r->n_ids = n_prompt + n_new;
        r->reply.dropped_rounds++;
        *made = true;
    }
    free(prompt);
    return st;
}

/* Token `id` is next: shows it and makes it part of the input, unless it ends the answer. */
static clm_status accept(clm_run *r, int id, clm_err *err)
{
    const size_t ctx = clm_transformer_ctx(r->g.engine->model);
    bool stopped = false, made = false;
    clm_status st;

    r->reply.new_tokens++;
    if (ends_answer(r, id)) {
        finish(r, CLM_FINISH_EOS);
        return r->status;
    }
    st = emit(r, id, &stopped, err);
    if (st != CLM_OK) return st;
    if (stopped) {
        finish(r, CLM_FINISH_STOP);
        return r->status;
    }
    if (r->n_ids + 1 >= ctx) {
        st = make_room(r, &made, err);
        if (st != CLM_OK) return st;
        if (!made) {
            finish(r, CLM_FINISH_CONTEXT);
            return r->status;
        }
    }
    r->ids[r->n_ids++] = id;
    if (made) clm_slot_keep(r->slot, r->ids, r->n_ids);
    if (r->reply.new_tokens >= r->g.sampling.max_new_tokens) finish(r, CLM_FINISH_LENGTH);
    return r->ended ? r->status : CLM_OK;
}

/* A choice to be made from the logits [vocab] behind the last id of an answer, which are changed. */
typedef struct choice {
    clm_run *run;
    float *logits;
    int id;
    clm_status st; /* its error is the run's */
} choice;

/* clm_parallel_fn: each answer has a sampler of its own. A failure is that of one answer alone. */
static clm_status choose(void *user, size_t index, clm_err *err)
{
    choice *c = (choice *)user + index;
    clm_run *r = c->run;

    (void)err;
    c->st = clm_sampler_choose(r->g.sampler, &r->g.sampling, c->logits, r->ids, r->n_ids, &c->id,
                               &r->err);
    if (c->st == CLM_E_MODEL)
        clm_fail_context(&r->err, c->st, "%s", clm_model_file_path(r->g.engine->file));
    return CLM_OK;
}

static void accept_choice(const choice *c)
{
    clm_run *r = c->run;
    const clm_status st = c->st == CLM_OK ? accept(r, c->id, &r->err) : c->st;

    if (st != CLM_OK && !r->ended) end(r, st);
}

/* The device chooses, where that is all that is wanted of it. */
static void choose_alone(clm_run *r, float *logits)
{
    clm_slots *slots = &r->g.engine->slots;
    const bool best = clm_sampling_is_argmax(&r->g.sampling);
    choice c = {.run = r, .logits = logits};
    const clm_outputs want = {.logits = best ? NULL : logits, .best = best ? &c.id : NULL};

    c.st = clm_slot_feed(slots, r->slot, r->ids, r->n_ids, 1, &want, NULL, &r->err);
    if (c.st == CLM_OK && best && c.id < 0)
        c.st = clm_fail(&r->err, CLM_E_MODEL,
                        "%s: the model gives no number for any next token: its weights are damaged",
                        clm_model_file_path(r->g.engine->file));
    if (c.st == CLM_OK && !best) choose(&c, 0, NULL);
    accept_choice(&c);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Whether all but the last id is in the cache, so that the next token can be chosen. */
static bool is_ready(const clm_run *r)
{
    return r->slot->n + 1 == r->n_ids;
}

/* How many tokens of a prompt are processed while others wait for their next one: what takes a quarter of a
 * second, but enough for the products of many tokens. */
static size_t shared_batch(const clm_engine *e)
{
    const double seconds = 0.25, least = 32.0, most = 1e6;
    const double n = e->prompt_token_seconds > 0.0 ? seconds / e->prompt_token_seconds : least;

    return (size_t)(n < least ? least : n > most ? most : n);
}

/* A batch of the ids before the last one; `shared`: others wait for it. */
static void feed(clm_run *r, bool shared)
{
    clm_engine *e = r->g.engine;
    const double start = clm_clock_seconds();
    const size_t before = r->slot->n;
    clm_status st;

    st = clm_slot_feed(&e->slots, r->slot, r->ids, r->n_ids - 1,
                       shared ? shared_batch(e) : SIZE_MAX, NULL, r->g.stop, &r->err);
    if (st == CLM_E_INTERRUPTED) {
        finish(r, CLM_FINISH_INTERRUPTED);
        return;
    }
    /* At its end the time of a prompt is told apart from decoding. */
    if (st == CLM_OK && (shared || (is_ready(r) && r->prompt_done <= 0.0)))
        st = clm_slots_finish(&e->slots, &r->err);
    if (st == CLM_OK && shared)
        e->prompt_token_seconds = (clm_clock_seconds() - start) / (double)(r->slot->n - before);
    if (st != CLM_OK) end(r, st);
}

static void note_prompt(clm_run *r)
{
    if (r->prompt_done > 0.0) return;
    r->prompt_done = clm_clock_seconds();
    r->reply.prompt_seconds = r->prompt_done - r->started;
}

/* One token of each of several. */
static void choose_together(clm_engine *e, clm_run *const *runs, size_t n)
{
    const size_t vocab = clm_model_file_hparams(e->file)->vocab;
    clm_row rows[CLM_LOGIT_ROWS];
    choice choices[CLM_LOGIT_ROWS];
    clm_err err;
    clm_status st;

    for (size_t i = 0; i < n; i++)
        rows[i] = (clm_row){runs[i]->slot->seq, runs[i]->slot->n, runs[i]->ids[runs[i]->n_ids - 1]};
    st = clm_transformer_run_rows(e->model, rows, n, e->logits, &err);
    if (st != CLM_OK) clm_slots_forget(&e->slots);
    for (size_t i = 0; i < n; i++) {
        choices[i] = (choice){.run = runs[i], .logits = e->logits + i * vocab};
        if (st == CLM_OK) runs[i]->slot->ids[runs[i]->slot->n++] = rows[i].id;
    }
    /* A millisecond each where little is cut, which beside a fast device is much. */
    if (st == CLM_OK) st = clm_parallel_for(n, choose, choices, &err);
    for (size_t i = 0; i < n; i++) {
        if (st != CLM_OK) choices[i].st = st;
        if (st != CLM_OK) runs[i]->err = err;
        accept_choice(&choices[i]);
    }
}

/* Room for the logits of `rows` rows. */
static clm_status reserve_logits(clm_engine *e, size_t rows, clm_err *err)
{
    float *grown;

    if (rows <= e->logit_rows) return CLM_OK;
    grown = realloc(e->logits, rows * clm_model_file_hparams(e->file)->vocab * sizeof *grown);
    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "answer: no memory");
    e->logits = grown;
    e->logit_rows = rows;
    return CLM_OK;
}

static void choose_all(clm_engine *e, clm_run **runs, size_t n)
{
    clm_err err;
    const clm_status st = reserve_logits(e, n, &err);

    for (size_t i = 0; i < n; i++) {
        note_prompt(runs[i]);
        if (st != CLM_OK) runs[i]->err = err;
        if (st != CLM_OK) end(runs[i], st);
    }
    if (st != CLM_OK) return;
    if (n == 1)
        choose_alone(runs[0], e->logits);
    else
        choose_together(e, runs, n);
}

/* Whether an answer other than `r` is in progress. */
static bool others_wait(clm_run *const *runs, size_t n, const clm_run *r)
{
    for (size_t i = 0; i < n; i++)
        if (runs[i] != r && !runs[i]->ended) return true;
    return false;
}

void clm__run_step(clm_engine *e, clm_run *const *runs, size_t n)
{
    const size_t batch = clm_transformer_batch(e->model);
    const size_t most = batch < CLM_LOGIT_ROWS ? batch : CLM_LOGIT_ROWS;
    clm_run *ready[CLM_LOGIT_ROWS];
    size_t n_ready = 0;
    bool fed = false;

    for (size_t i = 0; i < n; i++) {
        clm_run *r = runs[i];

        if (!r->ended && r->g.stop != NULL &&
            atomic_load_explicit(r->g.stop, memory_order_relaxed) != 0)
            finish(r, CLM_FINISH_INTERRUPTED);
        if (r->ended) continue;
        if (!is_ready(r)) {
            if (!fed) feed(r, others_wait(runs, n, r));
            fed = true;
            continue;
        }
        ready[n_ready++] = r;
        if (n_ready < most) continue;
        choose_all(e, ready, n_ready);
        n_ready = 0;
    }
    if (n_ready > 0) choose_all(e, ready, n_ready);
}
