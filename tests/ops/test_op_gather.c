/* tests/ops/test_op_gather.c: cl/gather.cl against clm_ref_gather(). */
#include "runtime/ops/op_gather.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_gather, NULL, 0);
}
