/* tests/ops/test_op_gemm_amx.c: cl/gemm_amx.cl against its reference. */
#include "runtime/ops/op_gemm_amx.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_gemm_amx, NULL, 0);
}
