/* runtime/model/repack.c: see runtime/model/repack.h. */
#include "runtime/model/repack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Normalised rows are made when they are packed; halves hold them better than bfloat16 does. */
static clm_weight_format float_format(const clm_tensor *t)
{
    if (t->type == CLM_QTYPE_F32) return CLM_FORMAT_F32;
    return t->type == CLM_QTYPE_F16 || t->normalised ? CLM_FORMAT_F16 : CLM_FORMAT_BF16;
}

clm_weight_layout clm_repack_layout(const clm_tensor *t)
{
    clm_weight_layout w = {.rows = t->rows, .columns = t->cols};
    clm_qtype_split split;

    if (!clm_tensor_split(t, &split)) {
        w.format = float_format(t);
    } else {
        w.format = split.bits == 4 ? CLM_FORMAT_Q4 : CLM_FORMAT_Q8;
        w.group = split.group;
        w.has_min = split.has_min;
        /* The integers fit into 8 bits, which have such groups everywhere. */
        if (!clm_weight_for_all(&w)) w.format = CLM_FORMAT_Q8;
    }
    return w;
}

clm_tile_size clm_repack_tile(const clm_weight_layout *w)
{
    clm_weight_layout tile = *w;
    clm_tile_size size = {0};

    tile.rows = CLM_TILE_ROWS;
    size.q_bytes = clm_weight_q_count(&tile) * clm_elem_bytes(clm_weight_q_type(w->format));
    if (clm_weight_quantised(w->format)) size.scales = clm_weight_scale_count(&tile);
    if (w->has_min) size.mins = size.scales;
    return size;
}

uint64_t clm_repack_bytes(const clm_weight_layout *w)
{
    clm_tile_size tile = clm_repack_tile(w);
    return (uint64_t)clm_weight_tiles(w->rows) *
           (tile.q_bytes + (tile.scales + tile.mins) * sizeof(uint16_t));
}

/* Row r of a tile of plain elements: [cols][16]. */
static void put_plain_row(const uint8_t *src, size_t cols, size_t width, size_t r, uint8_t *tile)
{
    for (size_t k = 0; k < cols; k++)
        memcpy(tile + (k * CLM_TILE_ROWS + r) * width, src + k * width, width);
}

/* Row r of a tile of q4 blocks (q is centred, -8..7): word j of a block holds k = 8j..8j+3 low, 8j+4..8j+7 high. */
static void put_q4_row(const int8_t *q, size_t cols, size_t r, uint8_t *tile)
{
    for (size_t k = 0; k < cols; k += 8, q += 8) {
        uint8_t *word = tile + k / CLM_BLOCK_K * CLM_Q4_BLOCK_BYTES +
                        (k % CLM_BLOCK_K / 8 * CLM_TILE_ROWS + r) * 4;
        for (size_t b = 0; b < 4; b++) word[b] = (uint8_t)((q[b] + 8) | (q[b + 4] + 8) << 4);
    }
}

/* Row r of a tile of q8 blocks: word j of a block holds k = 4j..4j+3. */
static void put_q8_row(const int8_t *q, size_t cols, size_t r, uint8_t *tile)
{
    for (size_t k = 0; k < cols; k += 4, q += 4)
        memcpy(tile + k / CLM_BLOCK_K * CLM_Q8_BLOCK_BYTES +
                   (k % CLM_BLOCK_K / 4 * CLM_TILE_ROWS + r) * 4,
               q, 4);
}

/* Squared error of a group when its scale and minimum are off by ds and dm: the sum over its q of
 * (ds q + dm)^2. */
static double group_error(double ds, double dm, double n, double sum_q, double sum_qq)
{
    return ds * ds * sum_qq + 2.0 * ds * dm * sum_q + dm * dm * n;
}

/* Rounds scale and minimum of one group to fp16 together: a minimum can make up for most of what
 * rounding the scale does, so scales some units away are tried as well, and the pair with the
 * least squared error is taken. */
