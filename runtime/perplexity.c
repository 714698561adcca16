/* runtime/perplexity.c: how well a model foresees a text. See runtime/clm.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "runtime/engine.h"

enum { MIN_WINDOW = 4 }; /* one token of it counts */

/* Sums over the tokens that count; `ids` is the window in progress. */
typedef struct tally {
    const int *ids;
    size_t window, n;
    double sum, sum_squares;
} tally;

/* clm_logits_fn: counts the token behind `position`. */
static clm_status count_token(void *user, size_t position, const float *logits, size_t vocab,
                              clm_err *err)
{
    tally *t = user;
    double largest = (double)logits[0], sum = 0.0, nll;

    if (position + 1 == t->window) return CLM_OK; /* nothing follows in this window */
    for (size_t i = 1; i < vocab; i++)
        if ((double)logits[i] > largest) largest = (double)logits[i];
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - largest);
    nll = largest + log(sum) - (double)logits[t->ids[position + 1]];
    if (!isfinite(nll))
        return clm_fail(err, CLM_E_MODEL,
                        "the model gives no number for a token: its weights are damaged");
    t->n++;
    t->sum += nll;
    t->sum_squares += nll * nll;
    return CLM_OK;
}

clm_status clm_perplexity_check(size_t window, size_t stride, clm_err *err)
{
    if (window < MIN_WINDOW)
        return clm_fail(
            err, CLM_E_USAGE,
            "perplexity: a window (-c) of %zu %s is too small: %d is the least, 512 is usual",
            window, window == 1 ? "token" : "tokens", MIN_WINDOW);
    if (stride >= window)
        return clm_fail(err, CLM_E_USAGE,
                        "perplexity: a stride of %zu; it must be less than the window of %zu",
                        stride, window);
    return CLM_OK;
}

static clm_status check_shape(const clm_engine *e, size_t window, size_t stride, clm_err *err)
{
    const size_t ctx = clm_transformer_ctx(e->model);

    if (window > ctx)
        return clm_fail(err, CLM_E_USAGE,
                        "perplexity: a window of %zu tokens does not fit the context of %zu",
                        window, ctx);
    return clm_perplexity_check(window, stride, err);
}

static void finish(const tally *t, clm_perplexity *out)
{
    double n = (double)t->n, variance;

    out->n_counted = t->n;
    out->nll = t->sum / n;
    variance = t->sum_squares / n - out->nll * out->nll;
    if (t->n > 1 && variance > 0.0) out->nll_error = sqrt(variance / (n - 1.0));
    out->ppl = exp(out->nll);
    out->ppl_error = out->ppl * out->nll_error;
}

clm_status clm_engine_perplexity(clm_engine *e, const char *text, size_t size, size_t window,
                                 size_t stride, const clm_observer *obs, clm_perplexity *out,
                                 clm_err *err)
{
    size_t step = stride > 0 ? stride : window,
           first = stride > 0 ? window - stride - 1 : window / 2;
    tally t = {.window = window};
    int *ids = NULL, *part = NULL;
    double start;
    clm_status st = check_shape(e, window, stride, err);

    memset(out, 0, sizeof *out);
    if (st == CLM_OK)
        st = clm_tokenizer_encode_sequence(e->tokenizer, text, size, &ids, &out->n_tokens, err);
    if (st != CLM_OK) return st;
    if (out->n_tokens < window) {
        st = clm_fail(err, CLM_E_USAGE,
                      "perplexity: the text has %zu tokens, which do not fill a window of %zu",
                      out->n_tokens, window);
        goto out;
    }
    part = malloc(window * sizeof *part);
    if (part == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "perplexity: no memory");
        goto out;
    }
    out->n_windows = (out->n_tokens - window) / step + 1;
    t.ids = part;
    start = clm_clock_seconds();
    for (size_t i = 0; i < out->n_windows && st == CLM_OK; i++) {
        memcpy(part, ids + i * step, window * sizeof *part);
        if (clm_tokenizer_add_bos(e->tokenizer)) part[0] = clm_tokenizer_bos(e->tokenizer);
        st = clm_engine_stream_logits(e, part, window, first, 0, count_token, &t, err);
        clm_progress(obs, "windows", i + 1, out->n_windows);
    }
    out->seconds = clm_clock_seconds() - start;
    if (st == CLM_OK) finish(&t, out);
out:
    free(ids);
    free(part);
    return st;
}
