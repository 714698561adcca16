/* runtime/model/cl_matmul.c: products with weight matrices on an OpenCL device, by what suits the
 * number of tokens, the weights and the device. See backend_cl_impl.h.
 *
 *   plain kernels        a GEMV per token; CLBlast on dequantised weights from 32 tokens on
 *   one token            linear_*, with int8 or float activations
 *   several, int8        act_quant, gemm_*
 *   many, tiles          act_bf16 unless rmsnorm or swiglu wrote its panels, gemm_amx or gemm_mma
 *   several, float       as with plain kernels
 */
#include "host/gemm.h"
#include "runtime/model/backend_cl_impl.h"
#include "runtime/model/shapes.h"
#include "runtime/ops/op_act_bf16.h"
#include "runtime/ops/op_act_quant.h"
#include "runtime/ops/op_dequant.h"
#include "runtime/ops/op_gather.h"
#include "runtime/ops/op_gemm.h"
#include "runtime/ops/op_gemm_amx.h"
#include "runtime/ops/op_gemm_mma.h"
#include "runtime/ops/op_gemv.h"
#include "runtime/ops/op_linear.h"

/* ---- operators and shapes -------------------------------------------------------------------- */

static const clm_op_desc *gemv_of(clm_weight_format format)
{
    if (format == CLM_FORMAT_Q4) return &clm_op_gemv_q4;
    if (format == CLM_FORMAT_Q8) return &clm_op_gemv_q8;
    return &clm_op_gemv_f16;
}

const clm_op_desc *clm__cl_linear_of(clm_weight_format format)
{
    if (format == CLM_FORMAT_Q4) return &clm_op_linear_q4;
    if (format == CLM_FORMAT_Q8) return &clm_op_linear_q8;
    return &clm_op_linear_f16;
}

static const clm_op_desc *gemm_of(clm_weight_format format)
{
    return format == CLM_FORMAT_Q4 ? &clm_op_gemm_q4 : &clm_op_gemm_q8;
}

bool clm__cl_takes_int8(const clm_backend_cl *b, const clm_weight_layout *l)
{
    return b->int8 && clm_weight_quantised(l->format);
}

size_t clm__cl_tile_tokens(const clm_backend_cl *b)
{
    if (b->tiles == CLM_CL_TILES_NONE) return SIZE_MAX;
    return b->tiles == CLM_CL_TILES_AMX ? CLM_CL_AMX_TOKENS : CLM_CL_MMA_TOKENS;
}

enum clm_act_out clm__cl_tiles_out(const clm_backend_cl *b, size_t m)
{
    if (m < clm__cl_tile_tokens(b)) return CLM_ACT_OUT_F32;
    return b->tiles == CLM_CL_TILES_MMA ? CLM_ACT_OUT_SHUFFLED : CLM_ACT_OUT_BF16;
}

/* Whether a product of m tokens with such weights goes through tiles. */
static bool takes_tiles(const clm_backend_cl *b, const clm_weight_layout *l, size_t m)
{
    return clm_weight_quantised(l->format) && m >= clm__cl_tile_tokens(b);
}

enum clm_act_out clm__cl_out_for(const clm_backend_cl *b, const clm_readers *readers, size_t m)
{
    for (size_t i = 0; i < sizeof readers->w / sizeof *readers->w; i++) {
        const clm_weight *w = readers->w[i];

        if (w != NULL && (w->column_order != NULL || !takes_tiles(b, &w->layout, m)))
            return CLM_ACT_OUT_F32;
    }
    return clm__cl_tiles_out(b, m);
}

static clm_shape gemv_shape(const clm_weight_layout *l, size_t m, size_t rows, size_t ldy,
                            size_t y_off)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_GEMV_M] = (int)m;
    s.v[CLM_GEMV_N] = (int)rows;
    s.v[CLM_GEMV_K] = (int)l->columns;
    s.v[CLM_GEMV_LDY] = (int)ldy;
    s.v[CLM_GEMV_Y_OFF] = (int)y_off;
    s.v[CLM_GEMV_FORMAT] = (int)l->format;
    s.v[CLM_GEMV_GROUP] = (int)l->group;
    s.v[CLM_GEMV_HAS_MIN] = l->has_min;
    return s;
}

