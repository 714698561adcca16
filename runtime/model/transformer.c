/* runtime/model/transformer.c: see runtime/model/transformer.h. */
#include "runtime/model/transformer.h"

#include <stdlib.h>

#include "host/clock.h"
#include "runtime/model/shapes.h"
#include "runtime/model/stage.h"

struct clm_transformer {
    const clm_hparams *hp;
    size_t ctx, batch, n_seqs;
    double prepare_seconds, load_seconds;
    clm_stage **stages; /* in the order of their layers */
    size_t n_stages;
    float *host;            /* [batch][width], on the way between two stages; NULL: there is one */
    const atomic_int *stop; /* or NULL */
};

static clm_stage *last_stage(const clm_transformer *t)
{
    return t->stages[t->n_stages - 1];
}

/* ---- life ------------------------------------------------------------------------------------ */

static clm_status create_stages(clm_transformer *t, const clm_share *shares, size_t n,
                                const clm_model_file *mf, clm_kv_type kv, clm_err *err)
{
    const clm_kv_shape shape = clm_kv_shape_of(t->hp, t->ctx, kv);
    clm_part part = {0};

    t->stages = calloc(n, sizeof *t->stages);
    if (n > 1) t->host = malloc(t->batch * t->hp->width * sizeof *t->host);
    if (t->stages == NULL || (n > 1 && t->host == NULL))
        return clm_fail(err, CLM_E_NOMEM, "model: no memory");
    for (size_t i = 0; i < n; i++, part.first += part.n) {
        clm_status st;

        part.n = shares[i].n_layers;
        st = clm_stage_create(shares[i].backend, mf, &part, &shape, t->batch, &t->stages[i], err);
        if (st != CLM_OK) return st;
        t->n_stages++;
    }
    return CLM_OK;
}

static clm_status load(clm_transformer *t, const clm_observer *obs, clm_err *err)
{
    clm_loading loading = {.obs = obs};
    clm_status st = CLM_OK;

    for (size_t i = 0; i < t->n_stages; i++) loading.total += clm_stage_tensors(t->stages[i]);
    for (size_t i = 0; i < t->n_stages && st == CLM_OK; i++)
        st = clm_stage_load(t->stages[i], &loading, err);
    return st;
}

static clm_status check_shares(const clm_share *shares, size_t n, const clm_hparams *hp,
                               clm_err *err)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (shares[i].n_layers == 0)
            return clm_fail(err, CLM_E_INTERNAL, "model: a device without layers");
        sum += shares[i].n_layers;
    }
    if (sum == hp->n_layers) return CLM_OK;
    return clm_fail(err, CLM_E_INTERNAL, "model: devices have %zu layers, of %zu", sum,
                    hp->n_layers);
}

clm_status clm_transformer_create(const clm_share *shares, size_t n, const clm_model_file *mf,
                                  size_t ctx, size_t batch, clm_kv_type kv, const clm_observer *obs,
                                  clm_transformer **out, clm_err *err)
{
    clm_transformer *t = calloc(1, sizeof *t);
    double start;
    clm_status st;

    *out = NULL;
    if (t == NULL) return clm_fail(err, CLM_E_NOMEM, "model: no memory");
    t->hp = clm_model_file_hparams(mf);
    t->ctx = ctx;
    t->batch = batch < ctx ? batch : ctx;
    t->n_seqs = 1;
    start = clm_clock_seconds();
    st = check_shares(shares, n, t->hp, err);
    if (st == CLM_OK) st = create_stages(t, shares, n, mf, kv, err);
    t->prepare_seconds = clm_clock_seconds() - start;
    if (st == CLM_OK) st = load(t, obs, err);
    t->load_seconds = clm_clock_seconds() - start - t->prepare_seconds;
    if (st != CLM_OK) goto out;
    *out = t;
    t = NULL;
out:
    clm_transformer_destroy(t);
    return st;
}

void clm_transformer_destroy(clm_transformer *t)
{
    if (t == NULL) return;
    for (size_t i = 0; i < t->n_stages; i++) clm_stage_destroy(t->stages[i]);
    free(t->stages);
    free(t->host);
    free(t);
}

size_t clm_transformer_ctx(const clm_transformer *t)
{
    return t->ctx;
}
size_t clm_transformer_batch(const clm_transformer *t)
{
    return t->batch;
}
void clm_transformer_times(const clm_transformer *t, double *prepare, double *load)
{
    *prepare = t->prepare_seconds;
    *load = t->load_seconds;
}

