/* runtime/model/cl_decode.c: one token through all layers on an OpenCL device. See backend_cl_impl.h.
 *
 * The launches of a layer, whose arguments are set once for all tokens:
 *
 *   1  query, key, value   linear_*: the factor of the normalisation, product
 *   2  attention           attention_decode: rotates, writes key and value into the cache, attends
 *      attention           attention_combine: the splits of each head together
 *   3  output              linear_*: product, residual; the sums of squares and, multiplied by the
 *                          weight of the next normalisation, the input of the next product
 *   4  gate, up            linear_*: factor, products, SwiGLU
 *   5  down                linear_*: as 3
 *
 * In between activations are int8 or float, as the next product takes them.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/model/backend_cl_impl.h"
#include "host/grow.h"
#include "runtime/model/shapes.h"
#include "runtime/ops/act.h"
#include "runtime/ops/op_act_quant.h"
#include "runtime/ops/op_attention_combine.h"
#include "runtime/ops/op_attention_decode.h"
#include "runtime/ops/op_linear.h"
#include "runtime/ops/op_rmsnorm.h"
#include "runtime/ops/op_swiglu.h"

/* Activations between two products: floats, or int8. */
typedef struct operand {
    clm_buffer *x;
    clm_cl_act act;
} operand;

/* Sums of squares of the residual stream, which a normalisation adds up. */
static size_t count_sums(const clm_backend_cl *b)
{
    return (b->hp->width + CLM_LINEAR_SUM_ROWS - 1) / CLM_LINEAR_SUM_ROWS;
}

struct clm_cl_plan {
    clm_cl_launch *launches;
    size_t n, room;
    size_t *layer_end; /* [part.n]: launches before the next layer */
    operand normed;    /* [width], not yet divided by the norm but for the first layer */
    operand attended;  /* [n_heads * head_dim] */
    operand hidden;    /* [ffn] */
    clm_buffer *part;  /* [ceil(width / 32)] sums of squares */
    clm_buffer *gate_up;
    clm_buffer *splits; /* partial results of attention */
    clm_buffer *pos;    /* i32 [1], the token's position */
    bool supported;
};

static void operand_clear(operand *s)
{
    clm_buffer_destroy(s->x);
    clm__cl_act_clear(&s->act);
}

void clm__cl_plan_destroy(clm_cl_plan *plan)
{
    if (plan == NULL) return;
    for (size_t i = 0; i < plan->n; i++) clm_kernel_destroy(plan->launches[i].kernel);
    free(plan->launches);
    free(plan->layer_end);
    operand_clear(&plan->normed);
    operand_clear(&plan->attended);
    operand_clear(&plan->hidden);
    clm_buffer_destroy(plan->part);
    clm_buffer_destroy(plan->gate_up);
    clm_buffer_destroy(plan->splits);
    clm_buffer_destroy(plan->pos);
    free(plan);
}

/* ---- what is planned ------------------------------------------------------------------------- */

/* A plan in the making. A sketch only notes the kernels: its buffers are all NULL. */
typedef struct maker {
    clm_backend_cl *b;
    clm_cl_plan *plan;
    clm_vec *x; /* residual stream */
    const clm_qkv *qkv;
    size_t seq;
    bool sketch;
    clm_err *err;
} maker;

static clm_status add(maker *m, const clm_op_desc *op, const clm_shape *shape,
                      clm_buffer *const *bufs)
{
    clm_cl_plan *plan = m->plan;
    clm_cl_launch *grown;

    if (m->sketch) return clm_cl_kernels_plan(m->b->kernels, op, shape, m->err);
    grown = clm_grow(plan->launches, &plan->room, plan->n + 1, sizeof *grown);
    if (grown == NULL) return clm_fail(m->err, CLM_E_NOMEM, "plan of a token: no memory");
    plan->launches = grown;
    return clm_cl_kernels_bind(m->b->kernels, op, shape, bufs, &plan->launches[plan->n++], m->err);
}

