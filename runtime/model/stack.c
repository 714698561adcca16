/* runtime/model/stack.c: see runtime/model/stack.h. */
#include "runtime/model/stack.h"

bool clm_stack_possible(const clm_stack *s)
{
    const clm_weight_layout first = clm_repack_layout(s->parts[0]);

    for (size_t i = 1; i < s->n; i++) {
        const clm_weight_layout w = clm_repack_layout(s->parts[i]);

        if (w.format != first.format || w.columns != first.columns || w.group != first.group ||
            w.has_min != first.has_min || s->parts[i]->column_order != s->parts[0]->column_order ||
            (s->tiled && w.rows != first.rows))
            return false;
    }
    return true;
}

clm_weight_layout clm_stack_layout(const clm_stack *s)
{
    clm_weight_layout w = clm_repack_layout(s->parts[0]);

    if (s->n == 1) return w;
    w.rows = 0;
    for (size_t i = 0; i < s->n; i++) w.rows += clm_weight_padded(s->parts[i]->rows);
    return w;
}

/* The tensor that tile `at` of the whole belongs to; *tile is its place there, *run how many tiles
 * from there on follow each other in both. */
static const clm_tensor *find_tile(const clm_stack *s, size_t at, size_t *tile, size_t *run)
{
    if (s->tiled) {
        *tile = at / s->n;
        *run = 1;
        return s->parts[at % s->n];
    }
    for (size_t i = 0; i + 1 < s->n; i++) {
        const size_t count = clm_weight_tiles(s->parts[i]->rows);

        if (at < count) {
            *tile = at;
            *run = count - at;
            return s->parts[i];
        }
        at -= count;
    }
    *tile = at;
    *run = clm_weight_tiles(s->parts[s->n - 1]->rows) - at;
    return s->parts[s->n - 1];
}

clm_status clm_stack_tiles(const clm_stack *s, size_t tile0, size_t n, uint8_t *q, uint16_t *scale,
                           uint16_t *min, clm_err *err)
{
    const clm_weight_layout w = clm_stack_layout(s);
    const clm_tile_size size = clm_repack_tile(&w);
    clm_status st = CLM_OK;

    for (size_t done = 0; done < n && st == CLM_OK;) {
        size_t tile, run;
        const clm_tensor *t = find_tile(s, tile0 + done, &tile, &run);

        if (run > n - done) run = n - done;
        st = clm_repack_tiles(t, tile, run, q + done * size.q_bytes,
                              size.scales > 0 ? scale + done * size.scales : NULL,
                              size.mins > 0 ? min + done * size.mins : NULL, err);
        done += run;
    }
    return st;
}
