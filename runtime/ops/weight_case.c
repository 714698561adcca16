/* runtime/ops/weight_case.c: see weight_case.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/weight_case.h"

#include <math.h>
#include <string.h>
#include "runtime/ops/ref.h"

/* Whether item `i` of an array whose innermost dimension is the row of a tile, `per_tile` items a
 * tile, belongs to a row that exists. */
static bool row_exists(const clm_weight_layout *w, size_t i, size_t per_tile)
{
    return i / per_tile * CLM_TILE_ROWS + i % CLM_TILE_ROWS < w->rows;
}

static uint16_t bf16_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)(bits >> 16); /* rounded towards zero: test data need no better */
}

static void fill_float(const clm_weight_layout *w, void *q, float size, clm_random *r)
{
    const size_t count = clm_weight_q_count(w);

    for (size_t i = 0; i < count; i++) {
        const float v = clm_random_float(r, -size, size);

        if (!row_exists(w, i, w->columns * CLM_TILE_ROWS)) continue;
        if (w->format == CLM_FORMAT_F32)
            ((float *)q)[i] = v;
        else if (w->format == CLM_FORMAT_F16)
            ((uint16_t *)q)[i] = clm_ref_float_to_half(v);
        else
            ((uint16_t *)q)[i] = bf16_bits(v);
    }
}

static void fill_blocks(const clm_weight_layout *w, unsigned char *q, clm_random *r)
{
    const size_t words = clm_weight_q_count(w) / 4;
    const size_t per_tile = words / clm_weight_tiles(w->rows);

    for (size_t i = 0; i < words; i++) {
        const uint32_t word = clm_random_bits(r);

        if (row_exists(w, i, per_tile)) memcpy(q + i * 4, &word, sizeof word);
    }
}

/* Scales are of both signs, as some files have them. Minimums lie so that 0 is among the values
 * that a weight can have. */
static void fill_scales(const clm_weight_layout *w, uint16_t *scale, uint16_t *min, float size,
                        clm_random *r)
{
    const size_t count = clm_weight_scale_count(w);
    const size_t per_tile = w->columns / clm_weight_group(w) * CLM_TILE_ROWS;
    const float top = w->format == CLM_FORMAT_Q4 ? 8.0f : 128.0f;
    const float low = w->format == CLM_FORMAT_Q4 ? -3.0f : -40.0f;
    const float high = w->format == CLM_FORMAT_Q4 ? 3.0f : 40.0f;

    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = clm_random_bits(r);
        const float s = clm_random_float(r, 0.5f, 1.0f) * size / top;
        const float m = clm_random_float(r, low, high) * s;

        if (!row_exists(w, i, per_tile)) continue;
        if (bits % 37 == 0)
            scale[i] = (uint16_t)(bits >> 22); /* subnormal or zero */
        else
            scale[i] = clm_ref_float_to_half(bits % 5 == 0 ? -s : s);
        if (min != NULL)
            min[i] = clm_ref_float_to_half(w->has_min == CLM_MIN_STEPS ? floorf(m / s) : m);
    }
}

clm_status clm_weight_case_add(clm_case *c, const clm_weight_layout *w, bool q_only, float size,
                               clm_random *r, clm_err *err)
{
    void *q, *scale = NULL, *min = NULL;

    if (!clm_weight_legal(w))
        return clm_fail(err, CLM_E_INTERNAL, "a case has a weight matrix that no layout holds");
    q = clm_case_add(c, "q", clm_weight_q_type(w->format), clm_weight_q_count(w), CLM_CASE_IN);
    if (!q_only) {
        scale = clm_case_add(c, "scale", CLM_ELEM_F16, clm_weight_scale_count(w), CLM_CASE_IN);
        min = clm_case_add(c, "min", CLM_ELEM_F16, clm_weight_min_count(w), CLM_CASE_IN);
    }
    if (q == NULL || (!q_only && (scale == NULL || min == NULL)))
        return clm_fail(err, CLM_E_NOMEM, "no memory for a test matrix of %zu x %zu", w->rows,
                        w->columns);
    if (!clm_weight_quantised(w->format)) {
        fill_float(w, q, size, r);
        return CLM_OK;
    }
    fill_blocks(w, q, r);
    if (!q_only) fill_scales(w, scale, w->has_min ? min : NULL, size, r);
    return CLM_OK;
}