/* One product: what it reads, what it does, where it goes. */
typedef struct product {
    const clm_weight *w;
    const operand *from;
    bool norm; /* `from` lacks the factor that the sums in plan->part make */
    enum clm_linear_epilogue epilogue;
    clm_buffer *y; /* STORE */
    size_t y_off;
    clm_buffer *gamma; /* RESIDUAL */
    const operand *to;
    bool to_int8; /* SWIGLU, RESIDUAL */
} product;

static clm_status add_product(maker *m, const product *p)
{
    const clm_backend_cl *b = m->b;
    const clm_weight_layout *l = &p->w->layout;
    const bool int8 = clm__cl_takes_int8(b, l);
    clm_status st = CLM_OK;

    for (size_t i = 0; i < p->w->n_parts && st == CLM_OK; i++) {
        const clm_cl_part *part = &p->w->parts[i];
        clm_shape s = clm__cl_linear_shape(l, part->rows, p->y_off + part->row0, int8);
        clm_buffer *bufs[CLM_LINEAR_BUFFERS];

        s.v[CLM_LINEAR_NORM] = p->norm;
        if (p->norm) s.v[CLM_LINEAR_N_PART] = (int)count_sums(b);
        s.v[CLM_LINEAR_EPILOGUE] = (int)p->epilogue;
        s.v[CLM_LINEAR_OUT_ACT] = p->to_int8;
        s.f[0] = b->hp->rms_eps;
        for (size_t j = 0; j < CLM_LINEAR_BUFFERS; j++) bufs[j] = b->unused;
        bufs[CLM_LINEAR_Q] = part->q;
        bufs[CLM_LINEAR_SCALE] = clm__cl_or_unused(b, part->scale);
        bufs[CLM_LINEAR_MIN] = clm__cl_or_unused(b, part->min);
        bufs[CLM_LINEAR_X] = int8 ? p->from->act.q : p->from->x;
        if (int8) bufs[CLM_LINEAR_XD] = p->from->act.d;
        if (int8) bufs[CLM_LINEAR_XS] = p->from->act.s;
        bufs[CLM_LINEAR_PART] = m->plan->part;
        if (p->epilogue == CLM_LINEAR_STORE) bufs[CLM_LINEAR_Y] = p->y;
        if (p->epilogue == CLM_LINEAR_RESIDUAL) {
            bufs[CLM_LINEAR_Y] = m->x->buf;
            bufs[CLM_LINEAR_GAMMA] = p->gamma;
            bufs[CLM_LINEAR_PART_OUT] = m->plan->part;
        }
        if (p->epilogue != CLM_LINEAR_STORE) {
            bufs[CLM_LINEAR_OUT] = p->to_int8 ? p->to->act.q : p->to->x;
            if (p->to_int8) bufs[CLM_LINEAR_OUT_D] = p->to->act.d;
            if (p->to_int8) bufs[CLM_LINEAR_OUT_S] = p->to->act.s;
        }
        st = add(m, clm__cl_linear_of(l->format), &s, bufs);
    }
    return st;
}

/* Rounds the floats of an operand to its int8. */
static clm_status add_quantise(maker *m, const operand *s, size_t columns)
{
    const clm_shape shape = clm__cl_act_shape(1, columns, 1);
    clm_buffer *bufs[] = {s->x, s->act.q, s->act.d, s->act.s};

    return add(m, &clm_op_act_quant, &shape, bufs);
}

/* The first layer's input comes from the embedding, with no product before it. */
static clm_status add_first_norm(maker *m, const clm_layer *layer, bool int8)
{
    const clm_shape s =
        clm_shape_rmsnorm(1, m->b->hp->width, 0, m->b->hp->rms_eps, CLM_ACT_OUT_F32);
    clm_buffer *bufs[] = {m->x->buf, layer->attn_norm->vector, m->plan->normed.x};
    clm_status st = add(m, &clm_op_rmsnorm, &s, bufs);

    if (st == CLM_OK && int8) st = add_quantise(m, &m->plan->normed, m->b->hp->width);
    return st;
}

