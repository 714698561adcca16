/* runtime/model/transformer.c: see runtime/model/transformer.h. */
#include "runtime/model/transformer.h"

#include <stdlib.h>

#include "host/clock.h"
#include "runtime/model/shapes.h"
#include "runtime/ops/weight_layout.h"

struct clm_transformer {
    clm_backend *b;
    const clm_hparams *hp;
    size_t ctx, batch, n_seqs;
    double prepare_seconds, load_seconds;
    clm_weight *embed, *out_norm, *head; /* head == embed when tied */
    clm_layer *layers;

    /* Activations of one batch. */
    clm_vec *ids;     /* [batch] */
    clm_vec *x;       /* [batch][width] residual stream */
    clm_vec *h;       /* [batch][width] normalised */
    clm_vec *y;       /* [batch][width] what is added to the stream */
    clm_vec *att;     /* [batch][n_heads * head_dim] */
    clm_vec *gate_up; /* [batch][2 * ffn, or stacked: ffn filled up to whole tiles] */
    clm_vec *act;     /* [batch][ffn] */
    clm_vec *logits;  /* [CLM_LOGIT_ROWS][vocab] */
    clm_vec *best;    /* [1] id */
    clm_qkv qkv;      /* [batch][ld], see clm_qkv_layout() */
};

/* ---- loading --------------------------------------------------------------------------------- */

/* Loads one tensor and counts it for the progress bar. */
typedef struct loader {
    clm_transformer *t;
    const clm_model_file *mf;
    const clm_observer *obs;
    size_t done, total;
    clm_status st;
    clm_err *err;
} loader;

static void load_one(loader *l, clm_weight_role role, size_t layer, clm_weight **out)
{
    const clm_tensor *tensor = clm_model_file_weight(l->mf, role, layer);
    const clm_backend_ops *ops = l->t->b->ops;
    bool vector = role == CLM_W_ATTN_NORM || role == CLM_W_FFN_NORM || role == CLM_W_OUT_NORM;

    if (l->st != CLM_OK) return;
    l->st = (vector ? ops->load_vector : ops->load_matrix)(l->t->b, tensor, out, l->err);
    if (l->st != CLM_OK) {
        clm_fail_context(l->err, l->st, "tensor %s", tensor->name);
        return;
    }
    if (!ops->keeps_tensors) clm_model_file_drop(l->mf, tensor);
    clm_progress(l->obs, "loading weights", ++l->done, l->total);
}

/* Loads the matrices of `roles`, which share their input, as one if the backend can, else one by one
 * into `single`. */
static void load_stack(loader *l, const clm_weight_role *roles, size_t n, size_t layer, bool tiled,
                       clm_weight **stack, clm_weight **const *single)
{
    const clm_backend_ops *ops = l->t->b->ops;
    const clm_tensor *parts[3];

    if (l->st != CLM_OK) return;
    for (size_t i = 0; i < n; i++) parts[i] = clm_model_file_weight(l->mf, roles[i], layer);
    if (ops->load_stack != NULL) {
        l->st = ops->load_stack(l->t->b, parts, n, tiled, stack, l->err);
        if (l->st != CLM_OK) clm_fail_context(l->err, l->st, "tensor %s", parts[0]->name);
        if (*stack != NULL) {
            for (size_t i = 0; i < n && !ops->keeps_tensors; i++)
                clm_model_file_drop(l->mf, parts[i]);
            l->done += n;
            clm_progress(l->obs, "loading weights", l->done, l->total);
            return;
        }
    }
    for (size_t i = 0; i < n; i++) load_one(l, roles[i], layer, single[i]);
}

static clm_status load_weights(clm_transformer *t, const clm_model_file *mf,
                               const clm_observer *obs, clm_err *err)
{
    static const clm_weight_role k_qkv[] = {CLM_W_Q, CLM_W_K, CLM_W_V},
                                 k_gate_up[] = {CLM_W_GATE, CLM_W_UP};
    loader l = {.t = t, .mf = mf, .obs = obs, .st = CLM_OK, .err = err};

    l.total = 9 * t->hp->n_layers + (t->hp->tied_head ? 2 : 3);
    load_one(&l, CLM_W_EMBED, 0, &t->embed);
    for (size_t i = 0; i < t->hp->n_layers; i++) {
        clm_layer *w = &t->layers[i];
        clm_weight **const qkv[] = {&w->q, &w->k, &w->v}, **const gate_up[] = {&w->gate, &w->up};

        load_one(&l, CLM_W_ATTN_NORM, i, &w->attn_norm);
        load_stack(&l, k_qkv, 3, i, false, &w->qkv, qkv);
        load_one(&l, CLM_W_O, i, &w->o);
        load_one(&l, CLM_W_FFN_NORM, i, &w->ffn_norm);
        load_stack(&l, k_gate_up, 2, i, true, &w->gate_up, gate_up);
        load_one(&l, CLM_W_DOWN, i, &w->down);
    }
    load_one(&l, CLM_W_OUT_NORM, 0, &t->out_norm);
    if (t->hp->tied_head)
        t->head = t->embed;
    else
        load_one(&l, CLM_W_HEAD, 0, &t->head);
    return l.st;
}

