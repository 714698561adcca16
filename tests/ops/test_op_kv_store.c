/* tests/ops/test_op_kv_store.c: cl/kv_store.cl against clm_ref_kv_store(); half precision. */
#include <math.h>
#include "runtime/ops/kv_layout.h"
#include "runtime/ops/op_kv_store.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

/* The references' own conversion: known values, ties, and every half there and back. */
static void half_conversion(void **state)
{
    (void)state;
    assert_int_equal(clm_ref_float_to_half(1.0f), 0x3C00);
    assert_int_equal(clm_ref_float_to_half(-2.0f), 0xC000);
    assert_int_equal(clm_ref_float_to_half(65504.0f), 0x7BFF);
    assert_int_equal(clm_ref_float_to_half(65519.0f), 0x7BFF);
    assert_int_equal(clm_ref_float_to_half(65520.0f), 0x7C00);
    assert_int_equal(clm_ref_float_to_half(1.0f + 1.0f / 2048.0f), 0x3C00); /* tie to even, down */
    assert_int_equal(clm_ref_float_to_half(1.0f + 3.0f / 2048.0f), 0x3C02); /* tie to even, up */
    assert_int_equal(clm_ref_float_to_half(0x1p-24f), 0x0001);
    assert_int_equal(clm_ref_float_to_half(0x1p-25f), 0x0000);
    assert_int_equal(clm_ref_float_to_half(0x1.8p-25f), 0x0001);
    assert_int_equal(clm_ref_float_to_half(0x1.ffcp-15f), 0x0400); /* rounds up to normal */
    assert_int_equal(clm_ref_float_to_half(-0.0f), 0x8000);
    assert_true(clm_ref_half_to_float(0x3555) == 0x1.554p-2f);
    for (unsigned h = 0; h < 65536; h++) {
        const float f = clm_ref_half_to_float((uint16_t)h);

        if (isnan(f))
            assert_true(isnan(clm_ref_half_to_float(clm_ref_float_to_half(f))));
        else
            assert_int_equal(clm_ref_float_to_half(f), h);
    }
}

static void fill_row(clm_case *c, int type, clm_device *dev, const float row[4])
{
    clm_err err;
    float *x;

    c->shape = (clm_shape){.v = {1, 8, 0, 4, 1, 4, 3, 1, type}};
    assert_int_equal(clm_op_kv_store.fill(c, 1, &err), CLM_OK);
    x = c->bufs[0].data;
    for (int i = 0; i < 8; i++) x[i] = row[i % 4];
    clm_ref_kv_store(c);
    clm_op_test_case(&clm_op_kv_store, dev, c);
}

/* Stored bits by hand; the case's other positions are checked to be untouched. */
static void known_rows(clm_device *dev, void *user)
{
    const float halves[4] = {1.0f + 1.0f / 2048.0f, 1.0f + 3.0f / 2048.0f, -0x1.8p-25f, 1e6f};
    const float bytes[4] = {127.0f, -127.0f, 1.0f, 0.25f};
    const float tiny[4] = {1e-9f, -1e-9f, 0.0f, 0.0f}; /* the scale rounds to zero */
    const float no_numbers[2][4] = {{1.0f, NAN, 2.0f, 3.0f}, {1.0f, 2.0f, 3.0f, -INFINITY}};
    clm_case c = {.n_bufs = 0};
    const uint16_t *h;
    const int8_t *b;
    const float *kmax;

    (void)user;
    fill_row(&c, CLM_CACHE_F16, dev, halves);
    h = c.bufs[1].expected;
    /* Position 1 is the second of each vector of 16 keys. */
    assert_int_equal(h[0 * 16 + 1], 0x3C00);
    assert_int_equal(h[1 * 16 + 1], 0x3C02);
    assert_int_equal(h[2 * 16 + 1], 0x8001);
    assert_int_equal(h[3 * 16 + 1], 0x7C00);
    assert_int_equal(h[0 * 16], 0xFFFF);
    assert_int_equal(h[0 * 16 + 2], 0xFFFF);
    assert_true(isinf(((float *)c.bufs[5].expected)[0]));
    clm_case_clear(&c);

    fill_row(&c, CLM_CACHE_I8, dev, bytes);
    kmax = c.bufs[5].expected;
    assert_true(fabsf(*kmax - sqrtf(2.0f * 127.0f * 127.0f + 1.0f)) < 1e-4f);
    b = c.bufs[2].expected;
    assert_int_equal(b[4], 127);
    assert_int_equal(b[5], -127);
    assert_int_equal(b[6], 1);
    assert_int_equal(b[7], 0);
    assert_int_equal(((uint16_t *)c.bufs[4].expected)[1], 0x3C00);
    clm_case_clear(&c);

    fill_row(&c, CLM_CACHE_I8, dev, tiny);
    b = c.bufs[1].expected;
    for (int d = 0; d < 4; d++) assert_int_equal(b[d * 16 + 1], 0);
    assert_int_equal(((uint16_t *)c.bufs[3].expected)[1], 0);
    clm_case_clear(&c);

    for (int i = 0; i < 2; i++) {
        fill_row(&c, CLM_CACHE_I8, dev, no_numbers[i]);
        for (int s = 3; s <= 4; s++)
            assert_true(isnan(clm_ref_half_to_float(((uint16_t *)c.bufs[s].expected)[1])));
        assert_true(isinf(((float *)c.bufs[5].expected)[0]));
        clm_case_clear(&c);
    }
}

