/* fuzz_request.c: the body of a request to clm serve with any content: it is understood, and then what it holds
 * is within the promised bounds, or refused with a sentence that can be sent back as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/serve/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const clm_request *r)
{
    static const char *const nothing[1] = {NULL};
    const clm_sampling defaults = {.temperature = 1.0,
                                   .top_p = 1.0,
                                   .repetition_penalty = 1.0,
                                   .max_new_tokens = 1,
                                   .stop = nothing};
    const clm_sampling s = clm_request_sampling(r, &defaults);
    size_t bytes = 0;

    if (!(s.temperature >= 0.0) || !(s.top_p > 0.0 && s.top_p <= 1.0) || s.max_new_tokens == 0)
        abort();
    if (!(s.min_p >= 0.0 && s.min_p <= 1.0) || !(s.repetition_penalty > 0.0)) abort();
    for (size_t i = 0; i < s.n_stop; i++)
        if (s.stop[i][0] == '\0' || strlen(s.stop[i]) > CLM_REQUEST_STOP_BYTES) abort();
    if (r->kind == CLM_REQUEST_COMPLETION) {
        if (r->prompt == NULL || r->prompt[r->prompt_size] != '\0') abort();
        return;
    }
    if (r->n_messages == 0 || r->messages[r->n_messages - 1].role != CLM_ROLE_USER) abort();
    for (size_t i = 0; i < r->n_messages; i++) {
        if (r->messages[i].text == NULL || r->messages[i].text[r->messages[i].size] != '\0')
            abort();
        bytes += r->messages[i].size;
    }
    if (bytes > (1u << 20)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int kind = CLM_REQUEST_CHAT; kind <= CLM_REQUEST_COMPLETION; kind++) {
        clm_request r;
        clm_refusal why;

        if (clm_request_parse((clm_request_kind)kind, (const char *)data, size, &r, &why)) {
            check(&r);
            clm_request_clear(&r);
        } else {
            char *text = clm_response_refusal(&why);

            if (text == NULL || why.http < 400 || why.err.text[0] == '\0') abort();
            free(text);
        }
    }
    return 0;
}
