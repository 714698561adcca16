/* tools/serve/request.c: see tools/serve/request.h. */
#include "tools/serve/request.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- refusals -------------------------------------------------------------------------------- */

/* `param` "": the body as a whole. Always false. */
__attribute__((format(printf, 3, 4))) static bool refuse(clm_refusal *why, const char *param,
                                                         const char *format, ...)
{
    char text[sizeof why->err.text];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    why->http = 400;
    why->type = "invalid_request_error";
    why->code = NULL;
    /* A long name is the client's own, and cutting it could cut a character: JSON takes whole ones. */
    snprintf(why->param, sizeof why->param, "%s", strlen(param) < sizeof why->param ? param : "");
    clm_fail(&why->err, CLM_E_USAGE, "%s", text);
    return false;
}

static bool no_memory(clm_refusal *why)
{
    refuse(why, "", "out of memory");
    why->http = 500;
    why->type = "server_error";
    return false;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* A field being read: `json` is neither NULL nor null. */
typedef struct field {
    const char *name;
    const json_t *json;
    clm_request *to;
    clm_refusal *why;
} field;

static bool read_real(const field *f, double min, double max, bool above, double *out, bool *has)
{
    const double x = json_number_value(f->json);

    if (!json_is_number(f->json) || !isfinite(x) || x < min || x > max || (above && x <= min))
        return refuse(f->why, f->name, "%s must be a number %s %g and at most %g", f->name,
                      above ? "above" : "of at least", min, max);
    *out = x;
    *has = true;
    return true;
}

enum { MOST_TOKENS = 1048576 };

/* -1, which other servers take for "no limit", is `minus_one`. */
static bool read_u32(const field *f, json_int_t min, json_int_t max, json_int_t minus_one,
                     uint32_t *out, bool *has)
{
    const json_int_t given = json_integer_value(f->json), x = given == -1 ? minus_one : given;

    if (!json_is_integer(f->json) || x < min || x > max)
        return refuse(f->why, f->name,
                      "%s must be a whole number from %" JSON_INTEGER_FORMAT
                      " to %" JSON_INTEGER_FORMAT,
                      f->name, min, max);
    *out = (uint32_t)x;
    *has = true;
    return true;
}

static bool read_bool(const field *f, bool *out)
{
    if (!json_is_boolean(f->json))
        return refuse(f->why, f->name, "%s must be true or false", f->name);
    *out = json_is_true(f->json);
    return true;
}

/* A copy with a NUL behind, which the size does not count. */
static bool copy_text(const json_t *json, char **out, size_t *size, clm_refusal *why)
{
    const size_t n = json_string_length(json);

    *out = malloc(n + 1);
    if (*out == NULL) return no_memory(why);
    memcpy(*out, json_string_value(json), n);
    (*out)[n] = '\0';
    *size = n;
    return true;
}

static bool temperature(const field *f)
{
    return read_real(f, 0.0, 100.0, false, &f->to->temperature, &f->to->has_temperature);
}

static bool top_p(const field *f)
{
    return read_real(f, 0.0, 1.0, true, &f->to->top_p, &f->to->has_top_p);
}

static bool min_p(const field *f)
{
    return read_real(f, 0.0, 1.0, false, &f->to->min_p, &f->to->has_min_p);
}

/* Of two fields with one meaning. `had`: the other one has been read. */
static bool agrees(const field *f, bool had, bool same, const char *names)
{
    return !had || same || refuse(f->why, f->name, "%s mean the same, and disagree", names);
}

static bool penalty(const field *f)
{
    const bool had = f->to->has_penalty;
    const double other = f->to->penalty;

    return read_real(f, 0.0, 10.0, true, &f->to->penalty, &f->to->has_penalty) &&
           agrees(f, had, f->to->penalty == other, "repeat_penalty and repetition_penalty");
}

static bool top_k(const field *f)
{
    return read_u32(f, 0, INT32_MAX, 0, &f->to->top_k, &f->to->has_top_k);
}

static bool max_tokens(const field *f)
{
    const bool had = f->to->has_max_tokens;
    const uint32_t other = f->to->max_tokens;

    return read_u32(f, 1, MOST_TOKENS, MOST_TOKENS, &f->to->max_tokens, &f->to->has_max_tokens) &&
           agrees(f, had, f->to->max_tokens == other, "max_tokens and max_completion_tokens");
}

/* 0 is a seed like any other here, but "from the system" in the runtime; -1 asks for that. */
static bool seed(const field *f)
{
    const json_int_t x = json_integer_value(f->json);

    if (!json_is_integer(f->json)) return refuse(f->why, f->name, "seed must be a whole number");
    f->to->has_seed = x != -1;
    f->to->seed = x != 0 ? (uint64_t)x : UINT64_MAX;
    return true;
}

static bool stream(const field *f)
{
    return read_bool(f, &f->to->stream);
}

static bool stream_options(const field *f)
{
    const char *name;
    json_t *value;

    if (!json_is_object(f->json))
        return refuse(f->why, f->name, "stream_options must be an object");
    json_object_foreach((json_t *)f->json, name, value)
    {
        const field inner = {"stream_options.include_usage", value, f->to, f->why};
        bool ignored;

        if (json_is_null(value)) continue;
        if (strcmp(name, "include_usage") == 0) {
            if (!read_bool(&inner, &f->to->include_usage)) return false;
        } else if (strcmp(name, "include_obfuscation") == 0) {
            if (!read_bool(&inner, &ignored)) return false;
        } else {
            return refuse(f->why, f->name, "stream_options has no field '%.60s'", name);
        }
    }
    return true;
}

static bool add_stop(const field *f, const json_t *text)
{
    clm_request *r = f->to;
    size_t size;

    if (!json_is_string(text) || json_string_length(text) == 0 ||
        json_string_length(text) > CLM_REQUEST_STOP_BYTES ||
        strlen(json_string_value(text)) != json_string_length(text))
        return refuse(f->why, f->name, "stop texts have 1 to %d bytes, none of them 0",
                      CLM_REQUEST_STOP_BYTES);
    if (r->n_stop == CLM_REQUEST_STOPS)
        return refuse(f->why, f->name, "stop may have %d texts", CLM_REQUEST_STOPS);
    if (!copy_text(text, &r->stop[r->n_stop], &size, f->why)) return false;
    r->n_stop++;
    return true;
}

static bool stop(const field *f)
{
    f->to->has_stop = true;
    if (json_is_string(f->json)) return add_stop(f, f->json);
    if (!json_is_array(f->json))
        return refuse(f->why, f->name, "stop must be a text or a list of texts");
    for (size_t i = 0; i < json_array_size(f->json); i++)
        if (!add_stop(f, json_array_get(f->json, i))) return false;
    return true;
}

static bool prompt(const field *f)
{
    const json_t *text = f->json;

    if (json_is_array(text) && json_array_size(text) == 1) text = json_array_get(text, 0);
    if (!json_is_string(text))
        return refuse(f->why, f->name, "prompt must be one text (clm takes no lists and no ids)");
    return copy_text(text, &f->to->prompt, &f->to->prompt_size, f->why);
}

/* ---- messages -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    clm_chat_role role;
} roles[] = {{"system", CLM_ROLE_SYSTEM},
             {"developer", CLM_ROLE_SYSTEM},
             {"user", CLM_ROLE_USER},
             {"assistant", CLM_ROLE_ASSISTANT}};
enum { N_ROLES = sizeof roles / sizeof *roles };

static bool read_role(const field *f, size_t at, const json_t *json, clm_chat_role *out)
{
    const char *name = json_string_value(json);

    for (size_t i = 0; name != NULL && i < N_ROLES; i++) {
        *out = roles[i].role;
        if (strcmp(roles[i].name, name) == 0) return true;
    }
    return refuse(f->why, f->name,
                  "messages[%zu].role must be system, developer, user or assistant%s", at,
                  name != NULL && strcmp(name, "tool") == 0 ? " (clm calls no tools)" : "");
}

/* The parts of a content list, one behind the other. */
static bool join_parts(const field *f, size_t at, const json_t *parts, char **out, size_t *size)
{
    size_t total = 0, used = 0;

    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");

        if (type == NULL || strcmp(type, "text") != 0 || !json_is_string(text))
            return refuse(f->why, f->name,
                          "messages[%zu].content: only parts of type text, not '%.40s'", at,
                          type != NULL ? type : "?");
        total += json_string_length(text);
    }
    *out = malloc(total + 1);
    if (*out == NULL) return no_memory(f->why);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *text = json_object_get(json_array_get(parts, i), "text");

        memcpy(*out + used, json_string_value(text), json_string_length(text));
        used += json_string_length(text);
    }
    (*out)[used] = '\0';
    *size = used;
    return true;
}

