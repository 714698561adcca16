/* tools/serve/answers.c: the routes that ask the model: whole answers, and streams of server-sent events.
 * See tools/serve/http.h.
 *
 * Source   WHATWG HTML, "Server-sent events": lines "data: ...", empty lines between events, comments
 *          behind a colon.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/clock.h"
#include "tools/serve/http.h"

/* A stream opens when there is text, or after so many seconds: until then a failure has a status of its own. */
static const double open_seconds = 2.0;
/* How often it is looked whether the client is still there. */
static const double look_seconds = 0.25;
/* A stream says so often that it is alive. */
static const double alive_seconds = 5.0;

/* ---- failures -------------------------------------------------------------------------------- */

int clm_exchange_refuse_submit(clm_exchange *x, clm_submit result)
{
    clm_refusal why = {.http = MHD_HTTP_SERVICE_UNAVAILABLE, .type = "unavailable_error"};

    switch (result) {
    case CLM_SUBMIT_LOADING:
        clm_fail(&why.err, CLM_E_USAGE, "Loading model");
        break;
    case CLM_SUBMIT_FULL:
        clm_fail(&why.err, CLM_E_LIMIT, "%d requests are waiting already: try again later",
                 CLM_JOBS_WAITING);
        break;
    case CLM_SUBMIT_CLOSED:
        clm_fail(&why.err, CLM_E_INTERRUPTED, "the server is stopping");
        break;
    default:
        why.http = MHD_HTTP_INTERNAL_SERVER_ERROR;
        why.type = "server_error";
        clm_fail(&why.err, CLM_E_NOMEM, "out of memory");
    }
    return clm_exchange_refuse(x, &why);
}

/* Of an answer that failed, or cannot be given. */
static void refuse_status(clm_status st, const clm_err *err, clm_refusal *why)
{
    *why = (clm_refusal){.http = MHD_HTTP_INTERNAL_SERVER_ERROR, .type = "server_error"};
    why->err = *err;
    if (st == CLM_E_LIMIT) {
        why->http = MHD_HTTP_BAD_REQUEST;
        why->type = "invalid_request_error";
        why->code = "context_length_exceeded";
    } else if (st == CLM_E_USAGE) {
        why->http = MHD_HTTP_BAD_REQUEST;
        why->type = "invalid_request_error";
    } else if (st == CLM_E_INTERRUPTED) {
        why->http = MHD_HTTP_SERVICE_UNAVAILABLE;
        why->type = "unavailable_error";
    }
}

static void note_figures(clm_exchange *x, const clm_job_state *state)
{
    const clm_reply *r = &state->reply;

    clm_fail(&x->note, CLM_OK,
             "waited %.2f s, prompt %zu (%zu cached) in %.2f s, answer %zu at %.1f t/s",
             state->queue_seconds, r->prompt_tokens, r->cached_tokens, r->prompt_seconds,
             r->new_tokens,
             r->decode_seconds > 0.0 ? (double)r->new_tokens / r->decode_seconds : 0.0);
}

/* Of an answer that was begun the figures, and of one that failed why. */
static void note_reply(clm_exchange *x, const clm_job_state *state)
{
    clm_err figures;

    if (state->status == CLM_OK || state->reply.prompt_tokens > 0) note_figures(x, state);
    if (state->status == CLM_OK) return;
    figures = x->note;
    x->note = state->err;
    if (figures.text[0] != '\0') clm_fail_context(&x->note, state->status, "%s", figures.text);
}

void clm_exchange_abandon(clm_exchange *x)
{
    clm_job_state state;

    clm_job_cancel(x->job);
    clm_job_wait(x->job, SIZE_MAX, CLM_HTTP_SECONDS, &state);
    if (!state.done || x->note.text[0] != '\0') return;
    if (state.status != CLM_E_INTERRUPTED)
        note_reply(x, &state);
    else if (state.reply.prompt_tokens > 0)
        note_figures(x, &state);
    else
        clm_fail(&x->note, CLM_OK, "not begun");
}