static clm_shape gemm_shape(const clm_weight_layout *l, size_t m, size_t rows, size_t ldy,
                            size_t y_off, int panel)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_GEMM_M] = (int)m;
    s.v[CLM_GEMM_N] = (int)rows;
    s.v[CLM_GEMM_K] = (int)l->columns;
    s.v[CLM_GEMM_LDY] = (int)ldy;
    s.v[CLM_GEMM_Y_OFF] = (int)y_off;
    s.v[CLM_GEMM_T] = panel;
    s.v[CLM_GEMM_FORMAT] = (int)l->format;
    s.v[CLM_GEMM_GROUP] = (int)l->group;
    s.v[CLM_GEMM_HAS_MIN] = l->has_min;
    return s;
}

static clm_shape gemm_amx_shape(const clm_weight_layout *l, size_t m, size_t rows, size_t ldy,
                                size_t y_off, size_t first)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_GEMM_AMX_M] = (int)m;
    s.v[CLM_GEMM_AMX_N] = (int)rows;
    s.v[CLM_GEMM_AMX_K] = (int)l->columns;
    s.v[CLM_GEMM_AMX_LDY] = (int)ldy;
    s.v[CLM_GEMM_AMX_Y_OFF] = (int)y_off;
    s.v[CLM_GEMM_AMX_FIRST] = (int)first;
    s.v[CLM_GEMM_AMX_CHUNK] = CLM_GEMM_AMX_COLUMNS;
    s.v[CLM_GEMM_AMX_FORMAT] = (int)l->format;
    s.v[CLM_GEMM_AMX_GROUP] = (int)l->group;
    s.v[CLM_GEMM_AMX_HAS_MIN] = l->has_min;
    return s;
}

static clm_shape gemm_mma_shape(const clm_weight_layout *l, size_t m, size_t rows, size_t ldy,
                                size_t y_off)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_GEMM_MMA_M] = (int)m;
    s.v[CLM_GEMM_MMA_N] = (int)rows;
    s.v[CLM_GEMM_MMA_K] = (int)l->columns;
    s.v[CLM_GEMM_MMA_LDY] = (int)ldy;
    s.v[CLM_GEMM_MMA_Y_OFF] = (int)y_off;
    s.v[CLM_GEMM_MMA_FORMAT] = (int)l->format;
    s.v[CLM_GEMM_MMA_GROUP] = (int)l->group;
    s.v[CLM_GEMM_MMA_HAS_MIN] = l->has_min;
    return s;
}

static clm_shape act_bf16_shape(const clm_backend_cl *b, size_t m, size_t columns)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_ACT_BF16_M] = (int)m;
    s.v[CLM_ACT_BF16_K] = (int)columns;
    s.v[CLM_ACT_BF16_LD] = (int)columns;
    s.v[CLM_ACT_BF16_SHUFFLED] = b->tiles == CLM_CL_TILES_MMA;
    return s;
}

clm_shape clm__cl_linear_shape(const clm_weight_layout *l, size_t rows, size_t row0, bool int8)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_LINEAR_N] = (int)rows;
    s.v[CLM_LINEAR_K] = (int)l->columns;
    s.v[CLM_LINEAR_ROW0] = (int)row0;
    s.v[CLM_LINEAR_FORMAT] = (int)l->format;
    s.v[CLM_LINEAR_GROUP] = (int)l->group;
    s.v[CLM_LINEAR_HAS_MIN] = l->has_min;
    s.v[CLM_LINEAR_ACT] = int8;
    return s;
}

clm_shape clm__cl_act_shape(size_t m, size_t columns, size_t t)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_ACT_QUANT_M] = (int)m;
    s.v[CLM_ACT_QUANT_K] = (int)columns;
    s.v[CLM_ACT_QUANT_LD] = (int)columns;
    s.v[CLM_ACT_QUANT_T] = (int)t;
    return s;
}

static clm_shape dequant_shape(const clm_weight_layout *l, size_t row0, size_t rows)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_DEQUANT_ROW0] = (int)row0;
    s.v[CLM_DEQUANT_ROWS] = (int)rows;
    s.v[CLM_DEQUANT_K] = (int)l->columns;
    s.v[CLM_DEQUANT_FORMAT] = (int)l->format;
    s.v[CLM_DEQUANT_GROUP] = (int)l->group;
    s.v[CLM_DEQUANT_HAS_MIN] = l->has_min;
    return s;
}

