/* runtime/model/cl_weight.c: see runtime/model/cl_weight.h. */
#include "runtime/model/cl_weight.h"

#include <stdlib.h>

#include "host/parallel.h"

/* Host memory for repacking, twice, and what one thread packs at a time. */
enum { STAGING_BYTES = 16 << 20, PIECE_BYTES = 1 << 20 };

/* A part begins where a group of 32 outputs does, of gate and up in turn too. */
enum { PART_TILES = 4 };

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
    size_t n_tiles = clm_weight_tiles(w->rows);

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

/* Packs tiles of a matrix in pieces, for clm_parallel_for. */
typedef struct packing {
    const clm_stack *stack;
    size_t tile0, n, per_piece; /* n tiles from tile0 on, per_piece at a time */
    clm_tile_size size;
    uint8_t *q; /* of tile0 */
    uint16_t *scale, *min;
} packing;

static size_t packing_pieces(const packing *p)
{
    return (p->n + p->per_piece - 1) / p->per_piece;
}

static clm_status pack_piece(const packing *p, size_t piece, clm_err *err)
{
    const size_t at = piece * p->per_piece;
    const size_t n = p->n - at < p->per_piece ? p->n - at : p->per_piece;

    return clm_stack_tiles(p->stack, p->tile0 + at, n, p->q + at * p->size.q_bytes,
                           p->size.scales > 0 ? p->scale + at * p->size.scales : NULL,
                           p->size.mins > 0 ? p->min + at * p->size.mins : NULL, err);
}

static clm_status pack_mapped(void *user, size_t index, clm_err *err)
{
    return pack_piece(user, index, err);
}

static clm_status map(clm_buffer *buf, void **data, clm_err *err)
{
    *data = NULL;
    return buf != NULL ? clm_buffer_map(buf, data, err) : CLM_OK;
}

static clm_status unmap(clm_buffer *buf, void *data, clm_status st, clm_err *err)
{
    clm_status last =
        data != NULL ? clm_buffer_unmap(buf, data, st == CLM_OK ? err : NULL) : CLM_OK;
    return st != CLM_OK ? st : last;
}

/* Where the device's memory is the host's, tiles are packed where they stay. */
static clm_status pack_in_place(const clm_stack *stack, size_t tile0, size_t n, clm_cl_part *part,
                                const clm_tile_size *size, clm_err *err)
{
    packing p = {.stack = stack, .tile0 = tile0, .n = n, .size = *size};
    void *q = NULL, *scale = NULL, *min = NULL;
    clm_status st = map(part->q, &q, err);

    if (st == CLM_OK) st = map(part->scale, &scale, err);
    if (st == CLM_OK) st = map(part->min, &min, err);
    p.q = q;
    p.scale = scale;
    p.min = min;
    p.per_piece = PIECE_BYTES / size->q_bytes + 1;
    if (st == CLM_OK) st = clm_parallel_for(packing_pieces(&p), pack_mapped, &p, err);
    st = unmap(part->min, min, st, err);
    st = unmap(part->scale, scale, st, err);
    return unmap(part->q, q, st, err);
}

/* While one staging buffer is uploaded, the tiles that follow are packed into the other. */
typedef struct upload {
    packing next; /* n == 0: nothing to pack */
    const staging *ready;
    size_t at, count; /* tiles in `ready`, and where they go */
    clm_cl_part *part;
} upload;

static clm_status write_staged(const upload *u, clm_err *err)
{
    const clm_tile_size *size = &u->next.size;
    clm_cl_part *part = u->part;
    size_t unit = size->q_bytes / clm_elem_bytes(clm_buffer_type(part->q));
    clm_status st = clm_buffer_write(part->q, u->at * unit, u->count * unit, u->ready->q, err);

    if (st == CLM_OK && part->scale != NULL)
        st = clm_buffer_write(part->scale, u->at * size->scales, u->count * size->scales,
                              u->ready->scale, err);
    if (st == CLM_OK && part->min != NULL)
        st = clm_buffer_write(part->min, u->at * size->mins, u->count * size->mins, u->ready->min,
                              err);
    return st;
}

/* Piece 0 is the upload, which one thread sees to; the others pack. */
static clm_status upload_or_pack(void *user, size_t index, clm_err *err)
{
    const upload *u = user;
    return index == 0 ? write_staged(u, err) : pack_piece(&u->next, index - 1, err);
}

