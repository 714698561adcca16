/* runtime/model/stage.c: see runtime/model/stage.h. */
#include "runtime/model/stage.h"

#include <stdlib.h>

#include "host/clock.h"
#include "runtime/model/shapes.h"
#include "runtime/ops/weight_layout.h"

struct clm_stage {
    clm_backend *b;
    const clm_model_file *mf;
    const clm_hparams *hp;
    clm_part part;
    bool first, last;                    /* has the embeddings, has the head */
    clm_weight *embed, *out_norm, *head; /* head == embed where both are here and tied */
    clm_layer *layers;                   /* [part.n] */

    /* Activations of one batch. */
    clm_vec *ids;     /* [batch], first stage */
    clm_vec *x;       /* [batch][width] residual stream */
    clm_vec *h;       /* [batch][width] normalised */
    clm_vec *y;       /* [batch][width] what is added to the stream */
    clm_vec *att;     /* [batch][n_heads * head_dim] */
    clm_vec *gate_up; /* [batch][2 * ffn, or stacked: ffn filled up to whole tiles] */
    clm_vec *act;     /* [batch][ffn] */
    clm_vec *logits;  /* [CLM_LOGIT_ROWS][vocab], last stage */
    clm_vec *best;    /* [1] id, last stage */
    clm_qkv qkv;      /* [batch][ld], see clm_qkv_layout() */
};

/* ---- loading --------------------------------------------------------------------------------- */

/* Loads the tensors of a stage. */
typedef struct loader {
    clm_stage *s;
    clm_loading *loading;
    clm_status st;
    clm_err *err;
} loader;

static void loaded(loader *l, const clm_tensor *tensor)
{
    if (!l->s->b->ops->keeps_tensors) clm_model_file_drop(l->s->mf, tensor);
    clm_progress(l->loading->obs, "loading weights", ++l->loading->done, l->loading->total);
}

static void load_one(loader *l, clm_weight_role role, size_t layer, clm_weight **out)
{
    const clm_tensor *tensor = clm_model_file_weight(l->s->mf, role, layer);
    const clm_backend_ops *ops = l->s->b->ops;
    bool vector = role == CLM_W_ATTN_NORM || role == CLM_W_FFN_NORM || role == CLM_W_OUT_NORM;

    if (l->st != CLM_OK) return;
    l->st = (vector ? ops->load_vector : ops->load_matrix)(l->s->b, tensor, out, l->err);
    if (l->st != CLM_OK)
        clm_fail_context(l->err, l->st, "tensor %s", tensor->name);
    else
        loaded(l, tensor);
}

/* Loads the matrices of `roles`, which share their input, as one if the backend can, else one by one
 * into `single`. */
static void load_stack(loader *l, const clm_weight_role *roles, size_t n, size_t layer, bool tiled,
                       clm_weight **stack, clm_weight **const *single)
{
    const clm_backend_ops *ops = l->s->b->ops;
    const clm_tensor *parts[3];

    if (l->st != CLM_OK) return;
    for (size_t i = 0; i < n; i++) parts[i] = clm_model_file_weight(l->s->mf, roles[i], layer);
    if (ops->load_stack != NULL) {
        l->st = ops->load_stack(l->s->b, parts, n, tiled, stack, l->err);
        if (l->st != CLM_OK) clm_fail_context(l->err, l->st, "tensor %s", parts[0]->name);
        if (*stack != NULL) {
            for (size_t i = 0; i < n; i++) loaded(l, parts[i]);
            return;
        }
    }
    for (size_t i = 0; i < n; i++) load_one(l, roles[i], layer, single[i]);
}

/* The layer's tensors of the file, `layer` counted from the model's first. */
static void load_layer(loader *l, size_t layer, clm_layer *w)
{
    static const clm_weight_role k_qkv[] = {CLM_W_Q, CLM_W_K, CLM_W_V},
                                 k_gate_up[] = {CLM_W_GATE, CLM_W_UP};
    clm_weight **const qkv[] = {&w->q, &w->k, &w->v}, **const gate_up[] = {&w->gate, &w->up};

    load_one(l, CLM_W_ATTN_NORM, layer, &w->attn_norm);
    load_stack(l, k_qkv, 3, layer, false, &w->qkv, qkv);
    load_one(l, CLM_W_O, layer, &w->o);
    load_one(l, CLM_W_FFN_NORM, layer, &w->ffn_norm);
    load_stack(l, k_gate_up, 2, layer, true, &w->gate_up, gate_up);
    load_one(l, CLM_W_DOWN, layer, &w->down);
}

