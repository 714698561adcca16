/* tests/ops/test_op_add.c: cl/add.cl against clm_ref_add(). */
#include "runtime/ops/op_add.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_add, NULL, 0);
}
