/* runtime/model/repack.c: see runtime/model/repack.h. */
#include "runtime/model/repack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

clm_weight_layout clm_repack_layout(const clm_tensor *t)
{
    const clm_qtype_split *split = clm_qtype_split_get(t->type);
    clm_weight_layout w = {.rows = t->rows, .columns = t->cols};

    if (split == NULL) {
        w.format = t->type == CLM_QTYPE_F32   ? CLM_FORMAT_F32
                   : t->type == CLM_QTYPE_F16 ? CLM_FORMAT_F16
                                              : CLM_FORMAT_BF16;
    } else {
        w.format = split->bits == 4 ? CLM_FORMAT_Q4 : CLM_FORMAT_Q8;
        w.group = split->group;
        w.has_min = split->has_min;
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

size_t clm_repack_tiles_count(const clm_weight_layout *w)
{
    return (w->rows + CLM_TILE_ROWS - 1) / CLM_TILE_ROWS;
}

uint64_t clm_repack_bytes(const clm_weight_layout *w)
{
    clm_tile_size tile = clm_repack_tile(w);
    return (uint64_t)clm_repack_tiles_count(w) *
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

/* What is taken from unsigned q, so that they lie around 0: q of 4 bits are 0..15 in every type, those
 * of 8 bits with a minimum (Q5_1, Q5_K) 0..31; the others are signed. */
static int centre_of(const clm_weight_layout *w)
{
    if (w->format == CLM_FORMAT_Q4) return 8;
    return w->has_min ? 16 : 0;
}

/* Scratch for one row of a quantised tensor. */
typedef struct split_row {
    int8_t *q;
    float *scale, *min;
} split_row;

static clm_status split_row_create(size_t cols, size_t groups, split_row *row, clm_err *err)
{
    memset(row, 0, sizeof *row);
    if (groups == 0) return CLM_OK;
    row->q = malloc(cols);
    row->scale = malloc(groups * sizeof(float));
    row->min = malloc(groups * sizeof(float));
    if (row->q == NULL || row->scale == NULL || row->min == NULL)
        return clm_fail(err, CLM_E_NOMEM, "no memory to repack weights");
    return CLM_OK;
}

static void split_row_clear(split_row *row)
{
    free(row->q);
    free(row->scale);
    free(row->min);
}

clm_status clm_repack_tiles(const clm_tensor *t, size_t tile0, size_t n, uint8_t *q,
                            uint16_t *scale, uint16_t *min, clm_err *err)
{
    const clm_weight_layout w = clm_repack_layout(t);
    const clm_tile_size size = clm_repack_tile(&w);
    const size_t row_bytes = clm_qtype_bytes(t->type, t->cols),
                 groups = size.scales / CLM_TILE_ROWS;
    const int centre = centre_of(&w);
    split_row row;
    clm_status st = split_row_create(t->cols, groups, &row, err);

    if (st != CLM_OK) goto out;
    memset(q, 0, n * size.q_bytes);
    if (size.scales > 0) memset(scale, 0, n * size.scales * sizeof *scale);
    if (size.mins > 0) memset(min, 0, n * size.mins * sizeof *min);

    for (size_t i = 0; i < n * CLM_TILE_ROWS; i++) {
        size_t source_row = tile0 * CLM_TILE_ROWS + i, tile = i / CLM_TILE_ROWS,
               r = i % CLM_TILE_ROWS;
        const uint8_t *src = t->data + source_row * row_bytes;
        uint8_t *dst = q + tile * size.q_bytes;

        if (source_row >= t->rows) break;
        if (groups == 0) {
            put_plain_row(src, t->cols, row_bytes / t->cols, r, dst);
            continue;
        }
        clm_qtype_unpack(t->type, src, t->cols, row.q, row.scale, row.min);
        for (size_t k = 0; k < t->cols && centre != 0; k++) row.q[k] = (int8_t)(row.q[k] - centre);
        if (w.format == CLM_FORMAT_Q4)
            put_q4_row(row.q, t->cols, r, dst);
        else
            put_q8_row(row.q, t->cols, r, dst);
        for (size_t g = 0; g < groups; g++) {
            size_t at = tile * size.scales + g * CLM_TILE_ROWS + r;
            if (size.mins == 0)
                scale[at] = clm_float_to_half(row.scale[g]);
            else
                round_group(row.q + g * w.group, w.group, row.scale[g],
                            row.min[g] + (double)row.scale[g] * centre, &scale[at], &min[at]);
        }
    }
out:
    split_row_clear(&row);
    return st;
}