/* Fields of a message that say nothing which the model could read. */
static bool message_fields(const field *f, size_t at, const json_t *message)
{
    static const char *const known[] = {"role",    "content",           "name",
                                        "refusal", "reasoning_content", "annotations"};
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)message, name, value)
    {
        bool found = json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(known[i], name) == 0;
        if (!found)
            return refuse(f->why, f->name, "messages[%zu].%.60s is not supported", at, name);
    }
    return true;
}

static bool read_message(const field *f, size_t at, const json_t *json)
{
    clm_message *m = &f->to->messages[at];
    const json_t *content = json_object_get(json, "content");
    char *text = NULL;
    bool good;

    if (!json_is_object(json))
        return refuse(f->why, f->name, "messages[%zu] must be an object", at);
    if (!message_fields(f, at, json) || !read_role(f, at, json_object_get(json, "role"), &m->role))
        return false;
    if (json_is_string(content))
        good = copy_text(content, &text, &m->size, f->why);
    else if (json_is_array(content))
        good = join_parts(f, at, content, &text, &m->size);
    else
        good = refuse(f->why, f->name, "messages[%zu].content must be a text", at);
    m->text = text;
    return good;
}

static bool messages(const field *f)
{
    const size_t n = json_array_size(f->json);

    if (!json_is_array(f->json) || n == 0)
        return refuse(f->why, f->name, "messages must be a list with at least one message");
    if (n > CLM_REQUEST_MESSAGES)
        return refuse(f->why, f->name, "messages may have %d entries", CLM_REQUEST_MESSAGES);
    f->to->messages = calloc(n, sizeof *f->to->messages);
    if (f->to->messages == NULL) return no_memory(f->why);
    f->to->n_messages = n;
    for (size_t i = 0; i < n; i++) {
        if (!read_message(f, i, json_array_get(f->json, i))) return false;
        if (i > 0 && f->to->messages[i].role == CLM_ROLE_SYSTEM)
            return refuse(f->why, f->name,
                          "messages[%zu]: models here know one system message, the first", i);
    }
    if (f->to->messages[n - 1].role != CLM_ROLE_USER)
        return refuse(f->why, f->name, "the last message must be the user's");
    return true;
}