static void round_group(const int8_t *q, size_t n, double scale, double min, uint16_t *scale16,
                        uint16_t *min16)
{
    enum { STEPS = 2 };
    double sum_q = 0.0, sum_qq = 0.0, best = HUGE_VAL;
    uint16_t nearest = clm_float_to_half((float)scale), nearest_min = clm_float_to_half((float)min);

    *scale16 = nearest;
    *min16 = nearest_min;
    if (clm_half_to_float(nearest) == scale && clm_half_to_float(nearest_min) == min) return;
    for (size_t i = 0; i < n; i++) {
        sum_q += q[i];
        sum_qq += (double)q[i] * q[i];
    }
    for (int step = -STEPS; step <= STEPS; step++) {
        int magnitude = (nearest & 0x7FFF) + step;
        uint16_t s = (uint16_t)((nearest & 0x8000) | magnitude), m;
        double ds, error;

        if (magnitude < 0 || magnitude >= 0x7C00) continue; /* beyond zero or infinity */
        ds = (double)clm_half_to_float(s) - scale;
        m = clm_float_to_half((float)(min - ds * sum_q / (double)n));
        error = group_error(ds, (double)clm_half_to_float(m) - min, (double)n, sum_q, sum_qq);
        if (!(error < best)) continue;
        best = error;
        *scale16 = s;
        *min16 = m;
    }
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* Scratch for the rows of one tile. */
typedef struct tile_rows {
    int8_t *q;          /* quantised tensors: [16][cols], centred */
    float *scale, *min; /* [16][groups] */
    float *values;      /* float tensors that need arithmetic: [cols] */
} tile_rows;

static clm_status tile_rows_create(const clm_tensor *t, size_t groups, tile_rows *rows,
                                   clm_err *err)
{
    memset(rows, 0, sizeof *rows);
    if (groups == 0) {
        rows->values = malloc(t->cols * sizeof(float));
        if (rows->values != NULL) return CLM_OK;
    } else {
        rows->q = malloc(CLM_TILE_ROWS * t->cols);
        rows->scale = malloc(CLM_TILE_ROWS * groups * sizeof(float));
        rows->min = malloc(CLM_TILE_ROWS * groups * sizeof(float));
        if (rows->q != NULL && rows->scale != NULL && rows->min != NULL) return CLM_OK;
    }
    return clm_fail(err, CLM_E_NOMEM, "no memory to repack weights");
}

static void tile_rows_clear(tile_rows *rows)
{
    free(rows->q);
    free(rows->scale);
    free(rows->min);
    free(rows->values);
}

/* Rows row0.. of a tensor of floats. */
static clm_status pack_floats(const clm_tensor *t, const clm_weight_layout *w, size_t row0,
                              size_t n, tile_rows *scratch, uint8_t *tile, clm_err *err)
{
    const size_t width = w->format == CLM_FORMAT_F32 ? sizeof(float) : sizeof(uint16_t);

    for (size_t r = 0; r < n; r++) {
        const uint8_t *bytes = clm_tensor_row_bytes(t, row0 + r);
        clm_status st;

        if (bytes != NULL) {
            put_plain_row(bytes, t->cols, width, r, tile);
            continue;
        }
        st = clm_tensor_read_rows(t, row0 + r, 1, scratch->values, err);
        if (st != CLM_OK) return st;
        for (size_t k = 0; k < t->cols && w->format == CLM_FORMAT_F16; k++) {
            const uint16_t half = clm_float_to_half(scratch->values[k]);
            memcpy((uint8_t *)scratch->values + k * width, &half, width); /* never ahead of k */
        }
        put_plain_row((const uint8_t *)scratch->values, t->cols, width, r, tile);
    }
    return CLM_OK;
}

/* Rows row0.. of a quantised tensor: integers to `tile`, scales and minima to those of the tile. */
static void pack_integers(const clm_tensor *t, const clm_weight_layout *w, size_t row0, size_t n,
                          int centre, tile_rows *rows, uint8_t *tile, uint16_t *scale,
                          uint16_t *min)
{
    const size_t groups = t->cols / w->group;

    clm_tensor_unpack(t, row0, n, rows->q, rows->scale, rows->min);
    for (size_t i = 0; i < n * t->cols && centre != 0; i++)
        rows->q[i] = (int8_t)(rows->q[i] - centre);
    for (size_t r = 0; r < n; r++) {
        const int8_t *q = rows->q + r * t->cols;

        if (w->format == CLM_FORMAT_Q4)
            put_q4_row(q, t->cols, r, tile);
        else
            put_q8_row(q, t->cols, r, tile);
        for (size_t g = 0; g < groups; g++) {
            const float s = rows->scale[r * groups + g], m = rows->min[r * groups + g];
            const size_t at = g * CLM_TILE_ROWS + r;

            if (w->has_min != CLM_MIN_VALUE) scale[at] = clm_float_to_half(s);
            if (w->has_min == CLM_MIN_STEPS)
                min[at] = clm_float_to_half((s != 0.0f ? rintf(m / s) : 0.0f) + (float)centre);
            if (w->has_min == CLM_MIN_VALUE)
                round_group(q + g * w->group, w->group, (double)s, m + (double)s * centre,
                            &scale[at], &min[at]);
        }
    }
}

clm_status clm_repack_tiles(const clm_tensor *t, size_t tile0, size_t n, uint8_t *q,
                            uint16_t *scale, uint16_t *min, clm_err *err)
{
    const clm_weight_layout w = clm_repack_layout(t);
    const clm_tile_size size = clm_repack_tile(&w);
    clm_qtype_split split = {0};
    tile_rows rows;
    clm_status st = tile_rows_create(t, size.scales / CLM_TILE_ROWS, &rows, err);

    if (st != CLM_OK) goto out;
    clm_tensor_split(t, &split);
    memset(q, 0, n * size.q_bytes);
    if (size.scales > 0) memset(scale, 0, n * size.scales * sizeof *scale);
    if (size.mins > 0) memset(min, 0, n * size.mins * sizeof *min);

    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        const size_t row0 = (tile0 + i) * CLM_TILE_ROWS;
        size_t count;

        if (row0 >= t->rows) break;
        count = t->rows - row0 < CLM_TILE_ROWS ? t->rows - row0 : CLM_TILE_ROWS;
        if (size.scales == 0)
            st = pack_floats(t, &w, row0, count, &rows, q + i * size.q_bytes, err);
        else
            pack_integers(t, &w, row0, count, split.centre, &rows, q + i * size.q_bytes,
                          scale + i * size.scales, size.mins > 0 ? min + i * size.mins : NULL);
    }
out:
    tile_rows_clear(&rows);
    return st;
}