static void pack_into(packing *p, staging *s, size_t n)
{
    p->n = n;
    p->q = s->q;
    p->scale = s->scale;
    p->min = s->min;
}

static clm_status pack_and_upload(const clm_stack *stack, size_t tile0, size_t n, staging s[2],
                                  clm_cl_part *part, clm_err *err)
{
    const size_t room = s[0].tiles;
    upload u = {.part = part};
    clm_status st;

    u.next = (packing){.stack = stack, .tile0 = tile0, .size = s[0].size};
    u.next.per_piece = PIECE_BYTES / s[0].size.q_bytes + 1;
    pack_into(&u.next, &s[0], n < room ? n : room);
    st = clm_parallel_for(packing_pieces(&u.next), pack_mapped, &u.next, err);
    for (size_t at = 0, i = 0; at < n && st == CLM_OK; at += room, i++) {
        const size_t left = n - at > room ? n - at - room : 0;

        u.ready = &s[i % 2];
        u.at = at;
        u.count = n - at < room ? n - at : room;
        u.next.tile0 = tile0 + at + room;
        pack_into(&u.next, &s[(i + 1) % 2], left < room ? left : room);
        st = clm_parallel_for(1 + packing_pieces(&u.next), upload_or_pack, &u, err);
    }
    return st;
}

static clm_status upload_order(clm_device *dev, const clm_stack *stack, clm_weight *w, clm_err *err)
{
    const clm_tensor *t = stack->parts[0]; /* that of all: clm_stack_possible() */
    clm_status st;

    if (t->column_order == NULL) return CLM_OK;
    w->bytes += t->cols * sizeof *t->column_order;
    st = clm_buffer_create(dev, CLM_ELEM_I32, t->cols, &w->column_order, err);
    return st == CLM_OK ? clm_buffer_write(w->column_order, 0, t->cols, t->column_order, err) : st;
}

clm_status clm_cl_weight_create(clm_device *dev, const clm_stack *stack, clm_weight **out,
                                clm_err *err)
{
    return clm__cl_weight_create_by(dev, stack, clm_device_caps(dev)->type == CLM_DEVICE_CPU, out,
                                    err);
}

clm_status clm__cl_weight_create_by(clm_device *dev, const clm_stack *stack, bool in_place,
                                    clm_weight **out, clm_err *err)
{
    clm_status st = CLM_OK;
    staging s[2] = {{0}, {0}};
    clm_tile_size size;
    clm_weight *w = calloc(1, sizeof *w);
    size_t n_tiles, tiles_per_part;

    *out = NULL;
    if (w == NULL) return clm_fail(err, CLM_E_NOMEM, "weights: no memory");
    w->layout = clm_stack_layout(stack);
    w->bytes = clm_repack_bytes(&w->layout);
    n_tiles = clm_weight_tiles(w->layout.rows);
    size = clm_repack_tile(&w->layout);
    tiles_per_part = (size_t)(clm_device_caps(dev)->max_alloc / size.q_bytes);
    tiles_per_part -= tiles_per_part % PART_TILES;
    if (tiles_per_part == 0) {
        st = clm_fail(err, CLM_E_DEVMEM,
                      "64 rows of %zu columns are more than the device's largest buffer",
                      w->layout.columns);
        goto out;
    }
    w->parts = calloc((n_tiles + tiles_per_part - 1) / tiles_per_part, sizeof *w->parts);
    if (w->parts == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "weights: no memory");
        goto out;
    }
    st = upload_order(dev, stack, w, err);
    for (size_t i = 0; i < 2 && st == CLM_OK && !in_place; i++)
        st = staging_create(&w->layout, &s[i], err);
    for (size_t tile = 0; tile < n_tiles && st == CLM_OK; tile += tiles_per_part) {
        size_t n = n_tiles - tile < tiles_per_part ? n_tiles - tile : tiles_per_part;
        clm_cl_part *part = &w->parts[w->n_parts++];
        part->row0 = tile * CLM_TILE_ROWS;
        part->rows = n * CLM_TILE_ROWS;
        if (part->rows > w->layout.rows - part->row0) part->rows = w->layout.rows - part->row0;
        st = create_part(dev, w->layout, part, err);
        if (st == CLM_OK)
            st = in_place ? pack_in_place(stack, tile, n, part, &size, err)
                          : pack_and_upload(stack, tile, n, s, part, err);
    }
    if (st != CLM_OK) goto out;
    *out = w;
    w = NULL;
out:
    staging_clear(&s[0]);
    staging_clear(&s[1]);
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
