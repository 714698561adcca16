/* runtime/ops/ref_act_bf16.c: rows of floats become bfloat16 activations in panels.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/act.h"
#include "runtime/ops/op_act_bf16.h"
#include "runtime/ops/ref.h"

void clm_ref_act_bf16(clm_case *c)
{
    enum { PANEL = CLM_ACT_BF16_PANEL, BLOCK = CLM_ACT_GROUP };
    const int *v = c->shape.v;
    const size_t k_count = (size_t)v[CLM_ACT_BF16_K], rows = c->bufs[1].count / k_count;
    const float *x = (const float *)c->bufs[0].data + (size_t)v[CLM_ACT_BF16_OFF];
    uint16_t *z = c->bufs[1].expected;

    for (size_t m = 0; m < rows; m++) {
        for (size_t k = 0; k < k_count; k++) {
            const size_t block = m / PANEL * (k_count / BLOCK) + k / BLOCK;
            const size_t place =
                v[CLM_ACT_BF16_SHUFFLED] ? CLM_ACT_BF16_SHUFFLE(k % BLOCK) : k % BLOCK;
            const bool exists = m < (size_t)v[CLM_ACT_BF16_M];

            z[(block * PANEL + m % PANEL) * BLOCK + place] =
                clm_ref_float_to_bf16(exists ? x[m * (size_t)v[CLM_ACT_BF16_LD] + k] : 0.0f);
        }
    }
}
