/* runtime/engine.c: a model on its devices, and the cache of keys and values. See runtime/clm.h. */
#include "runtime/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/weights_cache.h"

/* Used when neither the configuration nor the model says something usable. */
enum { DEFAULT_CTX = 4096 };

static clm_status choose_template(clm_engine *e, const clm_settings *s, clm_err *err)
{
    e->chat_template = clm_template_find(s->chat_template);
    if (e->chat_template == CLM_TEMPLATE_COUNT)
        return clm_fail(err, CLM_E_CONFIG, "template: '%s' is not known", s->chat_template);
    if (e->chat_template != CLM_TEMPLATE_AUTO) return CLM_OK;
    e->chat_template =
        clm_template_detect(clm_model_file_hparams(e->file), clm_model_file_vocab(e->file));
    if (e->chat_template != CLM_TEMPLATE_CHATML) return CLM_OK;
    return clm_template_default_system(clm_model_file_vocab(e->file), &e->default_system, err);
}

size_t clm__engine_ctx(size_t trained, size_t asked)
{
    if (asked > 0) return asked;
    return trained > 0 && trained < DEFAULT_CTX ? trained : DEFAULT_CTX;
}

static size_t choose_ctx(const clm_hparams *hp, const clm_settings *s, const clm_observer *obs)
{
    const size_t trained = hp->ctx_train > 0 ? hp->ctx_train : DEFAULT_CTX;

    if (s->ctx_size > trained)
        clm_log(obs, CLM_LOG_WARN,
                "ctx_size %u is more than the %zu tokens the model was trained with", s->ctx_size,
                trained);
    return clm__engine_ctx(hp->ctx_train, s->ctx_size);
}

clm_status clm_engine_create(const clm_settings *s, const clm_observer *obs, clm_engine **out,
                             clm_err *err)
{
    clm_model_file *file = NULL;
    clm_status st = CLM_OK;

    *out = NULL;
    if (s->model[0] == '\0')
        st = clm_fail(err, CLM_E_USAGE,
                      "no model: give one with -m FILE or `model:` in the configuration");
    if (st == CLM_OK) st = clm__weights_open(s, NULL, obs, &file, err);
    return st != CLM_OK ? st : clm__engine_create_from(file, true, s, obs, out, err);
}

static clm_status create_text(clm_engine *e, const clm_settings *s, clm_err *err)
{
    clm_status st = clm_tokenizer_of_model(e->file, &e->tokenizer, err);

    return st == CLM_OK ? choose_template(e, s, err) : st;
}

clm_status clm__engine_create_from(clm_model_file *file, bool text, const clm_settings *s,
                                   const clm_observer *obs, clm_engine **out, clm_err *err)
{
    clm_engine *e = calloc(1, sizeof *e);
    size_t ctx;
    clm_status st = CLM_OK;

    *out = NULL;
    if (e == NULL) {
        clm_model_file_close(file);
        return clm_fail(err, CLM_E_NOMEM, "engine: no memory");
    }
    e->file = file;
    st = clm_model_file_need_weights(file, err);
    if (st != CLM_OK) goto out;
    if (clm_model_file_warning(file) != NULL)
        clm_log(obs, CLM_LOG_WARN, "%s", clm_model_file_warning(file));
    if (text) st = create_text(e, s, err);
    if (st != CLM_OK) goto out;

    ctx = choose_ctx(clm_model_file_hparams(e->file), s, obs);
    st = clm__engine_open_devices(e, s, ctx, obs, err);
    if (st == CLM_OK)
        st = clm_transformer_create(e->shares, e->n_shares, e->file, ctx, s->batch_size,
                                    s->kv_cache_type, obs, &e->model, err);
    if (st == CLM_OK) st = clm_slots_create(&e->slots, e->model, err);
    if (st != CLM_OK) goto out;
    *out = e;
    e = NULL;
out:
    clm_engine_destroy(e);
    return st;
}

