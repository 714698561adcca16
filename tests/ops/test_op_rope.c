/* tests/ops/test_op_rope.c: cl/rope.cl against clm_ref_rope(), and the table of angles. */
#include <math.h>
#include "runtime/ops/op_rope.h"
#include "tests/ops/op_harness.h"

/* Frequencies by hand: 4 elements are 2 pairs, at 1 and 1/sqrt(base) radians per position. */
static void table_has_the_angles(void **state)
{
    float cs[12 * 4];

    (void)state;
    clm_rope_table(cs, 12, 4, 10000.0);
    for (int pos = 0; pos < 12; pos++) {
        assert_true(fabs((double)cs[pos * 4] - cos(pos)) < 1e-7);
        assert_true(fabs((double)cs[pos * 4 + 1] - sin(pos)) < 1e-7);
        assert_true(fabs((double)cs[pos * 4 + 2] - cos(pos * 0.01)) < 1e-7);
        assert_true(fabs((double)cs[pos * 4 + 3] - sin(pos * 0.01)) < 1e-7);
    }
}

/* At the end of a long context the angle is still that of exact arithmetic: 131071 - 20860 * 2 pi
 * = 2.7543 (single precision would be off in the third digit). */
static void table_is_exact_far_out(void **state)
{
    static float cs[131072 * 2];
    const double angle = fmod(131071.0, 6.283185307179586476925);

    (void)state;
    clm_rope_table(cs, 131072, 2, 10000.0);
    assert_true(fabs((double)cs[131071 * 2] - cos(angle)) < 1e-6);
    assert_true(fabs((double)cs[131071 * 2 + 1] - sin(angle)) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_has_the_angles),
        cmocka_unit_test(table_is_exact_far_out),
    };

    return clm_op_test_main(&clm_op_rope, tests, 2);
}