static clm_status create_activations(clm_transformer *t, clm_err *err)
{
    const clm_hparams *hp = t->hp;
    const clm_qkv qkv = clm_qkv_layout(hp);
    struct {
        clm_vec **vec;
        size_t count;
        bool ids;
    } all[] = {
        {&t->ids, t->batch, true},
        {&t->x, t->batch * hp->width, false},
        {&t->h, t->batch * hp->width, false},
        {&t->y, t->batch * hp->width, false},
        {&t->qkv.x, t->batch * qkv.ld, false},
        {&t->att, t->batch * hp->n_heads * hp->head_dim, false},
        {&t->gate_up, t->batch * 2 * clm_weight_padded(hp->ffn), false},
        {&t->act, t->batch * hp->ffn, false},
        {&t->logits, CLM_LOGIT_ROWS * hp->vocab, false},
        {&t->best, 1, true},
    };

    t->qkv = qkv;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        clm_status st = t->b->ops->vec_create(t->b, all[i].count, all[i].ids, all[i].vec, err);
        if (st != CLM_OK) return st;
    }
    return CLM_OK;
}

clm_status clm_transformer_create(clm_backend *b, const clm_model_file *mf, size_t ctx,
                                  size_t batch, clm_kv_type kv, const clm_observer *obs,
                                  clm_transformer **out, clm_err *err)
{
    const clm_hparams *hp = clm_model_file_hparams(mf);
    clm_kv_shape shape = {hp->n_layers, hp->n_heads, hp->n_kv_heads, hp->head_dim, ctx, kv};
    clm_transformer *t = calloc(1, sizeof *t);
    double start;
    clm_status st;

    *out = NULL;
    if (t == NULL) return clm_fail(err, CLM_E_NOMEM, "model: no memory");
    t->b = b;
    t->hp = hp;
    t->ctx = ctx;
    t->batch = batch < ctx ? batch : ctx;
    t->n_seqs = 1;
    t->layers = calloc(hp->n_layers, sizeof *t->layers);
    if (t->layers == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "model: no memory");
        goto out;
    }
    start = clm_clock_seconds();
    st = b->ops->prepare(b, mf, &shape, t->batch, err);
    if (st == CLM_OK) st = create_activations(t, err);
    t->prepare_seconds = clm_clock_seconds() - start;
    if (st == CLM_OK) st = load_weights(t, mf, obs, err);
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
    const clm_backend_ops *ops = t->b->ops;
    clm_vec *vecs[] = {t->ids, t->x,       t->h,   t->y,      t->qkv.x,
                       t->att, t->gate_up, t->act, t->logits, t->best};

    for (size_t i = 0; i < sizeof vecs / sizeof *vecs; i++) ops->vec_destroy(t->b, vecs[i]);
    for (size_t i = 0; t->layers != NULL && i < t->hp->n_layers; i++) {
        clm_layer *w = &t->layers[i];
        clm_weight *all[] = {w->attn_norm, w->qkv,     w->q,    w->k,  w->v,   w->o,
                             w->ffn_norm,  w->gate_up, w->gate, w->up, w->down};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) ops->unload(t->b, all[j]);
    }
    if (t->head != t->embed) ops->unload(t->b, t->head);
    ops->unload(t->b, t->out_norm);
    ops->unload(t->b, t->embed);
    free(t->layers);
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

/* ---- running --------------------------------------------------------------------------------- */

/* Evaluates `call` unless an earlier one failed. */
#define STEP(call)                                                                                 \
    do {                                                                                           \
        if (st == CLM_OK) st = (call);                                                             \
    } while (0)