/* Tokens per panel of m activations. */
static size_t panel_of(const clm_backend_cl *b, size_t m)
{
    return m == 1 ? 1 : (size_t)clm_gemm_panel_for(clm_device_caps(b->dev), m);
}

/* ---- preparation ----------------------------------------------------------------------------- */

/* Products of several tokens with int8 activations, for each size of panel that one may have: a panel of few tokens,
 * many of the largest ones. */
static clm_status plan_gemm(clm_backend_cl *b, const clm_weight_layout *l, size_t batch,
                            clm_err *err)
{
    clm_gemm_panel panels[CLM_GEMM_PANELS];
    const size_t n = clm_gemm_panels(clm_device_caps(b->dev), panels);
    const size_t tiles = clm__cl_tile_tokens(b), most = tiles <= batch ? tiles - 1 : batch;
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        const size_t fewest = i == 0 ? 2 : (size_t)panels[i - 1].most + 1;
        const size_t t = (size_t)panels[i].tokens, m = i + 1 < n && t < most ? t : most;
        const clm_shape act = clm__cl_act_shape(m, l->columns, t);
        const clm_shape gemm = gemm_shape(l, m, l->rows, l->rows, 0, panels[i].tokens);

        if (fewest > most) break;
        st = clm_cl_kernels_plan(b->kernels, &clm_op_act_quant, &act, err);
        if (st == CLM_OK) st = clm_cl_kernels_plan(b->kernels, gemm_of(l->format), &gemm, err);
    }
    return st;
}

clm_status clm__cl_plan_matmul(clm_backend_cl *b, const clm_weight_layout *l, size_t most,
                               bool ordered, clm_err *err)
{
    const bool int8 = clm__cl_takes_int8(b, l);
    const clm_shape gemv = gemv_shape(l, 1, l->rows, l->rows, 0);
    const clm_shape linear = clm__cl_linear_shape(l, l->rows, 0, int8);
    const clm_shape one = clm__cl_act_shape(1, l->columns, 1);
    const bool tiles = takes_tiles(b, l, most), mma = b->tiles == CLM_CL_TILES_MMA;
    const clm_shape amx_tiles = gemm_amx_shape(l, most, l->rows, l->rows, 0, 0);
    const clm_shape mma_tiles = gemm_mma_shape(l, most, l->rows, l->rows, 0);
    const clm_shape mma_few = gemm_mma_shape(l, CLM_CL_MMA_TOKENS, l->rows, l->rows, 0);
    const clm_shape bf16 = act_bf16_shape(b, most, l->columns);
    const clm_shape dequant = dequant_shape(l, 0, l->rows);
    const clm_shape gather = clm_shape_gather(1, l->columns);
    const struct {
        const clm_op_desc *op;
        const clm_shape *shape;
        bool used;
    } all[] = {
        {gemv_of(l->format), &gemv, b->plain || (most > 1 && !int8)},
        {clm__cl_linear_of(l->format), &linear, !b->plain},
        {&clm_op_act_quant, &one, int8},
        {&clm_op_act_bf16, &bf16, tiles},
        {&clm_op_gemm_amx, &amx_tiles, tiles && !mma},
        {&clm_op_gemm_mma, &mma_tiles, tiles && mma},
        {&clm_op_gemm_mma, &mma_few, tiles && mma}, /* short prompts take other tiles */
        {&clm_op_dequant, &dequant, b->blast && !int8},
        {&clm_op_gather, &gather, ordered},
    };
    clm_status st = CLM_OK;

    if (ordered && l->columns > b->gather_columns) b->gather_columns = l->columns;
    b->tiled = b->tiled || tiles;
    for (size_t i = 0; i < sizeof all / sizeof *all && st == CLM_OK; i++)
        if (all[i].used) st = clm_cl_kernels_plan(b->kernels, all[i].op, all[i].shape, err);
    return st == CLM_OK && int8 && most > 1 ? plan_gemm(b, l, most, err) : st;
}

/* ---- products -------------------------------------------------------------------------------- */

/* Where a product goes: rows of y have ldy columns, the first result is at column y_off. */
typedef struct target {
    size_t m;
    clm_buffer *y;
    size_t ldy, y_off;
} target;