clm_status clm_transformer_add_sequence(clm_transformer *t, clm_err *err)
{
    for (size_t i = 0; i < t->n_stages; i++) {
        clm_backend *b = clm_stage_backend(t->stages[i]);
        const clm_status st = b->ops->add_sequence(b, err);

        if (st == CLM_OK) continue;
        while (i-- > 0) {
            b = clm_stage_backend(t->stages[i]);
            b->ops->drop_sequence(b);
        }
        return st;
    }
    t->n_seqs++;
    return CLM_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static clm_status check_token(const clm_transformer *t, size_t seq, int id, clm_err *err)
{
    if (seq >= t->n_seqs)
        return clm_fail(err, CLM_E_INTERNAL, "model: sequence %zu of %zu", seq, t->n_seqs);
    if (id < 0 || (size_t)id >= t->hp->vocab)
        return clm_fail(err, CLM_E_USAGE, "token id %d is outside the vocabulary of %zu", id,
                        t->hp->vocab);
    return CLM_OK;
}

/* `ids` through all layers. The last device has started when this returns, and may be at it still, while the
 * first takes the next batch. */
static clm_status run(clm_transformer *t, const int *ids, const clm_tokens *of, clm_err *err)
{
    clm_backend *last = clm_stage_backend(last_stage(t));
    clm_status st = clm_stage_embed(t->stages[0], ids, of->n, err);

    for (size_t i = 0; i < t->n_stages && st == CLM_OK; i++) {
        if (i > 0) st = clm_stage_hand_over(t->stages[i - 1], t->stages[i], of->n, t->host, err);
        if (st == CLM_OK) st = clm_stage_run(t->stages[i], of, err);
    }
    return st == CLM_OK && t->n_stages > 1 ? last->ops->flush(last, err) : st;
}

clm_status clm_transformer_logits(clm_transformer *t, size_t row0, size_t n, float *logits,
                                  clm_err *err)
{
    clm_status st;

    if (n == 0 || n > CLM_LOGIT_ROWS || row0 > t->batch || n > t->batch - row0)
        return clm_fail(err, CLM_E_INTERNAL, "model: logits of %zu rows from %zu (batch %zu)", n,
                        row0, t->batch);
    st = clm_stage_head(last_stage(t), row0, n, err);
    return st == CLM_OK ? clm_stage_read_logits(last_stage(t), n, logits, err) : st;
}

static clm_status read_outputs(clm_transformer *t, size_t n, const clm_outputs *want, clm_err *err)
{
    clm_stage *last = last_stage(t);
    size_t from = want->logits != NULL ? want->from : n - 1, rows = 0;
    clm_status st = CLM_OK;

    for (size_t row = from; row < n && st == CLM_OK; row += rows) {
        rows = n - row < CLM_LOGIT_ROWS ? n - row : CLM_LOGIT_ROWS;
        st = clm_stage_head(last, row, rows, err);
        if (st == CLM_OK && want->logits != NULL)
            st = clm_stage_read_logits(last, rows, want->logits + (row - from) * t->hp->vocab, err);
    }
    if (st == CLM_OK && want->best != NULL)
        st = clm_stage_read_best(last, rows - 1, want->best, err);
    return st;
}

clm_status clm_transformer_run(clm_transformer *t, size_t seq, const int *ids, size_t n,
                               size_t pos0, const clm_outputs *want, clm_err *err)
{
    const clm_tokens of = {.n = n, .seq = seq, .pos0 = pos0, .stop = t->stop};
    clm_status st = CLM_OK;

    if (n == 0 || n > t->batch || pos0 > t->ctx || n > t->ctx - pos0)
        return clm_fail(err, CLM_E_INTERNAL, "model: %zu tokens at %zu (batch %zu, context %zu)", n,
                        pos0, t->batch, t->ctx);
    for (size_t i = 0; i < n && st == CLM_OK; i++) st = check_token(t, seq, ids[i], err);
    if (st == CLM_OK) st = run(t, ids, &of, err);
    if (st == CLM_OK && want != NULL && (want->logits != NULL || want->best != NULL))
        st = read_outputs(t, n, want, err);
    return st;
}

clm_status clm_transformer_run_rows(clm_transformer *t, const clm_row *rows, size_t n,
                                    float *logits, clm_err *err)
{
    const clm_tokens of = {.n = n, .rows = rows};
    int ids[CLM_LOGIT_ROWS];
    clm_status st = CLM_OK;

    if (n == 0 || n > CLM_LOGIT_ROWS || n > t->batch)
        return clm_fail(err, CLM_E_INTERNAL, "model: tokens of %zu sequences (batch %zu)", n,
                        t->batch);
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        if (rows[i].pos >= t->ctx)
            return clm_fail(err, CLM_E_INTERNAL, "model: a token at %zu (context %zu)", rows[i].pos,
                            t->ctx);
        st = check_token(t, rows[i].seq, rows[i].id, err);
        ids[i] = rows[i].id;
    }
    if (st == CLM_OK) st = run(t, ids, &of, err);
    return st == CLM_OK ? clm_transformer_logits(t, 0, n, logits, err) : st;
}

void clm_transformer_watch(clm_transformer *t, const atomic_int *stop)
{
    t->stop = stop;
}

clm_status clm_transformer_finish(clm_transformer *t, clm_err *err)
{
    clm_status st = CLM_OK;

    for (size_t i = 0; i < t->n_stages && st == CLM_OK; i++) {
        clm_backend *b = clm_stage_backend(t->stages[i]);
        st = b->ops->finish(b, err);
    }
    return st;
}
