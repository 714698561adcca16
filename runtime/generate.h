/* runtime/generate.h: answers: prompt in, tokens chosen one by one, text out, several at once; private to
 * runtime/.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_GENERATE_H
#define CLM_RUNTIME_GENERATE_H

#include <stdatomic.h>
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
    clm_sampling sampling; /* its stop texts are needed while the answer begins only */
    int end_ids[4];        /* besides those of the tokenizer */
    size_t n_end_ids;
    const char *stop_text;   /* of the template, or NULL */
    bool drop_leading_space; /* the answer starts a text of its own */
    clm_text_fn fn;          /* may be NULL */
    void *user;
    atomic_int *stop; /* may be NULL; not 0: end soon */

    /* Called when the context is full: replaces the prompt by a shorter one (malloc'd ids, given to
     * the caller), or leaves *prompt NULL when that is impossible. NULL: never possible. */
    clm_status (*shrink)(void *owner, int **prompt, size_t *n_prompt, clm_err *err);
    void *owner;
} clm_generation;

/* An answer in progress, which has a slot of the engine. */
typedef struct clm_run clm_run;

/* Begins one. `g` is copied, `prompt` too. Returns CLM_OK, CLM_E_USAGE (empty prompt), CLM_E_LIMIT (it does not
 * fit the context, or all slots are busy), CLM_E_NOMEM. */
clm_status clm__run_begin(const clm_generation *g, const int *prompt, size_t n_prompt,
                          clm_run **out, clm_err *err);
/* Brings `n` answers of an engine further: of one that is not through its prompt a batch is processed, a
 * smaller one when others wait, all others get a token. Nothing is done for those that have ended. */
void clm__run_step(clm_engine *e, clm_run *const *runs, size_t n);
bool clm__run_ended(const clm_run *r);
/* How it ended; `answer` receives the text shown, on failure what was shown so far. The slot is free then, and
 * the run gone. */
clm_status clm__run_end(clm_run *r, clm_text_buf *answer, clm_reply *reply, clm_err *err);

#endif