static clm_status run_gemv(clm_backend_cl *b, const clm_weight *w, const clm_cl_part *p,
                           clm_buffer *x, const target *to, clm_err *err)
{
    const clm_shape s = gemv_shape(&w->layout, to->m, p->rows, to->ldy, to->y_off + p->row0);
    clm_buffer *blocks[] = {p->q, clm__cl_or_unused(b, p->scale), clm__cl_or_unused(b, p->min), x,
                            to->y};
    clm_buffer *plain[] = {p->q, x, to->y};

    return clm_cl_kernels_launch(b->kernels, gemv_of(w->layout.format), &s,
                                 clm_weight_quantised(w->layout.format) ? blocks : plain, err);
}

static clm_status run_linear(clm_backend_cl *b, const clm_weight *w, const clm_cl_part *p,
                             clm_buffer *x, const target *to, clm_err *err)
{
    const bool int8 = clm__cl_takes_int8(b, &w->layout);
    const clm_shape s = clm__cl_linear_shape(&w->layout, p->rows, to->y_off + p->row0, int8);
    clm_buffer *bufs[CLM_LINEAR_BUFFERS];

    for (size_t i = 0; i < CLM_LINEAR_BUFFERS; i++) bufs[i] = b->unused;
    bufs[CLM_LINEAR_Q] = p->q;
    bufs[CLM_LINEAR_SCALE] = clm__cl_or_unused(b, p->scale);
    bufs[CLM_LINEAR_MIN] = clm__cl_or_unused(b, p->min);
    bufs[CLM_LINEAR_X] = int8 ? b->act.q : x;
    if (int8) bufs[CLM_LINEAR_XD] = b->act.d;
    if (int8) bufs[CLM_LINEAR_XS] = b->act.s;
    bufs[CLM_LINEAR_Y] = to->y;
    return clm_cl_kernels_launch(b->kernels, clm__cl_linear_of(w->layout.format), &s, bufs, err);
}

static clm_status run_gemm(clm_backend_cl *b, const clm_weight *w, const clm_cl_part *p,
                           const target *to, clm_err *err)
{
    const clm_shape s = gemm_shape(&w->layout, to->m, p->rows, to->ldy, to->y_off + p->row0,
                                   (int)panel_of(b, to->m));
    clm_buffer *bufs[] = {p->q,
                          clm__cl_or_unused(b, p->scale),
                          clm__cl_or_unused(b, p->min),
                          b->act.q,
                          b->act.d,
                          b->act.s,
                          to->y};

    return clm_cl_kernels_launch(b->kernels, gemm_of(w->layout.format), &s, bufs, err);
}

/* All rows by some of the columns, then by the next: see cl/gemm_amx.cl. */
static clm_status run_amx(clm_backend_cl *b, const clm_weight *w, const clm_cl_part *p,
                          const target *to, clm_err *err)
{
    clm_buffer *bufs[] = {
        p->q,   clm__cl_or_unused(b, p->scale), clm__cl_or_unused(b, p->min), b->act_bf16, to->y,
        b->sums};
    clm_status st = CLM_OK;

    for (size_t k = 0; k < w->layout.columns && st == CLM_OK; k += CLM_GEMM_AMX_COLUMNS) {
        const clm_shape s =
            gemm_amx_shape(&w->layout, to->m, p->rows, to->ldy, to->y_off + p->row0, k);

        st = clm_cl_kernels_launch(b->kernels, &clm_op_gemm_amx, &s, bufs, err);
    }
    return st;
}

static clm_status run_mma(clm_backend_cl *b, const clm_weight *w, const clm_cl_part *p,
                          const target *to, clm_err *err)
{
    const clm_shape s = gemm_mma_shape(&w->layout, to->m, p->rows, to->ldy, to->y_off + p->row0);
    clm_buffer *bufs[] = {p->q, clm__cl_or_unused(b, p->scale), clm__cl_or_unused(b, p->min),
                          b->act_bf16, to->y};

    return clm_cl_kernels_launch(b->kernels, &clm_op_gemm_mma, &s, bufs, err);
}

