/* tests/ops/test_op_attention_amx.c: cl/attention_amx.cl against its reference. */
#include "runtime/ops/op_attention_amx.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_attention_amx, NULL, 0);
}
