/* tests/ops/test_op_act_bf16.c: cl/act_bf16.cl against its reference. */
#include "runtime/ops/op_act_bf16.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_act_bf16, NULL, 0);
}
