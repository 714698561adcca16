/* runtime/model/cl_weight.c: see runtime/model/cl_weight.h. */
#include "runtime/model/cl_weight.h"

#include <stdlib.h>

/* Host memory for repacking, at a time. */
enum { STAGING_BYTES = 16 << 20 };

void clm_cl_weight_destroy(clm_weight *w)
{
    if (w == NULL) return;
    for (size_t i = 0; i < w->n_parts; i++) {
        clm_buffer_destroy(w->parts[i].q);
        clm_buffer_destroy(w->parts[i].scale);
        clm_buffer_destroy(w->parts[i].min);
    }
    clm_buffer_destroy(w->column_order);
    clm_buffer_destroy(w->vector);
    free(w->parts);
    free(w);
}

/* Host buffers for some tiles. */
typedef struct staging {
    size_t tiles;
    clm_tile_size size; /* of one */
    uint8_t *q;
    uint16_t *scale, *min;
} staging;

static clm_status staging_create(const clm_weight_layout *w, staging *s, clm_err *err)
{
    size_t n_tiles = clm_repack_tiles_count(w);

    s->size = clm_repack_tile(w);
    s->tiles = STAGING_BYTES / s->size.q_bytes;
    if (s->tiles == 0) s->tiles = 1;
    if (s->tiles > n_tiles) s->tiles = n_tiles;
    s->q = malloc(s->tiles * s->size.q_bytes);
    s->scale = malloc((s->tiles * s->size.scales + 1) * sizeof *s->scale);
    s->min = malloc((s->tiles * s->size.mins + 1) * sizeof *s->min);
    if (s->q == NULL || s->scale == NULL || s->min == NULL)
        return clm_fail(err, CLM_E_NOMEM, "no memory to repack weights");
    return CLM_OK;
}

static void staging_clear(staging *s)
{
    free(s->q);
    free(s->scale);
    free(s->min);
}

/* Buffers of the part's rows. */
static clm_status create_part(clm_device *dev, clm_weight_layout w, clm_cl_part *part, clm_err *err)
{
    clm_status st;

    w.rows = part->rows;
    st = clm_buffer_create(dev, clm_weight_q_type(w.format), clm_weight_q_count(&w), &part->q, err);
    if (st == CLM_OK && clm_weight_quantised(w.format))
        st = clm_buffer_create(dev, CLM_ELEM_F16, clm_weight_scale_count(&w), &part->scale, err);
    if (st == CLM_OK && w.has_min)
        st = clm_buffer_create(dev, CLM_ELEM_F16, clm_weight_min_count(&w), &part->min, err);
    return st;
}

/* Repacks and uploads the part's rows, which are `n` tiles from tile0 on. */
static clm_status upload_part(const clm_tensor *t, size_t tile0, size_t n, staging *s,
                              clm_cl_part *part, clm_err *err)
{
    const clm_tile_size *size = &s->size;
    size_t unit = size->q_bytes / clm_elem_bytes(clm_buffer_type(part->q));
    clm_status st = CLM_OK;

    for (size_t at = 0; at < n && st == CLM_OK; at += s->tiles) {
        size_t count = n - at < s->tiles ? n - at : s->tiles;
        st = clm_repack_tiles(t, tile0 + at, count, s->q, s->scale, s->min, err);
        if (st == CLM_OK) st = clm_buffer_write(part->q, at * unit, count * unit, s->q, err);
        if (st == CLM_OK && part->scale != NULL)
            st = clm_buffer_write(part->scale, at * size->scales, count * size->scales, s->scale,
                                  err);
        if (st == CLM_OK && part->min != NULL)
            st = clm_buffer_write(part->min, at * size->mins, count * size->mins, s->min, err);
    }
    return st;
}

static clm_status upload_order(clm_device *dev, const clm_tensor *t, clm_weight *w, clm_err *err)
{
    clm_status st;

    if (t->column_order == NULL) return CLM_OK;
    w->bytes += t->cols * sizeof *t->column_order;
    st = clm_buffer_create(dev, CLM_ELEM_I32, t->cols, &w->column_order, err);
    return st == CLM_OK ? clm_buffer_write(w->column_order, 0, t->cols, t->column_order, err) : st;
}

clm_status clm_cl_weight_create(clm_device *dev, const clm_tensor *t, clm_weight **out,
                                clm_err *err)
{
    clm_status st = CLM_OK;
    staging s = {0};
    clm_weight *w = calloc(1, sizeof *w);
    size_t n_tiles, tiles_per_part;

    *out = NULL;
    if (w == NULL) return clm_fail(err, CLM_E_NOMEM, "weights: no memory");
    w->layout = clm_repack_layout(t);
    w->bytes = clm_repack_bytes(&w->layout);
    n_tiles = clm_repack_tiles_count(&w->layout);
    tiles_per_part =
        (size_t)(clm_device_caps(dev)->max_alloc / clm_repack_tile(&w->layout).q_bytes);
    if (tiles_per_part == 0) {
        st = clm_fail(err, CLM_E_DEVMEM,
                      "16 rows of %zu columns are more than the device's largest buffer", t->cols);
        goto out;
    }
    w->parts = calloc((n_tiles + tiles_per_part - 1) / tiles_per_part, sizeof *w->parts);
    if (w->parts == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "weights: no memory");
        goto out;
    }
    st = upload_order(dev, t, w, err);
    if (st == CLM_OK) st = staging_create(&w->layout, &s, err);
    for (size_t tile = 0; tile < n_tiles && st == CLM_OK; tile += tiles_per_part) {
        size_t n = n_tiles - tile < tiles_per_part ? n_tiles - tile : tiles_per_part;
        clm_cl_part *part = &w->parts[w->n_parts++];
        part->row0 = tile * CLM_TILE_ROWS;
        part->rows =
            t->rows - part->row0 < n * CLM_TILE_ROWS ? t->rows - part->row0 : n * CLM_TILE_ROWS;
        st = create_part(dev, w->layout, part, err);
        if (st == CLM_OK) st = upload_part(t, tile, n, &s, part, err);
    }
    if (st != CLM_OK) goto out;
    *out = w;
    w = NULL;
out:
    staging_clear(&s);
    clm_cl_weight_destroy(w);
    return st;
}

clm_status clm_cl_vector_create(clm_device *dev, const clm_tensor *t, clm_weight **out,
                                clm_err *err)
{
    clm_status st;
    clm_weight *w = calloc(1, sizeof *w);
    float *values = malloc(t->cols * sizeof *values);

    *out = NULL;
    if (w == NULL || values == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "weights: no memory");
        goto out;
    }
    w->bytes = t->cols * sizeof *values;
    st = clm_tensor_read_rows(t, 0, 1, values, err);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_F32, t->cols, &w->vector, err);
    if (st == CLM_OK) st = clm_buffer_write(w->vector, 0, t->cols, values, err);
    if (st != CLM_OK) goto out;
    *out = w;
    w = NULL;
out:
    free(values);
    clm_cl_weight_destroy(w);
    return st;
}
