/* tests/ops/test_op_gemm_q8.c: cl/gemm_q8.cl against its reference. */
#include "runtime/ops/op_gemm.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_gemm_q8, NULL, 0);
}
