/* tools/serve/response.c: see tools/serve/response.h. */
#include "tools/serve/response.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Takes `json` over. */
static char *text_of(json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

clm_answer clm_answer_new(clm_request_kind kind, const char *model)
{
    clm_answer a = {.kind = kind, .created = (long long)time(NULL), .model = model};
    unsigned char random[12] = {0};
    size_t used;

    /* Only told apart by it: the clock's fraction does where the system has no random bytes. */
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        memcpy(random, &t, sizeof random);
    }
    used =
        (size_t)snprintf(a.id, sizeof a.id, "%s", kind == CLM_REQUEST_CHAT ? "chatcmpl-" : "cmpl-");
    for (size_t i = 0; i < sizeof random; i++, used += 2)
        snprintf(a.id + used, sizeof a.id - used, "%02x", random[i]);
    return a;
}

static const char *finish_reason(const clm_reply *r)
{
    return r->finish == CLM_FINISH_LENGTH || r->finish == CLM_FINISH_CONTEXT ? "length" : "stop";
}

static json_t *usage_of(const clm_reply *r)
{
    return json_pack("{s:I,s:I,s:I,s:{s:I},s:{s:f,s:f}}", "prompt_tokens",
                     (json_int_t)r->prompt_tokens, "completion_tokens", (json_int_t)r->new_tokens,
                     "total_tokens", (json_int_t)(r->prompt_tokens + r->new_tokens),
                     "prompt_tokens_details", "cached_tokens", (json_int_t)r->cached_tokens,
                     "timings", "prompt_seconds", r->prompt_seconds, "decode_seconds",
                     r->decode_seconds);
}

/* The object around `choices`, which it takes over. */
static json_t *envelope(const clm_answer *a, bool chunk, json_t *choices)
{
    const char *chat = chunk ? "chat.completion.chunk" : "chat.completion";

    return json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", a->id, "object",
                     a->kind == CLM_REQUEST_CHAT ? chat : "text_completion", "created",
                     (json_int_t)a->created, "model", a->model, "choices", choices);
}

char *clm_response_whole(const clm_answer *a, const char *text, size_t size, const clm_reply *reply)
{
    json_t *choice, *all;

    if (a->kind == CLM_REQUEST_CHAT)
        choice =
            json_pack("{s:i,s:{s:s,s:s%},s:n,s:s}", "index", 0, "message", "role", "assistant",
                      "content", text, size, "logprobs", "finish_reason", finish_reason(reply));
    else
        choice = json_pack("{s:i,s:s%,s:n,s:s}", "index", 0, "text", text, size, "logprobs",
                           "finish_reason", finish_reason(reply));
    all = envelope(a, false, json_pack("[o]", choice));
    if (all != NULL && json_object_set_new(all, "usage", usage_of(reply)) != 0) {
        json_decref(all);
        return NULL;
    }
    return text_of(all);
}

/* One part of a stream; takes `delta` over, `finish` NULL: it goes on. */
static char *part(const clm_answer *a, json_t *delta, const char *finish, bool usage)
{
    json_t *reason = finish != NULL ? json_string(finish) : json_null(), *choice, *all;

    if (a->kind == CLM_REQUEST_CHAT)
        choice = json_pack("{s:i,s:o,s:n,s:o}", "index", 0, "delta", delta, "logprobs",
                           "finish_reason", reason);
    else
        choice = json_pack("{s:i,s:o,s:n,s:o}", "index", 0, "text", delta, "logprobs",
                           "finish_reason", reason);
    all = envelope(a, true, json_pack("[o]", choice));
    if (all != NULL && usage) json_object_set_new(all, "usage", json_null());
    return text_of(all);
}

static json_t *delta_of(const clm_answer *a, const char *text, size_t size)
{
    if (a->kind == CLM_REQUEST_COMPLETION) return json_stringn(text, size);
    return size > 0 ? json_pack("{s:s%}", "content", text, size) : json_object();
}

char *clm_response_first(const clm_answer *a, bool usage)
{
    if (a->kind == CLM_REQUEST_COMPLETION) return part(a, json_string(""), NULL, usage);
    return part(a, json_pack("{s:s,s:s}", "role", "assistant", "content", ""), NULL, usage);
}

char *clm_response_text(const clm_answer *a, const char *text, size_t size, bool usage)
{
    return part(a, delta_of(a, text, size), NULL, usage);
}

char *clm_response_end(const clm_answer *a, const clm_reply *reply, bool usage)
{
    return part(a, delta_of(a, "", 0), finish_reason(reply), usage);
}

char *clm_response_usage(const clm_answer *a, const clm_reply *reply)
{
    json_t *all = envelope(a, true, json_array());

    if (all != NULL) json_object_set_new(all, "usage", usage_of(reply));
    return text_of(all);
}

char *clm_response_refusal(const clm_refusal *why)
{
    json_t *code = why->code != NULL ? json_string(why->code) : json_integer((json_int_t)why->http);
    json_t *param = why->param[0] != '\0' ? json_string(why->param) : json_null();

    return text_of(json_pack("{s:{s:s,s:s,s:o,s:o}}", "error", "message", why->err.text, "type",
                             why->type, "param", param, "code", code));
}

static json_t *model_of(const char *model, long long created, const clm_engine_report *about)
{
    return json_pack("{s:s,s:s,s:I,s:s,s:{s:I,s:s,s:s}}", "id", model, "object", "model", "created",
                     (json_int_t)created, "owned_by", "clm", "meta", "n_ctx",
                     (json_int_t)about->ctx_size, "device", about->device, "template",
                     about->chat_template);
}

char *clm_response_model(const char *model, long long created, const clm_engine_report *about)
{
    return text_of(model_of(model, created, about));
}

char *clm_response_models(const char *model, long long created, const clm_engine_report *about)
{
    return text_of(
        json_pack("{s:s,s:[o]}", "object", "list", "data", model_of(model, created, about)));
}