static clm_status add_qkv(maker *m, const clm_layer *layer, bool first)
{
    const clm_qkv *qkv = m->qkv;
    product p = {.from = &m->plan->normed, .norm = !first, .y = qkv->x->buf};
    const clm_weight *const apart[] = {layer->q, layer->k, layer->v};
    const size_t offs[] = {0, qkv->k_off, qkv->v_off};
    clm_status st = CLM_OK;

    if (layer->qkv != NULL) {
        p.w = layer->qkv;
        return add_product(m, &p);
    }
    for (size_t i = 0; i < 3 && st == CLM_OK; i++) {
        p.w = apart[i];
        p.y_off = offs[i];
        st = add_product(m, &p);
    }
    return st;
}

size_t clm__cl_splits(const clm_backend_cl *b)
{
    return (size_t)clm_attention_splits(clm_device_caps(b->dev), b->kv.n_heads, b->kv.ctx);
}

clm_shape clm__cl_decode_shape(const clm_backend_cl *b, const clm_qkv *qkv, size_t row)
{
    const size_t dims = b->hp->position == CLM_POSITION_ROPE ? b->hp->rope_dims : 0;
    const size_t at = row * qkv->ld;
    const clm_qkv moved = {qkv->x, qkv->ld, at + qkv->k_off, at + qkv->v_off};
    const size_t splits = clm__cl_splits(b);
    clm_shape s = clm_shape_attention_decode(&b->kv, dims, &moved, splits);

    s.v[CLM_ATTENTION_DECODE_Q_OFF] = (int)at;
    s.v[CLM_ATTENTION_DECODE_PART_OFF] =
        (int)(row * clm_attention_part_floats(b->kv.n_heads, b->kv.head_dim, splits));
    return s;
}

void clm__cl_decode_buffers(const clm_backend_cl *b, const clm_cl_kv *kv, clm_buffer *x,
                            clm_buffer *pos, clm_buffer *splits,
                            clm_buffer *out[CLM_CL_DECODE_BUFFERS])
{
    clm_buffer *const all[CLM_CL_DECODE_BUFFERS] = {x,
                                                    clm__cl_or_unused(b, b->rope),
                                                    kv->k,
                                                    kv->v,
                                                    clm__cl_or_unused(b, kv->k_scale),
                                                    clm__cl_or_unused(b, kv->v_scale),
                                                    kv->k_max,
                                                    b->slopes,
                                                    pos,
                                                    splits};

    memcpy(out, all, sizeof all);
}

clm_shape clm__cl_combine_shape(const clm_backend_cl *b, bool quant, size_t rows)
{
    return (clm_shape){.v = {[CLM_ATTENTION_COMBINE_N_HEADS] = (int)(rows * b->kv.n_heads),
                             [CLM_ATTENTION_COMBINE_HEAD_DIM] = (int)b->kv.head_dim,
                             [CLM_ATTENTION_COMBINE_SPLITS] = (int)clm__cl_splits(b),
                             [CLM_ATTENTION_COMBINE_QUANT_OUT] = quant}};
}

/* Attention of layer `i` into plan->attended, as int8 or floats. */
static clm_status add_attention(maker *m, size_t i, bool int8)
{
    const clm_backend_cl *b = m->b;
    const clm_cl_plan *plan = m->plan;
    const clm_cl_kv none = {0}, *kv = m->sketch ? &none : clm__cl_kv_of(b, m->seq, i);
    const size_t dim = b->kv.head_dim;
    const bool quantise = int8 && dim % CLM_ACT_GROUP == 0; /* else groups span heads */
    const clm_shape decode = clm__cl_decode_shape(b, m->qkv, 0);
    const clm_shape combine = clm__cl_combine_shape(b, quantise, 1);
    clm_buffer *in[CLM_CL_DECODE_BUFFERS];
    clm_buffer *out[] = {plan->splits, quantise ? b->unused : plan->attended.x,
                         quantise ? plan->attended.act.q : b->unused,
                         quantise ? plan->attended.act.d : b->unused,
                         quantise ? plan->attended.act.s : b->unused};
    clm_status st;

    clm__cl_decode_buffers(b, kv, m->qkv->x->buf, plan->pos, plan->splits, in);
    st = add(m, &clm_op_attention_decode, &decode, in);
    if (st == CLM_OK) st = add(m, &clm_op_attention_combine, &combine, out);
    if (st == CLM_OK && int8 && !quantise)
        st = add_quantise(m, &plan->attended, b->kv.n_heads * dim);
    return st;
}

