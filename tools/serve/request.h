/* tools/serve/request.h: what a client asks for, read from its JSON.
 *
 * Layer    tools.
 * Source   OpenAI's API reference, "Create chat completion" and "Create completion"; top_k, min_p and
 *          repeat_penalty are llama.cpp's.
 *
 * Strict: a field that clm cannot honour is refused by name, unless its value asks for nothing (null,
 * n: 1, tools: []); fields that are about the caller's own bookkeeping (user, metadata) are passed over.
 */
#ifndef CLM_SERVE_REQUEST_H
#define CLM_SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/clm.h"

enum {
    CLM_REQUEST_STOPS = 16,       /* stop texts */
    CLM_REQUEST_MESSAGES = 4096,  /* messages */
    CLM_REQUEST_MARKS = 65536,    /* commas and opening brackets, one for each value at least */
    CLM_REQUEST_STOP_BYTES = 1024 /* of one stop text */
};

typedef enum clm_request_kind { CLM_REQUEST_CHAT, CLM_REQUEST_COMPLETION } clm_request_kind;

/* Owns all that it points to. */
typedef struct clm_request {
    clm_request_kind kind;
    clm_message *messages; /* chat */
    size_t n_messages;
    char *prompt; /* completion */
    size_t prompt_size;
    bool stream, include_usage;

    /* What was given; the engine's defaults count for the rest (clm_request_sampling). */
    bool has_temperature, has_top_p, has_top_k, has_min_p, has_penalty, has_max_tokens, has_seed;
    double temperature, top_p, min_p, penalty;
    uint32_t top_k, max_tokens;
    uint64_t seed;
    char *stop[CLM_REQUEST_STOPS];
    size_t n_stop;
    bool has_stop;
} clm_request;

/* A refusal, as clients of this API expect it. */
typedef struct clm_refusal {
    unsigned http;     /* status code */
    const char *type;  /* "invalid_request_error" ... */
    const char *code;  /* "context_length_exceeded", or NULL */
    char param[64];    /* the field, or "" */
    const char *allow; /* methods, with 405; or NULL */
    clm_err err;       /* the sentence */
} clm_refusal;

/* Reads a body. False: `why` says what is wrong, and there is nothing to clear. */
bool clm_request_parse(clm_request_kind kind, const char *body, size_t size, clm_request *out,
                       clm_refusal *why);
void clm_request_clear(clm_request *r);

/* The request's values over `defaults`; borrows the stop texts. */
clm_sampling clm_request_sampling(const clm_request *r, const clm_sampling *defaults);

#endif