size_t clm_stage_tensors(const clm_stage *s)
{
    const size_t head = !s->last ? 0 : s->hp->tied_head && s->first ? 1 : 2;

    return 9 * s->part.n + (s->first ? 1 : 0) + head;
}

clm_status clm_stage_load(clm_stage *s, clm_loading *loading, clm_err *err)
{
    loader l = {.s = s, .loading = loading, .st = CLM_OK, .err = err};

    if (s->first) load_one(&l, CLM_W_EMBED, 0, &s->embed);
    for (size_t i = 0; i < s->part.n; i++) load_layer(&l, s->part.first + i, &s->layers[i]);
    if (!s->last) return l.st;
    load_one(&l, CLM_W_OUT_NORM, 0, &s->out_norm);
    if (s->hp->tied_head && s->first)
        s->head = s->embed;
    else
        load_one(&l, CLM_W_HEAD, 0, &s->head);
    return l.st;
}

/* ---- life ------------------------------------------------------------------------------------ */

static clm_status create_activations(clm_stage *s, size_t batch, clm_err *err)
{
    const clm_hparams *hp = s->hp;
    const clm_qkv qkv = clm_qkv_layout(hp);
    struct {
        clm_vec **vec;
        size_t count;
        bool here, ids;
    } all[] = {
        {&s->ids, batch, s->first, true},
        {&s->x, batch * hp->width, true, false},
        {&s->h, batch * hp->width, true, false},
        {&s->y, batch * hp->width, true, false},
        {&s->qkv.x, batch * qkv.ld, true, false},
        {&s->att, batch * hp->n_heads * hp->head_dim, true, false},
        {&s->gate_up, batch * 2 * clm_weight_padded(hp->ffn), true, false},
        {&s->act, batch * hp->ffn, true, false},
        {&s->logits, CLM_LOGIT_ROWS * hp->vocab, s->last, false},
        {&s->best, 1, s->last, true},
    };
    clm_status st = CLM_OK;

    s->qkv = qkv;
    for (size_t i = 0; i < sizeof all / sizeof *all && st == CLM_OK; i++)
        if (all[i].here)
            st = s->b->ops->vec_create(s->b, all[i].count, all[i].ids, all[i].vec, err);
    return st;
}

clm_status clm_stage_create(clm_backend *b, const clm_model_file *mf, const clm_part *part,
                            const clm_kv_shape *kv, size_t batch, clm_stage **out, clm_err *err)
{
    clm_stage *s = calloc(1, sizeof *s);
    clm_status st;

    *out = NULL;
    if (s == NULL) return clm_fail(err, CLM_E_NOMEM, "model: no memory");
    s->b = b;
    s->mf = mf;
    s->hp = clm_model_file_hparams(mf);
    s->part = *part;
    s->first = part->first == 0;
    s->last = part->first + part->n == s->hp->n_layers;
    s->layers = calloc(part->n, sizeof *s->layers);
    if (s->layers == NULL)
        st = clm_fail(err, CLM_E_NOMEM, "model: no memory");
    else
        st = b->ops->prepare(b, mf, part, kv, batch, err);
    if (st == CLM_OK) st = create_activations(s, batch, err);
    if (st == CLM_OK)
        *out = s;
    else
        clm_stage_destroy(s);
    return st;
}

static void unload_layer(clm_backend *b, const clm_layer *w)
{
    clm_weight *const all[] = {w->attn_norm, w->qkv,     w->q,    w->k,  w->v,   w->o,
                               w->ffn_norm,  w->gate_up, w->gate, w->up, w->down};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) b->ops->unload(b, all[i]);
}