/* ---- whole answers --------------------------------------------------------------------------- */

/* The answer when it is there; false: the client has gone. */
static bool wait_for_all(clm_exchange *x, clm_job_state *state)
{
    do {
        clm_job_wait(x->job, SIZE_MAX, look_seconds, state);
    } while (!state->done && !clm_exchange_gone(x));
    return state->done;
}

static int send_whole(clm_exchange *x, const clm_answer *answer)
{
    clm_job_state state;
    clm_refusal why;
    char *text, *json = NULL;

    clm_exchange_be_patient(x, true);
    if (!wait_for_all(x, &state)) return MHD_NO;
    clm_exchange_be_patient(x, false);
    note_reply(x, &state);
    if (state.status != CLM_OK) {
        refuse_status(state.status, &state.err, &why);
        return clm_exchange_refuse(x, &why);
    }
    text = malloc(state.size + 1);
    if (text != NULL)
        json = clm_response_whole(answer, text, clm_job_read(x->job, 0, text, state.size),
                                  &state.reply);
    free(text);
    return clm_exchange_send(x, MHD_HTTP_OK, "application/json", json,
                             json != NULL ? strlen(json) : 0);
}

/* ---- streams --------------------------------------------------------------------------------- */

typedef enum stage { OPENING, TEXT, END } stage;

/* Events that are ready, and what has been told so far. */
typedef struct stream {
    clm_exchange *exchange;
    clm_answer answer;
    stage stage;
    bool usage;
    size_t told; /* bytes of the answer */
    char *events;
    size_t n, sent, room;
    double last; /* when something was sent */
} stream;

static bool reserve(stream *s, size_t size)
{
    char *grown;

    if (s->n + size <= s->room) return true;
    grown = realloc(s->events, 2 * (s->n + size));
    if (grown == NULL) return false;
    s->events = grown;
    s->room = 2 * (s->n + size);
    return true;
}

/* Adds "data: JSON" and takes the JSON over; false: no memory. */
static bool add_event(stream *s, char *json)
{
    const size_t size = json != NULL ? strlen(json) : 0;
    const bool good = json != NULL && reserve(s, size + 16);

    if (good) s->n += (size_t)snprintf(s->events + s->n, size + 16, "data: %s\n\n", json);
    free(json);
    return good;
}

static bool add_line(stream *s, const char *line)
{
    const size_t size = strlen(line);

    if (!reserve(s, size)) return false;
    memcpy(s->events + s->n, line, size);
    s->n += size;
    return true;
}

/* Text that has come since; whole characters, as the answer grows by those. */
static bool add_text(stream *s, size_t size)
{
    char *text = malloc(size - s->told + 1);
    size_t n;
    bool good = text != NULL;

    if (good) {
        n = clm_job_read(s->exchange->job, s->told, text, size - s->told);
        good = add_event(s, clm_response_text(&s->answer, text, n, s->usage));
        s->told += n;
    }
    free(text);
    return good;
}

static bool add_end(stream *s, const clm_job_state *state)
{
    clm_refusal why;
    bool good;

    note_reply(s->exchange, state);
    s->stage = END;
    if (state->status != CLM_OK) {
        refuse_status(state->status, &state->err, &why);
        return add_event(s, clm_response_refusal(&why));
    }
    good = add_event(s, clm_response_end(&s->answer, &state->reply, s->usage));
    if (good && s->usage) good = add_event(s, clm_response_usage(&s->answer, &state->reply));
    return good && add_line(s, "data: [DONE]\n\n");
}

