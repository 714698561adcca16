/* runtime/model/cl_rows.c: attention of tokens that belong to different sequences, on an OpenCL device: the
 * kernels of a single token's plan, the first launched for each row, the second once for all. See backend.h,
 * attention_rows.
 */
#include <stdlib.h>

#include "runtime/model/backend_cl_impl.h"
#include "runtime/model/shapes.h"
#include "runtime/ops/op_attention_combine.h"
#include "runtime/ops/op_attention_decode.h"

/* A row's position, as the kernel reads it. */
typedef struct row_pos {
    clm_buffer *buf; /* i32 [1] */
    size_t value;    /* what is in it */
} row_pos;

struct clm_cl_rows {
    clm_buffer *splits; /* [n_splits] partial results of each row */
    size_t n_splits;
    row_pos *pos; /* [batch] */
};

void clm__cl_rows_destroy(clm_cl_rows *rows, size_t batch)
{
    if (rows == NULL) return;
    for (size_t i = 0; rows->pos != NULL && i < batch; i++) clm_buffer_destroy(rows->pos[i].buf);
    free(rows->pos);
    clm_buffer_destroy(rows->splits);
    free(rows);
}

static clm_status create(clm_backend_cl *b, clm_err *err)
{
    clm_cl_rows *rows = calloc(1, sizeof *rows);
    clm_status st = CLM_OK;

    if (rows != NULL) rows->pos = calloc(b->batch, sizeof *rows->pos);
    if (rows == NULL || rows->pos == NULL)
        st = clm_fail(err, CLM_E_NOMEM, "rows of several sequences: no memory");
    if (st == CLM_OK)
        b->rows = rows;
    else
        clm__cl_rows_destroy(rows, b->batch);
    return st;
}

/* Room for the partial results of `n` rows. */
static clm_status make_room(clm_backend_cl *b, size_t n, clm_err *err)
{
    const size_t floats =
        clm_attention_part_floats(b->kv.n_heads, b->kv.head_dim, clm__cl_splits(b));
    clm_buffer *more = NULL;
    clm_status st;

    if (n <= b->rows->n_splits) return CLM_OK;
    st = clm_buffer_create(b->dev, CLM_ELEM_F32, n * floats, &more, err);
    if (st != CLM_OK) return st;
    clm_buffer_destroy(b->rows->splits);
    b->rows->splits = more;
    b->rows->n_splits = n;
    return CLM_OK;
}

/* The buffer that holds `pos` for a row: written once for all layers. */
static clm_status position(clm_backend_cl *b, size_t row, size_t pos, clm_buffer **out,
                           clm_err *err)
{
    row_pos *p = &b->rows->pos[row];
    clm_status st = CLM_OK;

    *out = NULL;
    if (p->buf == NULL) {
        st = clm_buffer_create(b->dev, CLM_ELEM_I32, 1, &p->buf, err);
        p->value = SIZE_MAX;
    }
    if (st == CLM_OK && p->value != pos) st = clm_buffer_set_i32(p->buf, (int32_t)pos, err);
    if (st != CLM_OK) return st;
    p->value = pos;
    *out = p->buf;
    return CLM_OK;
}

clm_status clm__cl_plan_rows(clm_backend_cl *b, clm_err *err)
{
    const clm_qkv qkv = clm_qkv_layout(b->hp);
    const clm_shape decode = clm__cl_decode_shape(b, &qkv, 0);
    const clm_shape combine = clm__cl_combine_shape(b, false, 1);
    clm_status st = clm_cl_kernels_plan(b->kernels, &clm_op_attention_decode, &decode, err);

    return st != CLM_OK ? st
                        : clm_cl_kernels_plan(b->kernels, &clm_op_attention_combine, &combine, err);
}

/* The partial results of row `i`. */
static clm_status attend(clm_backend_cl *b, size_t layer, const clm_qkv *qkv, const clm_row *row,
                         size_t i, clm_err *err)
{
    const clm_shape decode = clm__cl_decode_shape(b, qkv, i);
    clm_buffer *in[CLM_CL_DECODE_BUFFERS], *pos = NULL;
    clm_status st = position(b, i, row->pos, &pos, err);

    if (st != CLM_OK) return st;
    clm__cl_decode_buffers(b, clm__cl_kv_of(b, row->seq, layer), qkv->x->buf, pos, b->rows->splits,
                           in);
    return clm_cl_kernels_launch(b->kernels, &clm_op_attention_decode, &decode, in, err);
}

clm_status clm__cl_attention_rows(clm_backend *base, size_t layer, const clm_qkv *qkv,
                                  const clm_row *rows, size_t n, clm_vec *out, clm_err *err)
{
    clm_backend_cl *b = (clm_backend_cl *)base;
    const clm_shape combine = clm__cl_combine_shape(b, false, n);
    clm_status st = b->rows == NULL ? create(b, err) : CLM_OK;

    if (st == CLM_OK) st = make_room(b, n, err);
    for (size_t i = 0; i < n && st == CLM_OK; i++) st = attend(b, layer, qkv, &rows[i], i, err);
    if (st != CLM_OK) return st;
    clm_buffer *put[] = {b->rows->splits, out->buf, b->unused, b->unused, b->unused};
    return clm_cl_kernels_launch(b->kernels, &clm_op_attention_combine, &combine, put, err);
}
