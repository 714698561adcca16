/* tests/ops/test_op_linear_f16.c: cl/linear_f16.cl against its reference. */
#include "runtime/ops/op_linear.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_linear_f16, NULL, 0);
}
