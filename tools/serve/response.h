/* tools/serve/response.h: what the server says, as JSON.
 *
 * Layer    tools.
 * Source   OpenAI's API reference, "The chat completion object", "The chat completion chunk object",
 *          "The completion object", "List models"; `meta` and `timings` are clm's.
 *
 * Every text is malloc'd; NULL: no memory.
 */
#ifndef CLM_SERVE_RESPONSE_H
#define CLM_SERVE_RESPONSE_H

#include "tools/serve/request.h"

/* One answer, which all its parts name. */
typedef struct clm_answer {
    clm_request_kind kind;
    char id[48];
    long long created; /* seconds since 1970 */
    const char *model;
} clm_answer;

/* A new one, with an id that nobody else has. */
clm_answer clm_answer_new(clm_request_kind kind, const char *model);

char *clm_response_whole(const clm_answer *a, const char *text, size_t size,
                         const clm_reply *reply);

/* The parts of a stream: `first` opens it, text follows, `end` says why it ended, and, where the client
 * asked for them, figures come last. Without: `usage` false, with: the other parts say null. */
char *clm_response_first(const clm_answer *a, bool usage);
char *clm_response_text(const clm_answer *a, const char *text, size_t size, bool usage);
char *clm_response_end(const clm_answer *a, const clm_reply *reply, bool usage);
char *clm_response_usage(const clm_answer *a, const clm_reply *reply);

char *clm_response_refusal(const clm_refusal *why);
char *clm_response_model(const char *model, long long created, const clm_engine_report *about);
/* A list of that one. */
char *clm_response_models(const char *model, long long created, const clm_engine_report *about);

#endif