/* ---- fields that clm has no use for ------------------------------------------------------------ */

static bool ignored(const field *f)
{
    (void)f;
    return true;
}

static bool model(const field *f)
{
    return json_is_string(f->json) || refuse(f->why, f->name, "model must be a text");
}

static bool only(const field *f, bool allowed, const char *value)
{
    return allowed ||
           refuse(f->why, f->name, "%s is not supported: leave it out, or give %s", f->name, value);
}

static bool only_one(const field *f)
{
    return only(f, json_is_integer(f->json) && json_integer_value(f->json) == 1, "1");
}

static bool only_zero(const field *f)
{
    return only(f, json_is_number(f->json) && json_number_value(f->json) == 0.0, "0");
}

static bool only_false(const field *f)
{
    return only(f, json_is_false(f->json), "false");
}

static bool only_empty(const field *f)
{
    const bool empty = (json_is_array(f->json) && json_array_size(f->json) == 0) ||
                       (json_is_object(f->json) && json_object_size(f->json) == 0) ||
                       (json_is_string(f->json) && json_string_length(f->json) == 0);

    return only(f, empty, "an empty one");
}

static bool only_none(const field *f)
{
    const char *text = json_string_value(f->json);

    return only(f, text != NULL && (strcmp(text, "none") == 0 || strcmp(text, "auto") == 0),
                "\"none\"");
}

static bool only_text(const field *f)
{
    const char *type = json_string_value(json_object_get(f->json, "type"));

    return only(f, type != NULL && strcmp(type, "text") == 0, "{\"type\": \"text\"}");
}

/* ---- the table ------------------------------------------------------------------------------- */

enum { CHAT = 1u << CLM_REQUEST_CHAT, COMPLETION = 1u << CLM_REQUEST_COMPLETION, BOTH = 3 };

