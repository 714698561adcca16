/* runtime/ops/ref_act_bf16.c: rows of floats become bfloat16 activations in panels.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/act.h"
#include "runtime/ops/op_act_bf16.h"
#include "runtime/ops/ref.h"

size_t clm_ref_act_bf16_at(size_t columns, size_t m, size_t k, bool shuffled)
{
    enum { PANEL = CLM_ACT_BF16_PANEL, BLOCK = CLM_ACT_GROUP };
    const size_t block = m / PANEL * (columns / BLOCK) + k / BLOCK, in = k % BLOCK;
    const size_t place = shuffled ? in / 8 * 8 + in % 2 * 4 + in % 8 / 2 : in;

    return (block * PANEL + m % PANEL) * BLOCK + place;
}

void clm_ref_act_bf16(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t k_count = (size_t)v[CLM_ACT_BF16_K], rows = c->bufs[1].count / k_count;
    const float *x = (const float *)c->bufs[0].data + (size_t)v[CLM_ACT_BF16_OFF];
    uint16_t *z = c->bufs[1].expected;

    for (size_t m = 0; m < rows; m++) {
        for (size_t k = 0; k < k_count; k++) {
            const bool exists = m < (size_t)v[CLM_ACT_BF16_M];

            z[clm_ref_act_bf16_at(k_count, m, k, v[CLM_ACT_BF16_SHUFFLED])] =
                clm_ref_float_to_bf16(exists ? x[m * (size_t)v[CLM_ACT_BF16_LD] + k] : 0.0f);
        }
    }
}