/* The tokens of a run: `n` of sequence `seq` from `pos0` on, or one of each of `rows`. */
typedef struct tokens {
    size_t n, seq, pos0;
    const clm_row *rows; /* or NULL */
} tokens;

static clm_status run_attend(clm_transformer *t, size_t layer, const tokens *of, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    const clm_qkv *qkv = &t->qkv;
    clm_status st = CLM_OK;

    for (size_t i = 0; i < of->n && of->rows != NULL; i++)
        STEP(
            ops->attention_row(t->b, of->rows[i].seq, layer, qkv, i, of->rows[i].pos, t->att, err));
    if (of->rows != NULL) return st;
    if (t->hp->position == CLM_POSITION_ROPE) STEP(ops->rope(t->b, qkv, of->n, of->pos0, err));
    STEP(ops->kv_store(t->b, of->seq, layer, qkv, of->n, of->pos0, err));
    STEP(ops->attention(t->b, of->seq, layer, qkv, of->n, of->pos0, t->att, err));
    return st;
}

static clm_status run_attention(clm_transformer *t, size_t layer, const tokens *of, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    const clm_layer *w = &t->layers[layer];
    const clm_qkv *qkv = &t->qkv;
    const size_t m = of->n;
    clm_status st = CLM_OK;

    STEP(ops->rmsnorm(t->b, t->x, 0, m, t->hp->width, w->attn_norm, t->hp->rms_eps, t->h, err));
    if (w->qkv != NULL) {
        STEP(ops->matmul(t->b, w->qkv, t->h, m, qkv->x, qkv->ld, 0, err));
    } else {
        STEP(ops->matmul(t->b, w->q, t->h, m, qkv->x, qkv->ld, 0, err));
        STEP(ops->matmul(t->b, w->k, t->h, m, qkv->x, qkv->ld, qkv->k_off, err));
        STEP(ops->matmul(t->b, w->v, t->h, m, qkv->x, qkv->ld, qkv->v_off, err));
    }
    STEP(run_attend(t, layer, of, err));
    STEP(ops->matmul(t->b, w->o, t->att, m, t->y, t->hp->width, 0, err));
    STEP(ops->add(t->b, t->x, t->y, m * t->hp->width, err));
    return st;
}

static clm_status run_ffn(clm_transformer *t, size_t layer, size_t m, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    const clm_layer *w = &t->layers[layer];
    size_t ffn = t->hp->ffn;
    clm_status st = CLM_OK;

    STEP(ops->rmsnorm(t->b, t->x, 0, m, t->hp->width, w->ffn_norm, t->hp->rms_eps, t->h, err));
    if (w->gate_up != NULL) {
        STEP(
            ops->matmul(t->b, w->gate_up, t->h, m, t->gate_up, 2 * clm_weight_padded(ffn), 0, err));
    } else {
        STEP(ops->matmul(t->b, w->gate, t->h, m, t->gate_up, 2 * ffn, 0, err));
        STEP(ops->matmul(t->b, w->up, t->h, m, t->gate_up, 2 * ffn, ffn, err));
    }
    STEP(ops->swiglu(t->b, t->gate_up, m, ffn, w->gate_up != NULL, t->act, err));
    STEP(ops->matmul(t->b, w->down, t->act, m, t->y, t->hp->width, 0, err));
    STEP(ops->add(t->b, t->x, t->y, m * t->hp->width, err));
    return st;
}

static clm_status run_layers(clm_transformer *t, const tokens *of, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    clm_status st = CLM_OK;
    bool done = false;

    if (of->n == 1 && of->rows == NULL && ops->decode != NULL)
        st = ops->decode(t->b, of->seq, t->layers, t->x, &t->qkv, of->pos0, &done, err);
    for (size_t layer = 0; layer < t->hp->n_layers && st == CLM_OK && !done; layer++) {
        STEP(run_attention(t, layer, of, err));
        STEP(run_ffn(t, layer, of->n, err));
        if (layer % 8 == 7) STEP(ops->flush(t->b, err)); /* so that the device starts early */
    }
    return st;
}

/* Logits of rows row0 .. row0 + m - 1 of the residual stream, m <= CLM_LOGIT_ROWS. */
static clm_status run_head(clm_transformer *t, size_t row0, size_t m, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    clm_status st = CLM_OK;

    STEP(ops->rmsnorm(t->b, t->x, row0, m, t->hp->width, t->out_norm, t->hp->rms_eps, t->h, err));
    STEP(ops->matmul(t->b, t->head, t->h, m, t->logits, t->hp->vocab, 0, err));
    return st;
}

