/* tests/ops/test_op_swiglu.c: cl/swiglu.cl against clm_ref_swiglu(). */
#include "runtime/ops/op_swiglu.h"
#include "tests/ops/op_harness.h"

int main(void)
{
    return clm_op_test_main(&clm_op_swiglu, NULL, 0);
}
