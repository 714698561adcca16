/* runtime/choose.c: see runtime/choose.h. */
#include "runtime/choose.h"

#include <math.h>
#include <stdlib.h>

/* The ids of the choices. */
static clm_status find_pieces(const clm_engine *e, const char *const *choices, size_t n, int *ids,
                              clm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        ids[i] = clm_tokenizer_find(e->tokenizer, choices[i]);
        if (ids[i] < 0)
            return clm_fail(err, CLM_E_MODEL, "%s: the vocabulary has no piece '%s'",
                            clm_model_file_path(e->file), choices[i]);
    }
    return CLM_OK;
}

/* Fills the slot up to the last id and gives the logits behind it. */
static clm_status process(clm_engine *e, clm_slot *slot, const atomic_int *stop, const int *ids,
                          size_t n, float *logits, clm_err *err)
{
    const clm_outputs want = {.logits = logits};
    clm_status st = CLM_OK;

    while (st == CLM_OK && slot->n < n) {
        if (atomic_load_explicit(stop, memory_order_relaxed) != 0)
            return clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
        st = clm_slot_feed(&e->slots, slot, ids, n, SIZE_MAX, &want, stop, err);
    }
    return st;
}

/* The logits behind the text, as far as possible from the cache. */
static clm_status process_text(clm_engine *e, const atomic_int *stop, const int *ids, size_t n,
                               float *logits, clm_choice *out, clm_err *err)
{
    const size_t ctx = clm_transformer_ctx(e->model);
    clm_slot *slot;
    clm_status st;

    out->prompt_tokens = n;
    if (n == 0) return clm_fail(err, CLM_E_USAGE, "the text is empty");
    if (n > ctx)
        return clm_fail(err, CLM_E_LIMIT,
                        "the text has %zu tokens and the context only %zu: raise ctx_size", n, ctx);
    slot = clm_slots_take(&e->slots, ids, n);
    if (slot == NULL)
        return clm_fail(err, CLM_E_LIMIT, "as many answers are in progress as there are caches");
    out->cached_tokens = slot->n;
    st = process(e, slot, stop, ids, n, logits, err);
    clm_slots_release(slot);
    return st;
}

/* Softmax over the choices, and the largest of them. */
static clm_status compare(const clm_engine *e, const float *logits, const int *ids, size_t n,
                          double *probabilities, clm_choice *out, clm_err *err)
{
    double largest, sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(logits[ids[i]]))
            return clm_fail(err, CLM_E_MODEL,
                            "%s: the model gives no number for a word: its weights are damaged",
                            clm_model_file_path(e->file));
        if (logits[ids[i]] > logits[ids[out->best]]) out->best = i;
    }
    largest = (double)logits[ids[out->best]];
    for (size_t i = 0; i < n; i++) {
        if (i != out->best && logits[ids[i]] == logits[ids[out->best]]) out->tied = true;
        probabilities[i] = exp((double)logits[ids[i]] - largest);
        sum += probabilities[i];
    }
    for (size_t i = 0; i < n; i++) probabilities[i] /= sum;
    return CLM_OK;
}

clm_status clm__choose(clm_engine *e, const atomic_int *stop, const char *text, size_t size,
                       const char *const *choices, size_t n, double *probabilities, clm_choice *out,
                       clm_err *err)
{
    float *logits = malloc(clm_model_file_hparams(e->file)->vocab * sizeof *logits);
    int *pieces = malloc((n + 1) * sizeof *pieces), *ids = NULL;
    size_t n_ids = 0;
    clm_status st = CLM_OK;

    *out = (clm_choice){0};
    if (n == 0) st = clm_fail(err, CLM_E_USAGE, "there is nothing to choose from");
    if (logits == NULL || pieces == NULL) st = clm_fail(err, CLM_E_NOMEM, "choices: no memory");
    if (st == CLM_OK) st = find_pieces(e, choices, n, pieces, err);
    if (st == CLM_OK)
        st = clm_tokenizer_encode_sequence(e->tokenizer, text, size, &ids, &n_ids, err);
    if (st == CLM_OK) st = process_text(e, stop, ids, n_ids, logits, out, err);
    if (st == CLM_OK) st = compare(e, logits, pieces, n, probabilities, out, err);
    free(logits);
    free(pieces);
    free(ids);
    return st;
}
