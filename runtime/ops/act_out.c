/* runtime/ops/act_out.c: see runtime/ops/act_out.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/act_out.h"

#include "runtime/ops/op_util.h"

/* At most: of a number with a mantissa of 1.0. */
static const float BF16_STEP = 0x1p-7f;

clm_elem clm_act_out_elem(int out)
{
    return out == CLM_ACT_OUT_F32 ? CLM_ELEM_F32 : CLM_ELEM_BF16;
}

size_t clm_act_out_rows(size_t m, int out)
{
    if (out == CLM_ACT_OUT_F32) return m;
    return clm_op_ceil_div(m, CLM_ACT_BF16_PANEL) * CLM_ACT_BF16_PANEL;
}

bool clm_act_out_fits(int out, int columns, int width)
{
    if (out == CLM_ACT_OUT_F32) return true;
    return out > CLM_ACT_OUT_F32 && out <= CLM_ACT_OUT_SHUFFLED && columns % CLM_ACT_GROUP == 0 &&
           width % 8 == 0;
}

void *clm_act_out_add(clm_case *c, const char *name, size_t m, size_t columns, int out)
{
    const size_t count = clm_act_out_rows(m, out) * columns;
    void *data = clm_case_add(c, name, clm_act_out_elem(out), count, CLM_CASE_OUT);

    if (data != NULL && out != CLM_ACT_OUT_F32) c->bufs[c->n_bufs - 1].rtol = BF16_STEP;
    return data;
}