void clm_engine_destroy(clm_engine *e)
{
    if (e == NULL) return;
    clm_slots_clear(&e->slots);
    clm_transformer_destroy(e->model);
    for (size_t i = 0; i < e->n_shares; i++)
        e->shares[i].backend->ops->destroy(e->shares[i].backend);
    free(e->shares);
    clm_tokenizer_destroy(e->tokenizer);
    clm_model_file_close(e->file);
    free(e->default_system);
    free(e->logits);
    free(e);
}

/* Tokens of the runs that warm up: products of many (backend_cl_impl.h says from how many on), of one, and of those
 * between, in each size of panel (clm_gemm_panels), have different kernels; so has attention of tokens of several
 * sequences, which comes last. */
enum { WARM_MANY = 32 };
static const size_t warm_tokens[] = {WARM_MANY, 5, 3, 2, 1};
enum { N_WARM = sizeof warm_tokens / sizeof *warm_tokens + 1 };

static clm_status warm_rows(clm_engine *e, clm_err *err)
{
    const clm_row row = {.seq = 0, .pos = 0, .id = 0};
    float *logits = malloc(clm_model_file_hparams(e->file)->vocab * sizeof *logits);
    clm_status st = CLM_OK;

    if (logits == NULL) st = clm_fail(err, CLM_E_NOMEM, "warming up: no memory");
    if (st == CLM_OK) st = clm_transformer_run_rows(e->model, &row, 1, logits, err);
    free(logits);
    return st;
}

static bool is_warm(const clm_engine *e)
{
    for (size_t i = 0; i < e->n_shares; i++) {
        const clm_backend *b = e->shares[i].backend;

        if (b->ops->warm != NULL && !b->ops->warm(b)) return false;
    }
    return true;
}

static void set_warm(clm_engine *e)
{
    for (size_t i = 0; i < e->n_shares; i++) {
        clm_backend *b = e->shares[i].backend;

        if (b->ops->set_warm != NULL) b->ops->set_warm(b);
    }
}

clm_status clm_engine_warm_up(clm_engine *e, const clm_observer *obs, clm_err *err)
{
    const size_t batch = clm_transformer_batch(e->model), ctx = clm_transformer_ctx(e->model);
    int ids[WARM_MANY] = {0}, best;
    const clm_outputs want = {.best = &best};
    clm_status st = CLM_OK;

    if (is_warm(e)) return CLM_OK;
    clm_slots_forget(&e->slots);
    clm_progress(obs, "warming up", 0, N_WARM);
    for (size_t i = 0, at = 0; i + 1 < N_WARM && st == CLM_OK; i++) {
        const size_t n = warm_tokens[i] < batch ? warm_tokens[i] : batch;

        if (n > ctx - at) at = 0;
        st = clm_transformer_run(e->model, 0, ids, n < ctx ? n : ctx, at, &want, err);
        at += n;
        clm_progress(obs, "warming up", i + 1, N_WARM);
    }
    if (st == CLM_OK) st = warm_rows(e, err);
    clm_progress(obs, "warming up", N_WARM, N_WARM);
    if (st == CLM_OK) set_warm(e);
    return st;
}

/* Their names in a row, and what they hold together. */
static void describe_devices(const clm_engine *e, clm_engine_report *out)
{
    for (size_t i = 0; i < e->n_shares; i++) {
        const clm_backend *b = e->shares[i].backend;
        const size_t used = strlen(out->device);
        uint64_t weights, kv;
        char name[256];

        b->ops->describe(b, name, sizeof name);
        snprintf(out->device + used, sizeof out->device - used, "%s%s", i > 0 ? ", " : "", name);
        b->ops->usage(b, &weights, &kv);
        out->weight_bytes += weights;
        out->kv_bytes += kv;
    }
    out->n_devices = e->n_shares;
}