void clm_stage_destroy(clm_stage *s)
{
    if (s == NULL) return;
    const clm_backend_ops *ops = s->b->ops;
    clm_vec *vecs[] = {s->ids, s->x,       s->h,   s->y,      s->qkv.x,
                       s->att, s->gate_up, s->act, s->logits, s->best};

    for (size_t i = 0; i < sizeof vecs / sizeof *vecs; i++) ops->vec_destroy(s->b, vecs[i]);
    for (size_t i = 0; s->layers != NULL && i < s->part.n; i++) unload_layer(s->b, &s->layers[i]);
    if (s->head != s->embed) ops->unload(s->b, s->head);
    ops->unload(s->b, s->out_norm);
    ops->unload(s->b, s->embed);
    free(s->layers);
    free(s);
}

clm_backend *clm_stage_backend(const clm_stage *s)
{
    return s->b;
}

const clm_part *clm_stage_part(const clm_stage *s)
{
    return &s->part;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Evaluates `call` unless an earlier one failed. */
#define STEP(call)                                                                                 \
    do {                                                                                           \
        if (st == CLM_OK) st = (call);                                                             \
    } while (0)

clm_status clm_stage_embed(clm_stage *s, const int *ids, size_t n, clm_err *err)
{
    const clm_backend_ops *ops = s->b->ops;
    clm_status st = ops->write_ids(s->b, s->ids, ids, n, err);

    STEP(ops->embed(s->b, s->embed, s->ids, n, s->x, err));
    return st;
}

/* h = the m rows of the stream from row0 on, normalised by `w`, for products with `readers`. */
static clm_status normalise(clm_stage *s, size_t row0, size_t m, const clm_weight *w,
                            const clm_readers *readers, clm_err *err)
{
    return s->b->ops->rmsnorm(s->b, s->x, row0, m, s->hp->width, w, s->hp->rms_eps, s->h, readers,
                              err);
}

static clm_status run_attend(clm_stage *s, size_t layer, const clm_tokens *of, clm_err *err)
{
    const clm_backend_ops *ops = s->b->ops;
    const clm_qkv *qkv = &s->qkv;
    clm_status st = CLM_OK;

    if (of->rows != NULL)
        return ops->attention_rows(s->b, layer, qkv, of->rows, of->n, s->att, err);
    if (s->hp->position == CLM_POSITION_ROPE) STEP(ops->rope(s->b, qkv, of->n, of->pos0, err));
    STEP(ops->kv_store(s->b, of->seq, layer, qkv, of->n, of->pos0, err));
    STEP(ops->attention(s->b, of->seq, layer, qkv, of->n, of->pos0, s->att, err));
    return st;
}

static clm_status run_attention(clm_stage *s, size_t layer, const clm_tokens *of, clm_err *err)
{
    const clm_backend_ops *ops = s->b->ops;
    const clm_layer *w = &s->layers[layer];
    const clm_readers readers = {{w->qkv, w->q, w->k, w->v}};
    const clm_qkv *qkv = &s->qkv;
    const size_t m = of->n;
    clm_status st = CLM_OK;

    STEP(normalise(s, 0, m, w->attn_norm, &readers, err));
    if (w->qkv != NULL) {
        STEP(ops->matmul(s->b, w->qkv, s->h, m, qkv->x, qkv->ld, 0, err));
    } else {
        STEP(ops->matmul(s->b, w->q, s->h, m, qkv->x, qkv->ld, 0, err));
        STEP(ops->matmul(s->b, w->k, s->h, m, qkv->x, qkv->ld, qkv->k_off, err));
        STEP(ops->matmul(s->b, w->v, s->h, m, qkv->x, qkv->ld, qkv->v_off, err));
    }
    STEP(run_attend(s, layer, of, err));
    STEP(ops->matmul(s->b, w->o, s->att, m, s->y, s->hp->width, 0, err));
    STEP(ops->add(s->b, s->x, s->y, m * s->hp->width, err));
    return st;
}

static clm_status run_ffn(clm_stage *s, size_t layer, size_t m, clm_err *err)
{
    const clm_backend_ops *ops = s->b->ops;
    const clm_layer *w = &s->layers[layer];
    const clm_readers normalised = {{w->gate_up, w->gate, w->up}}, act = {{w->down}};
    size_t ffn = s->hp->ffn;
    clm_status st = CLM_OK;

    STEP(normalise(s, 0, m, w->ffn_norm, &normalised, err));
    if (w->gate_up != NULL) {
        STEP(
            ops->matmul(s->b, w->gate_up, s->h, m, s->gate_up, 2 * clm_weight_padded(ffn), 0, err));
    } else {
        STEP(ops->matmul(s->b, w->gate, s->h, m, s->gate_up, 2 * ffn, 0, err));
        STEP(ops->matmul(s->b, w->up, s->h, m, s->gate_up, 2 * ffn, ffn, err));
    }
    STEP(ops->swiglu(s->b, s->gate_up, m, ffn, w->gate_up != NULL, s->act, &act, err));
    STEP(ops->matmul(s->b, w->down, s->act, m, s->y, s->hp->width, 0, err));
    STEP(ops->add(s->b, s->x, s->y, m * s->hp->width, err));
    return st;
}

/* Batches of so many tokens may take long, and layers of them are waited for every so many seconds. */
enum { MANY = 32 };
#define LOOK_SECONDS 0.25

/* When to look at the flag that stops a run. */
typedef struct watch {
    size_t next; /* behind so many layers */
    double since;
} watch;

/* Behind `done` layers: waits for them where it is time to, and looks at the flag. A device that is through one layer in
 * no time is not made to wait again. Of several devices only the first is waited for: while a later one is busy the first
 * is to be given the next batch. */
static clm_status look(const clm_stage *s, const clm_tokens *of, watch *w, size_t done,
                       clm_err *err)
{
    const double most = 1e6;
    double now, layers;
    clm_status st;

    if (of->stop == NULL || of->n < MANY || done != w->next) return CLM_OK;
    st = s->first ? s->b->ops->finish(s->b, err) : CLM_OK;
    if (st != CLM_OK) return st;
    if (atomic_load_explicit(of->stop, memory_order_relaxed) != 0)
        return clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
    now = clm_clock_seconds();
    layers = LOOK_SECONDS * (double)done / (now - w->since + 1e-9);
    w->next = done + (size_t)(layers < 1.0 ? 1.0 : layers > most ? most : layers);
    return CLM_OK;
}

clm_status clm_stage_run(clm_stage *s, const clm_tokens *of, clm_err *err)
{
    const clm_backend_ops *ops = s->b->ops;
    watch w = {.next = 1, .since = clm_clock_seconds()};
    clm_status st = CLM_OK;
    bool done = false;

    if (of->n == 1 && of->rows == NULL && ops->decode != NULL)
        st = ops->decode(s->b, of->seq, s->layers, s->x, &s->qkv, of->pos0, &done, err);
    for (size_t layer = 0; layer < s->part.n && st == CLM_OK && !done; layer++) {
        STEP(run_attention(s, layer, of, err));
        STEP(run_ffn(s, layer, of->n, err));
        if (layer % 8 == 7) STEP(ops->flush(s->b, err)); /* so that the device starts early */
        STEP(look(s, of, &w, layer + 1, err));
    }
    return st;
}

clm_status clm_stage_hand_over(clm_stage *from, clm_stage *to, size_t n, float *host, clm_err *err)
{
    const size_t count = n * from->hp->width;
    clm_status st = from->b->ops->read(from->b, from->x, 0, count, host, err);

    STEP(to->b->ops->write(to->b, to->x, host, count, err));
    return st;
}

clm_status clm_stage_head(clm_stage *s, size_t row0, size_t n, clm_err *err)
{
    const clm_backend_ops *ops = s->b->ops;
    const clm_readers readers = {{s->head}};
    clm_status st = CLM_OK;

    STEP(normalise(s, row0, n, s->out_norm, &readers, err));
    STEP(ops->matmul(s->b, s->head, s->h, n, s->logits, s->hp->vocab, 0, err));
    return st;
}

clm_status clm_stage_read_logits(clm_stage *s, size_t n, float *logits, clm_err *err)
{
    return s->b->ops->read(s->b, s->logits, 0, n * s->hp->vocab, logits, err);
}

clm_status clm_stage_read_best(clm_stage *s, size_t row, int *best, clm_err *err)
{
    const clm_backend_ops *ops = s->b->ops;
    const size_t vocab = s->hp->vocab;
    clm_status st = ops->argmax(s->b, s->logits, row * vocab, vocab, s->best, err);

    STEP(ops->read_id(s->b, s->best, 0, best, err));
    return st;
}
