/* runtime/session.c: a conversation: rounds, what of them fits the context, interruption. See
 * runtime/clm.h. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/choose.h"
#include "host/grow.h"
#include "runtime/generate.h"

struct clm_session {
    clm_engine *engine;
    clm_sampler *sampler;
    uint64_t seed;
    char *system;        /* "" for none */
    clm_message *rounds; /* user and assistant in turn; texts are malloc'd */
    size_t n_messages, room;
    size_t n_tokens; /* of the conversation, when the last answer ended */
    /* Of the answer in progress: */
    uint32_t max_new_tokens;
    size_t n_forgotten; /* the first messages, which do not fit; they go when the answer is there */
    clm_run *run;       /* or NULL */
    atomic_int interrupted; /* set from other threads and signal handlers */
};

clm_status clm_session_create(clm_engine *e, const char *system, uint64_t seed, clm_session **out,
                              clm_err *err)
{
    clm_session *s = calloc(1, sizeof *s);
    clm_status st = CLM_OK;

    *out = NULL;
    if (s == NULL) return clm_fail(err, CLM_E_NOMEM, "session: no memory");
    s->engine = e;
    s->seed = seed != 0 ? seed : clm_seed_from_system();
    if ((system == NULL || system[0] == '\0') && e->default_system != NULL)
        system = e->default_system;
    s->system = strdup(system != NULL ? system : "");
    if (s->system == NULL) st = clm_fail(err, CLM_E_NOMEM, "session: no memory");
    if (st == CLM_OK)
        st = clm_sampler_create(clm_model_file_hparams(e->file)->vocab, s->seed, &s->sampler, err);
    if (st == CLM_OK) {
        *out = s;
        return CLM_OK;
    }
    clm_session_destroy(s);
    return st;
}

void clm_session_destroy(clm_session *s)
{
    clm_reply ignored;

    if (s == NULL) return;
    if (s->run != NULL) clm_session_end(s, &ignored, NULL);
    clm_session_clear(s);
    free(s->rounds);
    free(s->system);
    clm_sampler_destroy(s->sampler);
    free(s);
}

uint64_t clm_session_seed(const clm_session *s)
{
    return s->seed;
}

/* ---- the list of messages -------------------------------------------------------------------- */

/* Forgets `n` messages from `first` on. */
static void remove_messages(clm_session *s, size_t first, size_t n)
{
    if (n == 0) return;
    for (size_t i = first; i < first + n; i++) free((char *)s->rounds[i].text);
    memmove(s->rounds + first, s->rounds + first + n,
            (s->n_messages - first - n) * sizeof *s->rounds);
    s->n_messages -= n;
}

static clm_status add_message(clm_session *s, clm_chat_role role, const char *text, size_t size,
                              clm_err *err)
{
    clm_message *grown = clm_grow(s->rounds, &s->room, s->n_messages + 1, sizeof *grown);
    char *copy;

    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "session: no memory");
    s->rounds = grown;
    copy = malloc(size + 1);
    if (copy == NULL) return clm_fail(err, CLM_E_NOMEM, "session: no memory");
    if (size > 0) memcpy(copy, text, size);
    copy[size] = '\0';
    s->rounds[s->n_messages++] = (clm_message){role, copy, size};
    return CLM_OK;
}

void clm_session_clear(clm_session *s)
{
    remove_messages(s, 0, s->n_messages);
}

void clm_session_usage(const clm_session *s, size_t *rounds, size_t *tokens)
{
    *rounds = 0;
    for (size_t i = 0; i < s->n_messages; i++) *rounds += s->rounds[i].role == CLM_ROLE_USER;
    *tokens = s->n_messages > 0 ? s->n_tokens : 0;
}