void clm_engine_describe(const clm_engine *e, clm_engine_report *out)
{
    const clm_hparams *hp = clm_model_file_hparams(e->file);

    memset(out, 0, sizeof *out);
    snprintf(out->model_name, sizeof out->model_name, "%s", hp->name);
    snprintf(out->arch, sizeof out->arch, "%s", hp->arch);
    snprintf(out->chat_template, sizeof out->chat_template, "%s",
             clm_template_name(e->chat_template));
    describe_devices(e, out);
    out->ctx_size = clm_transformer_ctx(e->model);
    out->vocab = hp->vocab;
}

const clm_tokenizer *clm_engine_tokenizer(const clm_engine *e)
{
    return e->tokenizer;
}

size_t clm_engine_reserve(clm_engine *e, size_t n, const clm_observer *obs)
{
    clm_err err;

    while (e->slots.n < n) {
        if (clm_slots_add(&e->slots, &err) == CLM_OK) continue;
        clm_log(obs, CLM_LOG_WARN, "no memory for %zu answers at once, but for %zu: %s", n,
                e->slots.n, err.text);
        break;
    }
    return e->slots.n < n ? e->slots.n : n;
}

/* Positions first .. first + n - 1 of the last run, of which row 0 is position `at`. */
static clm_status hand_out(clm_engine *e, size_t at, size_t first, size_t n, float *rows,
                           clm_logits_fn fn, void *user, clm_err *err)
{
    size_t vocab = clm_model_file_hparams(e->file)->vocab;
    clm_status st = CLM_OK;

    for (size_t m = 0; n > 0 && st == CLM_OK; first += m, n -= m) {
        m = n < CLM_LOGIT_ROWS ? n : CLM_LOGIT_ROWS;
        st = clm_transformer_logits(e->model, first - at, m, rows, err);
        for (size_t i = 0; i < m && st == CLM_OK; i++)
            st = fn(user, first + i, rows + i * vocab, vocab, err);
    }
    return st;
}

clm_status clm_engine_stream_logits(clm_engine *e, const int *ids, size_t count, size_t from,
                                    size_t batch, clm_logits_fn fn, void *user, clm_err *err)
{
    size_t vocab = clm_model_file_hparams(e->file)->vocab,
           largest = clm_transformer_batch(e->model);
    float *rows;
    clm_status st = CLM_OK;

    if (count == 0 || from >= count)
        return clm_fail(err, CLM_E_USAGE,
                        "logits from position %zu on are asked for, of %zu tokens", from, count);
    if (count > clm_transformer_ctx(e->model))
        return clm_fail(err, CLM_E_LIMIT,
                        "%zu tokens do not fit the context of %zu: raise ctx_size", count,
                        clm_transformer_ctx(e->model));
    rows = malloc(CLM_LOGIT_ROWS * vocab * sizeof *rows);
    if (rows == NULL) return clm_fail(err, CLM_E_NOMEM, "logits: no memory");
    if (batch == 0 || batch > largest) batch = largest;
    clm_slots_forget(&e->slots);
    for (size_t at = 0; at < count && st == CLM_OK; at += batch) {
        size_t m = count - at < batch ? count - at : batch;
        size_t first = from > at ? from : at;
        st = clm_transformer_run(e->model, 0, ids + at, m, at, NULL, err);
        if (st == CLM_OK && first < at + m)
            st = hand_out(e, at, first, at + m - first, rows, fn, user, err);
    }
    free(rows);
    return st;
}

/* Where clm_engine_logits puts them. */
typedef struct destination {
    float *logits;
    size_t from;
} destination;

/* clm_logits_fn */
static clm_status keep_logits(void *user, size_t position, const float *logits, size_t vocab,
                              clm_err *err)
{
    const destination *to = user;

    (void)err;
    memcpy(to->logits + (position - to->from) * vocab, logits, vocab * sizeof *logits);
    return CLM_OK;
}

clm_status clm_engine_logits(clm_engine *e, const int *ids, size_t count, size_t from, size_t batch,
                             float *logits, clm_err *err)
{
    destination to = {logits, from};

    return clm_engine_stream_logits(e, ids, count, from, batch, keep_logits, &to, err);
}
