/* runtime/generate.h: one answer: prompt in, tokens chosen one by one, text out; private to runtime/.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_GENERATE_H
#define CLM_RUNTIME_GENERATE_H

#include <signal.h>
#include "runtime/engine.h"
#include "runtime/sampler.h"

/* Growing bytes and ids; zero-initialise, free the pointers. */
typedef struct clm_text_buf {
    char *data;
    size_t size, room;
} clm_text_buf;

clm_status clm__text_append(clm_text_buf *t, const char *data, size_t size, clm_err *err);

/* What an answer starts from and where it goes. */
typedef struct clm_generation {
    clm_engine *engine;
    clm_sampler *sampler;
    const clm_sampling *sampling;
    const int *end_ids; /* besides those of the tokenizer */
    size_t n_end_ids;
    const char *stop_text;   /* of the template, or NULL */
    bool drop_leading_space; /* the answer starts a text of its own */
    clm_text_fn fn;          /* may be NULL */
    void *user;
    const volatile sig_atomic_t *stop;

    /* Called when the context is full: replaces the prompt by a shorter one (malloc'd ids, given to
     * the caller), or leaves *prompt NULL when that is impossible. NULL: never possible. */
    clm_status (*shrink)(void *owner, int **prompt, size_t *n_prompt, clm_err *err);
    void *owner;
} clm_generation;

/* Runs it. `prompt` is borrowed. `answer` receives the text shown; on failure what was shown so far. */
clm_status clm__generate(const clm_generation *g, const int *prompt, size_t n_prompt,
                         clm_text_buf *answer, clm_reply *reply, clm_err *err);

#endif
