/* runtime/ops/weight_layout.c: see weight_layout.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/weight_layout.h"

static size_t size_of(int v)
{
    return v > 0 ? (size_t)v : 0;
}

clm_weight_layout clm_weight_layout_of(int format, int rows, int columns, int group, int has_min)
{
    return (clm_weight_layout){.format = (clm_weight_format)format,
                               .rows = size_of(rows),
                               .columns = size_of(columns),
                               .group = size_of(group),
                               .has_min = has_min};
}

size_t clm_weight_tiles(size_t rows)
{
    return (rows + CLM_TILE_ROWS - 1) / CLM_TILE_ROWS;
}

size_t clm_weight_padded(size_t rows)
{
    return clm_weight_tiles(rows) * CLM_TILE_ROWS;
}

static bool common_group(size_t group)
{
    return group == 16 || group == 32 || group == 64 || group == 128;
}

bool clm_weight_quantised(clm_weight_format format)
{
    return format == CLM_FORMAT_Q4 || format == CLM_FORMAT_Q8;
}

bool clm_weight_legal(const clm_weight_layout *w)
{
    if (w->rows == 0 || w->columns == 0) return false;
    switch (w->format) {
    case CLM_FORMAT_F32:
    case CLM_FORMAT_F16:
    case CLM_FORMAT_BF16:
        return true;
    case CLM_FORMAT_Q4:
    case CLM_FORMAT_Q8:
        break;
    default:
        return false;
    }
    if (w->columns % CLM_BLOCK_K != 0) return false;
    if (w->group == 0 || w->group == w->columns) return true;
    return common_group(w->group) && w->columns % w->group == 0;
}

bool clm_weight_for_all(const clm_weight_layout *w)
{
    return w->format != CLM_FORMAT_Q4 || w->group != 16;
}

clm_elem clm_weight_q_type(clm_weight_format format)
{
    switch (format) {
    case CLM_FORMAT_F32:
        return CLM_ELEM_F32;
    case CLM_FORMAT_F16:
        return CLM_ELEM_F16;
    case CLM_FORMAT_BF16:
        return CLM_ELEM_BF16;
    case CLM_FORMAT_Q4:
    case CLM_FORMAT_Q8:
        break;
    }
    return CLM_ELEM_U8;
}

size_t clm_weight_q_count(const clm_weight_layout *w)
{
    if (w->format == CLM_FORMAT_Q4)
        return clm_weight_tiles(w->rows) * (w->columns / CLM_BLOCK_K) * CLM_Q4_BLOCK_BYTES;
    if (w->format == CLM_FORMAT_Q8)
        return clm_weight_tiles(w->rows) * (w->columns / CLM_BLOCK_K) * CLM_Q8_BLOCK_BYTES;
    return clm_weight_padded(w->rows) * w->columns;
}

size_t clm_weight_group(const clm_weight_layout *w)
{
    return w->group == 0 ? w->columns : w->group;
}

size_t clm_weight_scale_count(const clm_weight_layout *w)
{
    if (!clm_weight_quantised(w->format)) return 1;
    return clm_weight_padded(w->rows) * (w->columns / clm_weight_group(w));
}

size_t clm_weight_min_count(const clm_weight_layout *w)
{
    return clm_weight_quantised(w->format) && w->has_min ? clm_weight_scale_count(w) : 1;
}

int clm_weight_group_define(const clm_weight_layout *w)
{
    return clm_weight_quantised(w->format) && common_group(w->group) ? (int)w->group : 0;
}

double clm_weight_bytes(const clm_weight_layout *w)
{
    const double elements = (double)w->rows * (double)w->columns;
    double bytes = (double)clm_elem_bytes(clm_weight_q_type(w->format));

    if (w->format == CLM_FORMAT_Q4) bytes = 0.5;
    if (clm_weight_quantised(w->format))
        bytes += (w->has_min ? 4.0 : 2.0) / (double)clm_weight_group(w);
    return elements * bytes;
}
