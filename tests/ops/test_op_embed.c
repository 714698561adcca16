/* tests/ops/test_op_embed.c: cl/embed.cl against its reference. */
#include <limits.h>
#include <string.h>
#include "tests/ops/op_harness.h"
#include "runtime/ops/op_embed.h"
#include "runtime/ops/weight.h"

static bool takes(const clm_shape *shape)
{
    const int params[CLM_MAX_AXES] = {16};
    clm_caps caps;

    memset(&caps, 0, sizeof caps);
    caps.max_group_size = caps.max_item_sizes[0] = 64;
    return clm_op_embed.valid(params, shape, &caps);
}

static void illegal_shapes_are_refused(void **state)
{
    /* M, ROW0, ROWS, K, FORMAT, GROUP, HAS_MIN */
    const clm_shape legal = {.v = {1, 7, 16, 64, CLM_FORMAT_Q4, 64, 0}};
    const clm_shape bad[] = {
        {.v = {1, 7, 16, 96, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 7, 16, 40, CLM_FORMAT_Q8, 0, 0}},
        {.v = {1, -1, 16, 64, CLM_FORMAT_Q4, 64, 0}},
        {.v = {1, 2, INT_MAX - 1, 64, CLM_FORMAT_F16, 0, 0}},
        {.v = {0, 7, 16, 64, CLM_FORMAT_F16, 0, 0}},
        {.v = {1, 7, 0, 64, CLM_FORMAT_F16, 0, 0}},
        {.v = {1, 7, 16, 64, 5, 0, 0}},
    };

    (void)state;
    assert_true(takes(&legal));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (takes(&bad[i])) fail_msg("illegal shape %zu was taken", i);
    }
}

/* Rows 10 to 12 of a table whose row n has n in all columns; the row of a foreign id stays. */
static void check_rows(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {7, 10, 3, 2, CLM_FORMAT_F32, 0, 0}}};
    const int32_t ids[7] = {12, 13, 10, 9, -1, 11, INT32_MAX};
    const unsigned char unwritten[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    clm_err err = {{0}};
    float *q, *want;

    (void)user;
    if (clm_op_embed.fill(&c, CLM_TEST_SEED, &err) != CLM_OK) fail_msg("%s", err.text);
    q = c.bufs[0].data;
    for (int i = 0; i < 32; i++) q[i] = (float)(10 + i % 16);
    memcpy(c.bufs[3].data, ids, sizeof ids);
    clm_op_embed.reference(&c);
    want = c.bufs[4].expected;
    for (int m = 0; m < 7; m++) {
        if (ids[m] >= 10 && ids[m] <= 12)
            assert_true(want[m * 2 + 1] == (float)ids[m]);
        else
            assert_memory_equal(want + m * 2, unwritten, sizeof unwritten);
    }
    clm_op_test_case(&clm_op_embed, dev, &c);
    clm_case_clear(&c);
}

static void foreign_ids_leave_rows_alone(void **state)
{
    (void)state;
    clm_op_test_devices(check_rows, NULL);
}

int main(void)
{
    const struct CMUnitTest extra[] = {
        cmocka_unit_test(illegal_shapes_are_refused),
        cmocka_unit_test(foreign_ids_leave_rows_alone),
    };

    return clm_op_test_main(&clm_op_embed, extra, sizeof extra / sizeof extra[0]);
}