void clm_session_interrupt(clm_session *s)
{
    atomic_store_explicit(&s->interrupted, 1, memory_order_relaxed);
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* Ids of messages behind the session's system text; max_input as in clm_template_encode. */
static clm_status encode_messages(const clm_session *s, const clm_message *messages,
                                  size_t n_messages, size_t max_input, int **ids, size_t *n,
                                  size_t *n_dropped, clm_err *err)
{
    size_t n_system = s->system[0] != '\0' ? 1 : 0;
    clm_message *all = malloc((n_system + n_messages + 1) * sizeof *all);
    clm_status st;

    *ids = NULL;
    if (all == NULL) return clm_fail(err, CLM_E_NOMEM, "session: no memory");
    all[0] = (clm_message){CLM_ROLE_SYSTEM, s->system, strlen(s->system)};
    memcpy(all + n_system, messages, n_messages * sizeof *all);
    st = clm_template_encode(s->engine->chat_template, s->engine->tokenizer, all,
                             n_system + n_messages, max_input, ids, n, n_dropped, err);
    free(all);
    return st;
}

/* Ids of the conversation without its first `skip` messages. */
static clm_status encode(const clm_session *s, size_t skip, size_t max_input, int **ids, size_t *n,
                         size_t *n_dropped, clm_err *err)
{
    return encode_messages(s, s->rounds + skip, s->n_messages - skip, max_input, ids, n, n_dropped,
                           err);
}

bool clm_session_undo(clm_session *s)
{
    size_t first = s->n_messages;
    int *ids = NULL;

    if (first == 0) return false;
    while (first > 0 && s->rounds[first - 1].role != CLM_ROLE_USER) first--;
    if (first > 0) first--;
    remove_messages(s, first, s->n_messages - first);
    if (encode(s, 0, 0, &ids, &s->n_tokens, NULL, NULL) != CLM_OK) s->n_tokens = 0;
    free(ids);
    return true;
}

/* Prompt of the conversation. Rounds that do not fit are forgotten for good when the answer is there, so
 * that the cache stays useful in the next round. Half of the context, or max_new_tokens if that is less, is kept
 * for the answer, as long as the question itself leaves so much. */
static clm_status make_prompt(clm_session *s, int **ids, size_t *n, size_t *rounds_dropped,
                              clm_err *err)
{
    size_t ctx = clm_transformer_ctx(s->engine->model), newest, max_input, dropped = 0;
    size_t answer = s->max_new_tokens < ctx / 2 ? s->max_new_tokens : ctx / 2;
    clm_status st = encode(s, s->n_messages - 1, 0, ids, &newest, NULL, err);

    *rounds_dropped = 0;
    if (st != CLM_OK) return st;
    free(*ids);
    *ids = NULL;
    if (newest >= ctx)
        return clm_fail(
            err, CLM_E_LIMIT,
            "the question has %zu tokens and the context only %zu: shorten it or raise ctx_size",
            newest, ctx);
    max_input = newest > ctx - answer ? newest : ctx - answer;
    st = encode(s, 0, max_input, ids, n, &dropped, err);
    if (st != CLM_OK) return st;
    for (size_t i = 0; i < dropped && i < s->n_messages; i++)
        *rounds_dropped += s->rounds[i].role == CLM_ROLE_USER;
    s->n_forgotten = dropped < s->n_messages ? dropped : s->n_messages - 1;
    return CLM_OK;
}

/* clm_generation's shrink: forgets the oldest round while an answer is being made. */
static clm_status drop_oldest_round(void *owner, int **prompt, size_t *n, clm_err *err)
{
    clm_session *s = owner;
    size_t end = s->n_forgotten + 1;

    *prompt = NULL;
    while (end < s->n_messages && s->rounds[end].role != CLM_ROLE_USER) end++;
    if (end >= s->n_messages) return CLM_OK; /* only the question in progress is left */
    s->n_forgotten = end;
    return encode(s, end, 0, prompt, n, NULL, err);
}

/* ---- answers --------------------------------------------------------------------------------- */

static clm_generation generation(clm_session *s, const clm_sampling *sampling, clm_text_fn fn,
                                 void *user)
{
    return (clm_generation){.engine = s->engine,
                            .sampler = s->sampler,
                            .sampling = *sampling,
                            .fn = fn,
                            .user = user,
                            .stop = &s->interrupted};
}

/* An answer in the template of the model. */
static clm_generation chat_generation(clm_session *s, const clm_sampling *sampling, clm_text_fn fn,
                                      void *user)
{
    const clm_template t = s->engine->chat_template;
    clm_generation g = generation(s, sampling, fn, user);

    g.n_end_ids = clm_template_stop_ids(t, s->engine->tokenizer, g.end_ids);
    g.stop_text = clm_template_stop_text(t);
    g.drop_leading_space = true;
    return g;
}

static clm_status check_idle(const clm_session *s, clm_err *err)
{
    if (s->run == NULL) return CLM_OK;
    return clm_fail(err, CLM_E_USAGE, "the session's last answer has not been taken yet");
}

/* Until the answer in progress has ended. */
static void run_alone(clm_session *s)
{
    while (!clm__run_ended(s->run)) clm__run_step(s->engine, &s->run, 1);
}

/* The end of it. `answer` as of clm__run_end. */
static clm_status end_run(clm_session *s, clm_text_buf *answer, clm_reply *reply, clm_err *err)
{
    const clm_status st = clm__run_end(s->run, answer, reply, err);

    s->run = NULL;
    return st;
}

/* The end of a round: an answer takes the places of the rounds that did not fit; a question that got none
 * leaves the conversation as it was. */
static clm_status settle(clm_session *s, clm_status st, const clm_text_buf *answer,
                         clm_reply *reply, clm_err *err)
{
    if (st == CLM_OK && (reply->finish != CLM_FINISH_INTERRUPTED || answer->size > 0)) {
        st = add_message(s, CLM_ROLE_ASSISTANT, answer->data, answer->size, err);
        reply->kept = st == CLM_OK;
    }
    if (reply->kept) {
        remove_messages(s, 0, s->n_forgotten);
    } else {
        reply->dropped_rounds = 0;
        remove_messages(s, s->n_messages - 1, 1);
    }
    s->n_forgotten = 0;
    return st;
}

clm_status clm_session_ask(clm_session *s, const char *text, size_t size,
                           const clm_sampling *sampling, clm_text_fn fn, void *user,
                           clm_reply *reply, clm_err *err)
{
    clm_text_buf answer = {0};
    int *prompt = NULL;
    size_t n_prompt, dropped = 0;
    clm_generation g = chat_generation(s, sampling, fn, user);
    clm_status st = check_idle(s, err);

    memset(reply, 0, sizeof *reply);
    if (st == CLM_OK) st = add_message(s, CLM_ROLE_USER, text, size, err);
    if (st != CLM_OK) return st;
    s->max_new_tokens = sampling->max_new_tokens;
    g.shrink = drop_oldest_round;
    g.owner = s;
    st = make_prompt(s, &prompt, &n_prompt, &dropped, err);
    if (st == CLM_OK) st = clm__run_begin(&g, prompt, n_prompt, &s->run, err);
    if (st == CLM_OK) {
        run_alone(s);
        st = end_run(s, &answer, reply, err);
    }
    reply->dropped_rounds += dropped;
    st = settle(s, st, &answer, reply, err);
    if (reply->kept) s->n_tokens = reply->context_tokens;
    s->interrupted = 0;
    free(prompt);
    free(answer.data);
    return st;
}

/* ---- answers that others may be computed with ---------------------------------------------------- */

clm_status clm_session_begin_reply(clm_session *s, const clm_message *messages, size_t n,
                                   const clm_sampling *sampling, clm_text_fn fn, void *user,
                                   clm_err *err)
{
    const size_t ctx = clm_transformer_ctx(s->engine->model);
    const clm_generation g = chat_generation(s, sampling, fn, user);
    int *prompt = NULL;
    size_t n_prompt = 0;
    clm_status st = check_idle(s, err);

    if (st != CLM_OK) return st;
    if (n == 0 || messages[n - 1].role != CLM_ROLE_USER)
        return clm_fail(err, CLM_E_USAGE, "the last message must be the user's");
    st = encode_messages(s, messages, n, 0, &prompt, &n_prompt, NULL, err);
    if (st == CLM_OK && n_prompt >= ctx)
        st = clm_fail(err, CLM_E_LIMIT,
                      "the conversation has %zu tokens and the context only %zu: leave out what is "
                      "oldest, or raise ctx_size",
                      n_prompt, ctx);
    if (st == CLM_OK) st = clm__run_begin(&g, prompt, n_prompt, &s->run, err);
    free(prompt);
    return st;
}

clm_status clm_session_begin_complete(clm_session *s, const char *text, size_t size,
                                      const clm_sampling *sampling, clm_text_fn fn, void *user,
                                      clm_err *err)
{
    const clm_generation g = generation(s, sampling, fn, user);
    int *prompt = NULL;
    size_t n = 0;
    clm_status st = check_idle(s, err);

    if (st == CLM_OK)
        st = clm_tokenizer_encode_sequence(s->engine->tokenizer, text, size, &prompt, &n, err);
    if (st == CLM_OK) st = clm__run_begin(&g, prompt, n, &s->run, err);
    free(prompt);
    return st;
}

clm_status clm_session_choose(clm_session *s, const char *text, size_t size,
                              const char *const *choices, size_t n, double *probabilities,
                              clm_choice *out, clm_err *err)
{
    clm_status st = check_idle(s, err);

    memset(out, 0, sizeof *out);
    if (st != CLM_OK) return st;
    st = clm__choose(s->engine, &s->interrupted, text, size, choices, n, probabilities, out, err);
    /* One that came too late for this question is for the next: a row of them would miss it. */
    if (st == CLM_E_INTERRUPTED) s->interrupted = 0;
    return st;
}

clm_status clm_engine_step(clm_engine *e, clm_session *const *sessions, size_t n, clm_err *err)
{
    clm_run **runs = malloc((n + 1) * sizeof *runs);
    size_t n_runs = 0;

    if (runs == NULL) return clm_fail(err, CLM_E_NOMEM, "answers: no memory");
    for (size_t i = 0; i < n; i++)
        if (sessions[i]->run != NULL) runs[n_runs++] = sessions[i]->run;
    clm__run_step(e, runs, n_runs);
    free(runs);
    return CLM_OK;
}

bool clm_session_done(const clm_session *s)
{
    return s->run == NULL || clm__run_ended(s->run);
}

clm_status clm_session_end(clm_session *s, clm_reply *reply, clm_err *err)
{
    clm_text_buf answer;
    clm_status st;

    memset(reply, 0, sizeof *reply);
    if (s->run == NULL) return clm_fail(err, CLM_E_USAGE, "no answer of the session was begun");
    st = end_run(s, &answer, reply, err);
    s->interrupted = 0;
    free(answer.data);
    return st;
}

clm_status clm_session_complete(clm_session *s, const char *text, size_t size,
                                const clm_sampling *sampling, clm_text_fn fn, void *user,
                                clm_reply *reply, clm_err *err)
{
    const clm_status st = clm_session_begin_complete(s, text, size, sampling, fn, user, err);

    memset(reply, 0, sizeof *reply);
    if (st != CLM_OK) {
        s->interrupted = 0;
        return st;
    }
    run_alone(s);
    return clm_session_end(s, reply, err);
}