clm_status clm_transformer_logits(clm_transformer *t, size_t row0, size_t n, float *logits,
                                  clm_err *err)
{
    clm_status st = CLM_OK;

    if (n == 0 || n > CLM_LOGIT_ROWS || row0 > t->batch || n > t->batch - row0)
        return clm_fail(err, CLM_E_INTERNAL, "model: logits of %zu rows from %zu (batch %zu)", n,
                        row0, t->batch);
    STEP(run_head(t, row0, n, err));
    STEP(t->b->ops->read(t->b, t->logits, 0, n * t->hp->vocab, logits, err));
    return st;
}

static clm_status read_outputs(clm_transformer *t, size_t n, const clm_outputs *want, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    size_t vocab = t->hp->vocab, from = want->logits != NULL ? want->from : n - 1, rows = 0;
    clm_status st = CLM_OK;

    for (size_t row = from; row < n && st == CLM_OK; row += rows) {
        rows = n - row < CLM_LOGIT_ROWS ? n - row : CLM_LOGIT_ROWS;
        STEP(run_head(t, row, rows, err));
        if (want->logits != NULL)
            STEP(ops->read(t->b, t->logits, 0, rows * vocab, want->logits + (row - from) * vocab,
                           err));
    }
    if (want->best != NULL) {
        STEP(ops->argmax(t->b, t->logits, (rows - 1) * vocab, vocab, t->best, err));
        STEP(ops->read_id(t->b, t->best, 0, want->best, err));
    }
    return st;
}

static clm_status check_token(const clm_transformer *t, size_t seq, int id, clm_err *err)
{
    if (seq >= t->n_seqs)
        return clm_fail(err, CLM_E_INTERNAL, "model: sequence %zu of %zu", seq, t->n_seqs);
    if (id < 0 || (size_t)id >= t->hp->vocab)
        return clm_fail(err, CLM_E_USAGE, "token id %d is outside the vocabulary of %zu", id,
                        t->hp->vocab);
    return CLM_OK;
}

clm_status clm_transformer_add_sequence(clm_transformer *t, clm_err *err)
{
    const clm_status st = t->b->ops->add_sequence(t->b, err);

    if (st == CLM_OK) t->n_seqs++;
    return st;
}

clm_status clm_transformer_run(clm_transformer *t, size_t seq, const int *ids, size_t n,
                               size_t pos0, const clm_outputs *want, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    const tokens of = {.n = n, .seq = seq, .pos0 = pos0};
    clm_status st = CLM_OK;

    if (n == 0 || n > t->batch || pos0 > t->ctx || n > t->ctx - pos0)
        return clm_fail(err, CLM_E_INTERNAL, "model: %zu tokens at %zu (batch %zu, context %zu)", n,
                        pos0, t->batch, t->ctx);
    for (size_t i = 0; i < n; i++) STEP(check_token(t, seq, ids[i], err));
    STEP(ops->write_ids(t->b, t->ids, ids, n, err));
    STEP(ops->embed(t->b, t->embed, t->ids, n, t->x, err));
    STEP(run_layers(t, &of, err));
    if (want != NULL && (want->logits != NULL || want->best != NULL))
        STEP(read_outputs(t, n, want, err));
    return st;
}

clm_status clm_transformer_run_rows(clm_transformer *t, const clm_row *rows, size_t n,
                                    float *logits, clm_err *err)
{
    const clm_backend_ops *ops = t->b->ops;
    const tokens of = {.n = n, .rows = rows};
    int ids[CLM_LOGIT_ROWS];
    clm_status st = CLM_OK;

    if (n == 0 || n > CLM_LOGIT_ROWS || n > t->batch)
        return clm_fail(err, CLM_E_INTERNAL, "model: tokens of %zu sequences (batch %zu)", n,
                        t->batch);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].pos >= t->ctx)
            return clm_fail(err, CLM_E_INTERNAL, "model: a token at %zu (context %zu)", rows[i].pos,
                            t->ctx);
        STEP(check_token(t, rows[i].seq, rows[i].id, err));
        ids[i] = rows[i].id;
    }
    STEP(ops->write_ids(t->b, t->ids, ids, n, err));
    STEP(ops->embed(t->b, t->embed, t->ids, n, t->x, err));
    STEP(run_layers(t, &of, err));
    STEP(clm_transformer_logits(t, 0, n, logits, err));
    return st;
}
