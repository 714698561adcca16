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

void clm_ref_act_out(clm_case_buffer *y, int out, size_t columns, size_t m, size_t k, double value)
{
    const bool shuffled = out == CLM_ACT_OUT_SHUFFLED;

    if (out == CLM_ACT_OUT_F32)
        ((float *)y->expected)[m * columns + k] = (float)value;
    else
        ((uint16_t *)y->expected)[clm_ref_act_bf16_at(columns, m, k, shuffled)] =
            clm_ref_float_to_bf16((float)value);
}

void clm_ref_act_out_fill(clm_case_buffer *y, int out, size_t columns, size_t tokens)
{
    for (size_t m = tokens; m < y->count / columns; m++)
        for (size_t k = 0; k < columns; k++) clm_ref_act_out(y, out, columns, m, k, 0.0);
}

void clm_ref_act_bf16(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t k_count = (size_t)v[CLM_ACT_BF16_K], tokens = (size_t)v[CLM_ACT_BF16_M];
    const float *x = (const float *)c->bufs[0].data + (size_t)v[CLM_ACT_BF16_OFF];
    const int out = v[CLM_ACT_BF16_SHUFFLED] ? CLM_ACT_OUT_SHUFFLED : CLM_ACT_OUT_BF16;

    for (size_t m = 0; m < tokens; m++, x += v[CLM_ACT_BF16_LD])
        for (size_t k = 0; k < k_count; k++)
            clm_ref_act_out(&c->bufs[1], out, k_count, m, k, (double)x[k]);
    clm_ref_act_out_fill(&c->bufs[1], out, k_count, tokens);
}
