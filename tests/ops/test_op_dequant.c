/* tests/ops/test_op_dequant.c: cl/dequant.cl against its reference. */
#include <string.h>
#include "tests/ops/op_harness.h"
#include "runtime/ops/op_dequant.h"
#include "runtime/ops/weight.h"

static bool takes(const clm_shape *shape)
{
    const int params[CLM_MAX_AXES] = {4};
    clm_caps caps;

    memset(&caps, 0, sizeof caps);
    caps.max_group_size = caps.max_item_sizes[0] = caps.max_item_sizes[1] = 64;
    return clm_op_dequant.valid(params, shape, &caps);
}

static void illegal_shapes_are_refused(void **state)
{
    /* ROW0, ROWS, K, FORMAT, GROUP, HAS_MIN */
    const clm_shape legal = {.v = {16, 5, 64, CLM_FORMAT_Q4, 64, 0}};
    const clm_shape bad[] = {
        {.v = {8, 5, 64, CLM_FORMAT_Q4, 64, 0}},
        {.v = {-16, 21, 64, CLM_FORMAT_Q4, 64, 0}},
        {.v = {16, 5, 96, CLM_FORMAT_Q4, 64, 0}},
        {.v = {16, 0, 64, CLM_FORMAT_Q4, 64, 0}},
        {.v = {16, 5, 64, 3, 0, 0}},
        {.v = {16, 5, 0, CLM_FORMAT_F32, 0, 0}},
        {.v = {16, 5, 40, CLM_FORMAT_Q8, 0, 0}},
        {.v = {16, 5, 64, CLM_FORMAT_Q8, 64, 3}},
    };

    (void)state;
    assert_true(takes(&legal));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (takes(&bad[i])) fail_msg("illegal shape %zu was taken", i);
    }
}

/* The same places by hand as in the tests of gemv_q4 and gemv_q8: element [21][55] of 96 columns,
 * which is row 5 of the output. */
static void check_place(clm_device *dev, clm_weight_format format, size_t byte, unsigned char bits,
                        float want)
{
    const float zero = format == CLM_FORMAT_Q4 ? -8.0f : 0.0f; /* value of q = 0 */
    clm_case c = {.shape = {.v = {16, 16, 96, format, 32, 1}}};
    clm_err err = {{0}};
    const float *out;

    if (clm_op_dequant.fill(&c, CLM_TEST_SEED, &err) != CLM_OK) fail_msg("%s", err.text);
    memset(c.bufs[0].data, 0, c.bufs[0].count);
    memset(c.bufs[2].data, 0, c.bufs[2].count * 2);
    for (size_t i = 0; i < c.bufs[1].count; i++) ((uint16_t *)c.bufs[1].data)[i] = 0x3C00; /* 1 */
    ((unsigned char *)c.bufs[0].data)[byte] = bits;
    clm_op_dequant.reference(&c);
    out = c.bufs[3].expected;
    for (int i = 0; i < 16 * 96; i++) assert_true(out[i] == (i == 5 * 96 + 55 ? want : zero));
    clm_op_test_case(&clm_op_dequant, dev, &c);
    clm_case_clear(&c);
}

static void check_places(clm_device *dev, void *user)
{
    (void)user;
    check_place(dev, CLM_FORMAT_Q4, (3 + 1) * 256 + 2 * 64 + 5 * 4 + 3, 0xD0, 5.0f);
    check_place(dev, CLM_FORMAT_Q8, (3 + 1) * 512 + 5 * 64 + 5 * 4 + 3, 0x80, -128.0f);
}

static void layout_is_as_described(void **state)
{
    (void)state;
    clm_op_test_devices(check_places, NULL);
}

int main(void)
{
    const struct CMUnitTest extra[] = {
        cmocka_unit_test(illegal_shapes_are_refused),
        cmocka_unit_test(layout_is_as_described),
    };

    return clm_op_test_main(&clm_op_dequant, extra, sizeof extra / sizeof extra[0]);
}
