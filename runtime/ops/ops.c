/* runtime/ops/ops.c: the table of operators. A new operator adds its include and its line.
 *
 * Layer    runtime.
 */
#include "runtime/ops/ops.h"

#include <stdio.h>

#include "runtime/ops/op_act_bf16.h"
#include "runtime/ops/op_act_quant.h"
#include "runtime/ops/op_add.h"
#include "runtime/ops/op_argmax.h"
#include "runtime/ops/op_attention.h"
#include "runtime/ops/op_attention_amx.h"
#include "runtime/ops/op_attention_combine.h"
#include "runtime/ops/op_attention_decode.h"
#include "runtime/ops/op_attention_mma.h"
#include "runtime/ops/op_dequant.h"
#include "runtime/ops/op_embed.h"
#include "runtime/ops/op_gather.h"
#include "runtime/ops/op_gemm.h"
#include "runtime/ops/op_gemm_amx.h"
#include "runtime/ops/op_gemm_mma.h"
#include "runtime/ops/op_gemv.h"
#include "runtime/ops/op_kv_store.h"
#include "runtime/ops/op_linear.h"
#include "runtime/ops/op_rmsnorm.h"
#include "runtime/ops/op_rope.h"
#include "runtime/ops/op_swiglu.h"
#include "runtime/ops/op_xgemm.h"

static const clm_op_desc *const k_ops[] = {
    &clm_op_act_bf16,
    &clm_op_act_quant,
    &clm_op_add,
    &clm_op_argmax,
    &clm_op_attention,
    &clm_op_attention_amx,
    &clm_op_attention_combine,
    &clm_op_attention_decode,
    &clm_op_attention_mma,
    &clm_op_dequant,
    &clm_op_embed,
    &clm_op_gather,
    &clm_op_gemm_amx,
    &clm_op_gemm_mma,
    &clm_op_gemm_q4,
    &clm_op_gemm_q8,
    &clm_op_gemv_f16,
    &clm_op_gemv_q4,
    &clm_op_gemv_q8,
    &clm_op_kv_store,
    &clm_op_linear_f16,
    &clm_op_linear_q4,
    &clm_op_linear_q8,
    &clm_op_rmsnorm,
    &clm_op_rope,
    &clm_op_swiglu,
    &clm_op_xgemm,
};

const clm_op_desc *const *clm_ops(size_t *count)
{
    *count = sizeof k_ops / sizeof k_ops[0];
    return k_ops;
}

clm_status clm_ops_fail_unknown(const char *name, clm_err *err)
{
    char all[512] = "";
    size_t n, used = 0;
    const clm_op_desc *const *ops = clm_ops(&n);

    for (size_t i = 0; i < n && used < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "",
                                 ops[i]->name);
    return clm_fail(err, CLM_E_USAGE, "there is no operator '%.60s'; there are %s", name, all);
}