/* Dequantises as many rows at a time as the scratch buffer holds, and lets CLBlast multiply. */
static clm_status run_blast(clm_backend_cl *b, const clm_weight *w, const clm_cl_part *p,
                            clm_buffer *x, const target *to, clm_err *err)
{
    const size_t columns = w->layout.columns;
    const size_t room = clm_buffer_count(b->dense) / columns / CLM_TILE_ROWS * CLM_TILE_ROWS;
    clm_status st = CLM_OK;

    if (room == 0) return run_gemv(b, w, p, x, to, err);
    if (!b->blast_ready) clm_progress(b->obs, "compiling CLBlast's kernels", 0, 1);
    for (size_t row = 0; row < p->rows && st == CLM_OK; row += room) {
        const size_t n = p->rows - row < room ? p->rows - row : room;
        const clm_shape s = dequant_shape(&w->layout, row, n);
        clm_buffer *bufs[] = {p->q, clm__cl_or_unused(b, p->scale), clm__cl_or_unused(b, p->min),
                              b->dense};

        st = clm_cl_kernels_launch(b->kernels, &clm_op_dequant, &s, bufs, err);
        if (st == CLM_OK)
            st = clm_gemm_nt(b->dev, to->m, n, columns, x, 0, b->dense, to->y,
                             to->y_off + p->row0 + row, to->ldy, err);
    }
    if (!b->blast_ready) clm_progress(b->obs, "compiling CLBlast's kernels", 1, 1);
    b->blast_ready = true;
    return st;
}

static clm_status quantise(clm_backend_cl *b, clm_buffer *x, size_t m, size_t columns, size_t t,
                           clm_err *err)
{
    const clm_shape s = clm__cl_act_shape(m, columns, t);
    clm_buffer *bufs[] = {x, b->act.q, b->act.d, b->act.s};

    return clm_cl_kernels_launch(b->kernels, &clm_op_act_quant, &s, bufs, err);
}

static clm_status round_bf16(clm_backend_cl *b, clm_buffer *x, size_t m, size_t columns,
                             clm_err *err)
{
    const clm_shape s = act_bf16_shape(b, m, columns);
    clm_buffer *bufs[] = {x, b->act_bf16};

    b->panels = NULL;
    return clm_cl_kernels_launch(b->kernels, &clm_op_act_bf16, &s, bufs, err);
}

/* Puts the inputs into the order of the matrix's columns: `*x` becomes them. */
static clm_status gather_inputs(clm_backend_cl *b, const clm_weight *w, size_t m, const clm_vec **x,
                                clm_err *err)
{
    const clm_shape s = clm_shape_gather(m, w->layout.columns);
    clm_buffer *bufs[] = {(*x)->buf, w->column_order, b->gathered.buf};

    *x = &b->gathered;
    return clm_cl_kernels_launch(b->kernels, &clm_op_gather, &s, bufs, err);
}

clm_status clm__cl_matmul(clm_backend *base, const clm_weight *w, const clm_vec *x, size_t m,
                          clm_vec *y, size_t ldy, size_t y_off, clm_err *err)
{
    clm_backend_cl *b = (clm_backend_cl *)base;
    const target to = {m, y->buf, ldy, y_off};
    const bool tiles = takes_tiles(b, &w->layout, m);
    const bool int8 = clm__cl_takes_int8(b, &w->layout) && !tiles;
    clm_status st = CLM_OK;

    if (w->column_order != NULL) st = gather_inputs(b, w, m, &x, err);
    if (st == CLM_OK && tiles && x != b->panels)
        st = round_bf16(b, x->buf, m, w->layout.columns, err);
    if (st == CLM_OK && int8) st = quantise(b, x->buf, m, w->layout.columns, panel_of(b, m), err);
    for (size_t i = 0; i < w->n_parts && st == CLM_OK; i++) {
        const clm_cl_part *p = &w->parts[i];

        if (m == 1 && !b->plain)
            st = run_linear(b, w, p, x->buf, &to, err);
        else if (tiles && b->tiles == CLM_CL_TILES_MMA)
            st = run_mma(b, w, p, &to, err);
        else if (tiles)
            st = run_amx(b, w, p, &to, err);
        else if (int8)
            st = run_gemm(b, w, p, &to, err);
        else if (b->blast && m >= CLM_CL_BLAST_TOKENS)
            st = run_blast(b, w, p, x->buf, &to, err);
        else
            st = run_gemv(b, w, p, x->buf, &to, err);
    }
    return st;
}
