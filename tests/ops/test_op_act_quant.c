/* tests/ops/test_op_act_quant.c: cl/act_quant.cl against its reference. */
#include "runtime/ops/op_act_quant.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_act_quant, NULL, 0);
}