/* Gate, up and SwiGLU into plan->hidden, as `int8` or floats. */
static clm_status add_gate_up(maker *m, const clm_layer *layer, bool int8)
{
    const size_t ffn = m->b->hp->ffn;
    product p = {.from = &m->plan->normed, .norm = true};
    const clm_shape swiglu = clm_shape_swiglu(1, ffn, false, CLM_ACT_OUT_F32);
    clm_buffer *bufs[] = {m->plan->gate_up, m->plan->hidden.x};
    clm_status st;

    if (layer->gate_up != NULL) {
        p.w = layer->gate_up;
        p.epilogue = CLM_LINEAR_SWIGLU;
        p.to = &m->plan->hidden;
        p.to_int8 = int8;
        return add_product(m, &p);
    }
    p.y = m->plan->gate_up;
    p.w = layer->gate;
    st = add_product(m, &p);
    p.w = layer->up;
    p.y_off = ffn;
    if (st == CLM_OK) st = add_product(m, &p);
    if (st == CLM_OK) st = add(m, &clm_op_swiglu, &swiglu, bufs);
    if (st == CLM_OK && int8) st = add_quantise(m, &m->plan->hidden, ffn);
    return st;
}

static const clm_weight *first_of_qkv(const clm_layer *l)
{
    return l->qkv != NULL ? l->qkv : l->q;
}

static const clm_weight *first_of_gate_up(const clm_layer *l)
{
    return l->gate_up != NULL ? l->gate_up : l->gate;
}

/* `next` is the layer behind it, or, for the last one, any. */
static clm_status add_layer(maker *m, const clm_layer *layer, size_t i, const clm_layer *next)
{
    const clm_backend_cl *b = m->b;
    clm_cl_plan *plan = m->plan;
    product out = {.w = layer->o,
                   .from = &plan->attended,
                   .epilogue = CLM_LINEAR_RESIDUAL,
                   .gamma = layer->ffn_norm->vector,
                   .to = &plan->normed,
                   .to_int8 = clm__cl_takes_int8(b, &first_of_gate_up(layer)->layout)};
    product down = {.w = layer->down,
                    .from = &plan->hidden,
                    .epilogue = CLM_LINEAR_RESIDUAL,
                    .gamma = next->attn_norm->vector, /* behind the last layer nobody reads it */
                    .to = &plan->normed,
                    .to_int8 = clm__cl_takes_int8(b, &first_of_qkv(next)->layout)};
    clm_status st = CLM_OK;

    if (i == 0) st = add_first_norm(m, layer, clm__cl_takes_int8(b, &first_of_qkv(layer)->layout));
    if (st == CLM_OK) st = add_qkv(m, layer, i == 0);
    if (st == CLM_OK) st = add_attention(m, i, clm__cl_takes_int8(b, &layer->o->layout));
    if (st == CLM_OK) st = add_product(m, &out);
    if (st == CLM_OK) st = add_gate_up(m, layer, clm__cl_takes_int8(b, &layer->down->layout));
    if (st == CLM_OK) st = add_product(m, &down);
    return st;
}

static bool ordered(const clm_weight *w)
{
    return w != NULL && w->column_order != NULL;
}

/* Products with a common input must take it in the same form, and as the product before gives it. */
static bool supported(const clm_backend_cl *b, const clm_layer *layers, size_t n)
{
    if (b->plain) return false;
    for (size_t i = 0; i < n; i++) {
        const clm_layer *l = &layers[i];

        if (ordered(l->qkv) || ordered(l->q) || ordered(l->k) || ordered(l->v) || ordered(l->o) ||
            ordered(l->gate_up) || ordered(l->gate) || ordered(l->up) || ordered(l->down))
            return false;
        if (l->qkv == NULL &&
            (clm__cl_takes_int8(b, &l->q->layout) != clm__cl_takes_int8(b, &l->k->layout) ||
             clm__cl_takes_int8(b, &l->q->layout) != clm__cl_takes_int8(b, &l->v->layout)))
            return false;
        if (l->gate_up == NULL &&
            clm__cl_takes_int8(b, &l->gate->layout) != clm__cl_takes_int8(b, &l->up->layout))
            return false;
    }
    return true;
}