/* Waits for more to say; false: the connection is to be closed. */
static bool more(stream *s)
{
    clm_job_state state;

    s->n = s->sent = 0;
    if (s->stage == OPENING) {
        s->stage = TEXT;
        return add_event(s, clm_response_first(&s->answer, s->usage));
    }
    while (s->n == 0) {
        clm_job_wait(s->exchange->job, s->told, look_seconds, &state);
        if (clm_exchange_gone(s->exchange)) return false;
        if (state.size > s->told) {
            if (!add_text(s, state.size)) return false;
        } else if (state.done) {
            return add_end(s, &state);
        } else if (clm_seconds_now() - s->last > alive_seconds && !add_line(s, ": waiting\n\n")) {
            return false;
        }
    }
    return true;
}

/* libmicrohttpd's MHD_ContentReaderCallback. */
static ssize_t read_stream(void *user, uint64_t position, char *out, size_t room)
{
    stream *s = user;
    size_t n;

    (void)position;
    if (s->sent == s->n) {
        if (s->stage == END) return MHD_CONTENT_READER_END_OF_STREAM;
        if (!more(s)) return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    n = s->n - s->sent < room ? s->n - s->sent : room;
    memcpy(out, s->events + s->sent, n);
    s->sent += n;
    s->last = clm_seconds_now();
    return (ssize_t)n;
}

static void free_stream(void *user)
{
    stream *s = user;

    free(s->events);
    free(s);
}

static int send_stream(clm_exchange *x, const clm_answer *answer)
{
    struct MHD_Response *response;
    clm_job_state state;
    clm_refusal why;
    stream *s;

    clm_job_wait(x->job, 0, open_seconds, &state);
    if (state.done && state.status != CLM_OK) {
        note_reply(x, &state);
        refuse_status(state.status, &state.err, &why);
        return clm_exchange_refuse(x, &why);
    }
    s = calloc(1, sizeof *s);
    if (s == NULL) return MHD_NO;
    s->exchange = x;
    s->answer = *answer;
    s->usage = clm_job_request(x->job)->include_usage;
    s->last = clm_seconds_now();
    response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, s, free_stream);
    if (response == NULL) {
        free(s);
        return MHD_NO;
    }
    MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* a proxy passes it on at once */
    return clm_exchange_queue(x, MHD_HTTP_OK, "text/event-stream; charset=utf-8", response);
}

/* ---- the routes ------------------------------------------------------------------------------ */

/* Reads the body, which is freed, and looks whether the answer has a chance. */
static bool read_request(clm_exchange *x, clm_request_kind kind, clm_request *out, clm_refusal *why)
{
    pthread_mutex_t *const reading = clm_server_reading(x->server);
    clm_err err;
    clm_status st;
    bool good;

    pthread_mutex_lock(reading);
    good = clm_request_parse(kind, x->body != NULL ? x->body : "", x->size, out, why);
    free(x->body);
    x->body = NULL;
    st = good ? clm_jobs_check(clm_server_parts_of(x->server)->jobs, out, &err) : CLM_OK;
    pthread_mutex_unlock(reading);
    if (st == CLM_OK) return good;
    clm_request_clear(out);
    refuse_status(st, &err, why);
    return false;
}

static int answer(clm_exchange *x, clm_request_kind kind)
{
    const clm_server_parts *parts = clm_server_parts_of(x->server);
    const clm_answer a = clm_answer_new(kind, parts->model);
    clm_request request;
    clm_refusal why;
    clm_submit result;
    bool streaming;

    if (!read_request(x, kind, &request, &why)) return clm_exchange_refuse(x, &why);
    streaming = request.stream;
    result = clm_jobs_submit(parts->jobs, &request, &x->job);
    if (result != CLM_SUBMIT_TAKEN) {
        clm_request_clear(&request);
        return clm_exchange_refuse_submit(x, result);
    }
    return streaming ? send_stream(x, &a) : send_whole(x, &a);
}

int clm_route_chat(clm_exchange *x)
{
    return answer(x, CLM_REQUEST_CHAT);
}

int clm_route_completion(clm_exchange *x)
{
    return answer(x, CLM_REQUEST_COMPLETION);
}