/* The same values in every position of a whole block, which goes in vectors where WG is 1. */
static void known_block(clm_device *dev, void *user)
{
    enum { POSITIONS = 16, HEAD_DIM = 16, KEYS = 2 * HEAD_DIM, LD = 2 * KEYS };
    static const struct {
        int type;
        float row[4];
        uint16_t bits[4]; /* of the keys */
        bool longest;     /* kmax is infinite */
    } blocks[] = {
        {CLM_CACHE_F16,
         {1.0f + 1.0f / 2048.0f, 1.0f + 3.0f / 2048.0f, -0x1.8p-25f, 1e6f},
         {0x3C00, 0x3C02, 0x8001, 0x7C00},
         true},
        {CLM_CACHE_I8, {1e-9f, -1e-9f, 0.0f, 0.0f}, {0}, false},
        {CLM_CACHE_I8, {1.0f, NAN, 2.0f, 3.0f}, {0}, true},
    };

    (void)user;
    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
        clm_case c = {
            .shape = {.v = {POSITIONS, LD, 0, KEYS, 2, HEAD_DIM, 32, 16, blocks[b].type}}};
        clm_err err;
        float *x;

        assert_int_equal(clm_op_kv_store.fill(&c, 1, &err), CLM_OK);
        x = c.bufs[0].data;
        for (int i = 0; i < POSITIONS * LD; i++) x[i] = blocks[b].row[i % 4];
        clm_ref_kv_store(&c);
        clm_op_test_case(&clm_op_kv_store, dev, &c);
        for (int d = 0; d < HEAD_DIM; d++) {
            const size_t key = clm_kv_k_at(1, HEAD_DIM, 32, 16 + 5, (size_t)d);

            if (blocks[b].type == CLM_CACHE_F16)
                assert_int_equal(((const uint16_t *)c.bufs[1].expected)[key],
                                 blocks[b].bits[d % 4]);
            else
                assert_int_equal(((const int8_t *)c.bufs[1].expected)[key], 0);
        }
        assert_int_equal(isinf(((const float *)c.bufs[5].expected)[1]) != 0, blocks[b].longest);
        clm_case_clear(&c);
    }
}

static void known_rows_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(known_rows, NULL);
    clm_op_test_devices(known_block, NULL);
}

static void launch_beyond_the_context(clm_device *dev, void *user)
{
    clm_case c = {.shape = {.v = {2, 8, 0, 4, 1, 4, 3, 1, CLM_CACHE_F32}}};
    int params[CLM_MAX_AXES] = {0};
    clm_err err = {{0}};

    (void)user;
    assert_int_equal(clm_op_kv_store.fill(&c, 1, &err), CLM_OK);
    clm_op_kv_store.defaults(&c.shape, clm_device_caps(dev), params);
    clm_ref_kv_store(&c);
    clm_op_test_case(&clm_op_kv_store, dev, &c);
    c.shape.v[CLM_KV_STORE_POS0] = 2;
    assert_int_equal(clm_op_check(&clm_op_kv_store, dev, &c, params, NULL, &err), CLM_E_INTERNAL);
    clm_case_clear(&c);
}

static void launch_beyond_the_context_is_refused(void **state)
{
    (void)state;
    clm_op_test_devices(launch_beyond_the_context, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_conversion),
        cmocka_unit_test(known_rows_on_devices),
        cmocka_unit_test(launch_beyond_the_context_is_refused),
    };

    return clm_op_test_main(&clm_op_kv_store, tests, 3);
}