/* ---- noting the kernels before there are weights ---------------------------------------------- */

enum { SKETCH_WEIGHTS = 9 };

/* A layer of weights that have a layout and nothing else. */
typedef struct sketch {
    clm_layer layer;
    clm_weight weights[SKETCH_WEIGHTS];
    clm_cl_part parts[SKETCH_WEIGHTS];
    size_t n;
} sketch;

static clm_weight *sketch_weight(sketch *s, const clm_stack *stack)
{
    clm_weight *w = &s->weights[s->n];

    w->layout = clm_stack_layout(stack);
    w->parts = &s->parts[s->n++];
    w->parts->rows = w->layout.rows;
    w->n_parts = 1;
    return w;
}

static clm_weight *sketch_tensor(sketch *s, const clm_model_file *mf, clm_weight_role role,
                                 size_t layer)
{
    const clm_stack stack = {.parts = {clm_model_file_weight(mf, role, layer)}, .n = 1};

    return sketch_weight(s, &stack);
}

/* As the transformer loads a layer. */
static void sketch_layer(sketch *s, const clm_model_file *mf, size_t i)
{
    const clm_stack qkv = {.parts = {clm_model_file_weight(mf, CLM_W_Q, i),
                                     clm_model_file_weight(mf, CLM_W_K, i),
                                     clm_model_file_weight(mf, CLM_W_V, i)},
                           .n = 3};
    const clm_stack gate_up = {
        .parts = {clm_model_file_weight(mf, CLM_W_GATE, i), clm_model_file_weight(mf, CLM_W_UP, i)},
        .n = 2,
        .tiled = true};

    s->layer.attn_norm = sketch_tensor(s, mf, CLM_W_ATTN_NORM, i);
    s->layer.ffn_norm = sketch_tensor(s, mf, CLM_W_FFN_NORM, i);
    s->layer.o = sketch_tensor(s, mf, CLM_W_O, i);
    s->layer.down = sketch_tensor(s, mf, CLM_W_DOWN, i);
    if (clm_stack_possible(&qkv)) {
        s->layer.qkv = sketch_weight(s, &qkv);
    } else {
        s->layer.q = sketch_tensor(s, mf, CLM_W_Q, i);
        s->layer.k = sketch_tensor(s, mf, CLM_W_K, i);
        s->layer.v = sketch_tensor(s, mf, CLM_W_V, i);
    }
    if (clm_stack_possible(&gate_up)) {
        s->layer.gate_up = sketch_weight(s, &gate_up);
    } else {
        s->layer.gate = sketch_tensor(s, mf, CLM_W_GATE, i);
        s->layer.up = sketch_tensor(s, mf, CLM_W_UP, i);
    }
}

clm_status clm__cl_plan_decode(clm_backend_cl *b, const clm_model_file *mf, clm_err *err)
{
    clm_cl_plan nothing = {0};
    clm_vec no_vec = {0};
    clm_qkv qkv = clm_qkv_layout(b->hp);
    maker m = {.b = b, .plan = &nothing, .x = &no_vec, .qkv = &qkv, .sketch = true, .err = err};
    sketch *layers = calloc(2, sizeof *layers);
    clm_layer pair[2];
    clm_status st = CLM_OK;

    if (layers == NULL) return clm_fail(err, CLM_E_NOMEM, "plan of a token: no memory");
    qkv.x = &no_vec;
    if (b->plain || b->gather_columns > 0) goto out; /* as supported() will find */
    for (size_t i = 0; i < b->part.n && st == CLM_OK; i++) {
        /* A layer ends as the next one begins. */
        memset(layers, 0, 2 * sizeof *layers);
        sketch_layer(&layers[0], mf, b->part.first + i);
        sketch_layer(&layers[1], mf, b->part.first + (i + 1 < b->part.n ? i + 1 : i));
        pair[0] = layers[0].layer;
        pair[1] = layers[1].layer;
        if (supported(b, pair, 2)) st = add_layer(&m, pair, i, pair + 1);
    }
out:
    free(layers);
    return st;
}

