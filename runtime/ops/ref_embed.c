/* runtime/ops/ref_embed.c: rows of a table by their numbers.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/op_embed.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

void clm_ref_embed(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout =
        clm_weight_layout_of(v[CLM_EMBED_FORMAT], v[CLM_EMBED_ROWS], v[CLM_EMBED_K],
                             v[CLM_EMBED_GROUP], v[CLM_EMBED_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const int32_t *ids = c->bufs[3].data;
    float *out = c->bufs[4].expected;

    clm_ref_untouched(&c->bufs[4]);
    for (int m = 0; m < v[CLM_EMBED_M]; m++) {
        const int64_t row = (int64_t)ids[m] - v[CLM_EMBED_ROW0];

        if (row < 0 || row >= v[CLM_EMBED_ROWS]) continue;
        for (size_t k = 0; k < layout.columns; k++)
            out[(size_t)m * layout.columns + k] = (float)clm_ref_weight_value(&w, (size_t)row, k);
    }
}