static const struct {
    const char *name;
    unsigned kinds;
    bool (*read)(const field *f);
} fields[] = {
    {"messages", CHAT, messages},
    {"prompt", COMPLETION, prompt},
    {"model", BOTH, model},
    {"stream", BOTH, stream},
    {"stream_options", BOTH, stream_options},
    {"temperature", BOTH, temperature},
    {"top_p", BOTH, top_p},
    {"top_k", BOTH, top_k},
    {"min_p", BOTH, min_p},
    {"repeat_penalty", BOTH, penalty},
    {"repetition_penalty", BOTH, penalty},
    {"max_tokens", BOTH, max_tokens},
    {"max_completion_tokens", CHAT, max_tokens},
    {"seed", BOTH, seed},
    {"stop", BOTH, stop},
    {"user", BOTH, ignored},
    {"metadata", CHAT, ignored},
    {"store", CHAT, ignored},
    {"service_tier", CHAT, ignored},
    {"safety_identifier", CHAT, ignored},
    {"prompt_cache_key", CHAT, ignored},
    {"parallel_tool_calls", CHAT, ignored},
    {"cache_prompt", BOTH, ignored},
    {"n", BOTH, only_one},
    {"best_of", COMPLETION, only_one},
    {"echo", COMPLETION, only_false},
    {"suffix", COMPLETION, only_empty},
    {"presence_penalty", BOTH, only_zero},
    {"frequency_penalty", BOTH, only_zero},
    {"logit_bias", BOTH, only_empty},
    {"logprobs", BOTH, only_false},
    {"top_logprobs", CHAT, only_zero},
    {"tools", CHAT, only_empty},
    {"functions", CHAT, only_empty},
    {"tool_choice", CHAT, only_none},
    {"function_call", CHAT, only_none},
    {"response_format", CHAT, only_text},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static bool refuse_unknown(clm_refusal *why, clm_request_kind kind, const char *name)
{
    const char *names[N_FIELDS], *nearest;
    size_t n = 0;

    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].kinds & 1u << kind) names[n++] = fields[i].name;
    nearest = clm_word_nearest(name, names, n);
    return refuse(why, name, "'%.60s' is not supported%s%s%s", name,
                  nearest != NULL ? ": did you mean '" : "", nearest != NULL ? nearest : "",
                  nearest != NULL ? "'?" : "");
}

static bool read_field(clm_request_kind kind, const field *f)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if ((fields[i].kinds & 1u << kind) && strcmp(fields[i].name, f->name) == 0)
            return json_is_null(f->json) || fields[i].read(f);
    return refuse_unknown(f->why, kind, f->name);
}

static bool read_body(clm_request_kind kind, json_t *body, clm_request *out, clm_refusal *why)
{
    const char *name;
    json_t *value;

    if (!json_is_object(body)) return refuse(why, "", "the body must be a JSON object");
    json_object_foreach(body, name, value)
    {
        const field f = {name, value, out, why};

        if (!read_field(kind, &f)) return false;
    }
    if (kind == CLM_REQUEST_CHAT && out->messages == NULL)
        return refuse(why, "messages", "messages is missing");
    if (kind == CLM_REQUEST_COMPLETION && out->prompt == NULL)
        return refuse(why, "prompt", "prompt is missing");
    return true;
}

/* Commas and opening brackets outside of texts. Each value but the outermost has one in front, and takes
 * memory while it is read. */
static size_t count_marks(const char *body, size_t size)
{
    bool quoted = false;
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        const char c = body[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == '{' || c == ','))
            n++;
    }
    return n;
}

bool clm_request_parse(clm_request_kind kind, const char *body, size_t size, clm_request *out,
                       clm_refusal *why)
{
    json_error_t error;
    json_t *json;
    bool good;

    memset(out, 0, sizeof *out);
    memset(why, 0, sizeof *why);
    out->kind = kind;
    if (size == 0) return refuse(why, "", "the body is empty: a JSON object is wanted");
    if (count_marks(body, size) > CLM_REQUEST_MARKS)
        return refuse(why, "", "the JSON has more than %d commas and opening brackets",
                      CLM_REQUEST_MARKS);
    json = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json == NULL)
        return refuse(why, "", "the body is not JSON: %s (line %d, column %d)", error.text,
                      error.line, error.column);
    good = read_body(kind, json, out, why);
    json_decref(json);
    if (!good) clm_request_clear(out);
    return good;
}

void clm_request_clear(clm_request *r)
{
    for (size_t i = 0; i < r->n_messages; i++) free((char *)r->messages[i].text);
    for (size_t i = 0; i < r->n_stop; i++) free(r->stop[i]);
    free(r->messages);
    free(r->prompt);
    memset(r, 0, sizeof *r);
}

clm_sampling clm_request_sampling(const clm_request *r, const clm_sampling *defaults)
{
    clm_sampling s = *defaults;

    if (r->has_temperature) s.temperature = r->temperature;
    if (r->has_top_p) s.top_p = r->top_p;
    if (r->has_top_k) s.top_k = r->top_k;
    if (r->has_min_p) s.min_p = r->min_p;
    if (r->has_penalty) s.repetition_penalty = r->penalty;
    if (r->has_max_tokens) s.max_new_tokens = r->max_tokens;
    if (r->has_stop) s.stop = (const char *const *)r->stop;
    if (r->has_stop) s.n_stop = r->n_stop;
    return s;
}