/* ---- making it ------------------------------------------------------------------------------- */

static clm_status operand_create(const clm_backend_cl *b, size_t columns, operand *s, clm_err *err)
{
    clm_status st = clm_buffer_create(b->dev, CLM_ELEM_F32, columns, &s->x, err);

    if (st == CLM_OK && b->int8) st = clm__cl_act_create(b->dev, 1, columns, &s->act, err);
    return st;
}

static clm_status create(clm_backend_cl *b, size_t seq, const clm_layer *layers, clm_vec *x,
                         const clm_qkv *qkv, clm_err *err)
{
    const size_t ffn_room = (b->hp->ffn + 31) / 32 * 32; /* padded rows have outputs, too */
    maker m = {.b = b, .x = x, .qkv = qkv, .seq = seq, .err = err};
    clm_cl_plan *plan = calloc(1, sizeof *plan);
    clm_status st = CLM_OK;

    if (plan == NULL) return clm_fail(err, CLM_E_NOMEM, "plan of a token: no memory");
    m.plan = b->plans[seq] = plan;
    plan->supported = supported(b, layers, b->part.n);
    if (!plan->supported) return CLM_OK;
    plan->layer_end = calloc(b->part.n, sizeof *plan->layer_end);
    if (plan->layer_end == NULL) return clm_fail(err, CLM_E_NOMEM, "plan of a token: no memory");
    st = operand_create(b, b->hp->width, &plan->normed, err);
    if (st == CLM_OK) st = operand_create(b, b->kv.n_heads * b->kv.head_dim, &plan->attended, err);
    if (st == CLM_OK) st = operand_create(b, ffn_room, &plan->hidden, err);
    if (st == CLM_OK) st = clm_buffer_create(b->dev, CLM_ELEM_F32, count_sums(b), &plan->part, err);
    if (st == CLM_OK)
        st = clm_buffer_create(b->dev, CLM_ELEM_F32, 2 * b->hp->ffn, &plan->gate_up, err);
    if (st == CLM_OK)
        st = clm_buffer_create(
            b->dev, CLM_ELEM_F32,
            clm_attention_part_floats(b->kv.n_heads, b->kv.head_dim, clm__cl_splits(b)),
            &plan->splits, err);
    if (st == CLM_OK) st = clm_buffer_create(b->dev, CLM_ELEM_I32, 1, &plan->pos, err);
    for (size_t i = 0; i < b->part.n && st == CLM_OK; i++) {
        const clm_layer *next = &layers[i + 1 < b->part.n ? i + 1 : i];

        st = add_layer(&m, &layers[i], i, next);
        plan->layer_end[i] = plan->n;
    }
    return st;
}

/* ---- running it ------------------------------------------------------------------------------ */

clm_status clm__cl_decode(clm_backend *base, size_t seq, const clm_layer *layers, clm_vec *x,
                          const clm_qkv *qkv, size_t pos, bool *done, clm_err *err)
{
    clm_backend_cl *b = (clm_backend_cl *)base;
    const clm_cl_plan *plan;
    clm_status st = CLM_OK;
    size_t at = 0;

    *done = false;
    if (b->plans[seq] == NULL) st = create(b, seq, layers, x, qkv, err);
    if (st != CLM_OK) {
        clm__cl_plan_destroy(b->plans[seq]);
        b->plans[seq] = NULL;
        return st;
    }
    plan = b->plans[seq];
    if (!plan->supported) return CLM_OK;
    st = clm_buffer_set_i32(plan->pos, (int32_t)pos, err);
    for (size_t layer = 0; layer < b->part.n && st == CLM_OK; layer++) {
        for (; at < plan->layer_end[layer] && st == CLM_OK; at++)
            st = clm_kernel_enqueue(plan->launches[at].kernel, &plan->launches[at].range, err);
        if (st == CLM_OK && layer % 8 == 7) st = clm_device_flush(b->dev, err);
    }
    *done = true;
    return st;
}
