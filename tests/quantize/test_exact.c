/* test_exact.c: matrices packed by GPTQ as blocks: which types hold them, and that blocks decode to
 * the same numbers, or are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/quantize/exact.h"
#include "tests/formats/gptq_layer.h"

static bool possible(int bits, size_t group, bool symmetric, clm_qtype type)
{
    const clm_gptq g = {.bits = bits, .group = group, .symmetric = symmetric};

    return clm_exact_possible(&(clm_tensor){.rows = N, .cols = K, .gptq = &g}, type);
}

static void q8_0_holds_integers_of_8_bits(void **state)
{
    (void)state;
    for (size_t group = 32; group <= 128; group += 32) {
        assert_true(possible(4, group, false, CLM_QTYPE_Q8_0));
        assert_true(possible(4, group, true, CLM_QTYPE_Q8_0));
        assert_true(possible(8, group, true, CLM_QTYPE_Q8_0));
        assert_false(possible(8, group, false, CLM_QTYPE_Q8_0)); /* 255 - 1 */
    }
}

static void q4_0_holds_integers_around_8(void **state)
{
    (void)state;
    assert_true(possible(4, 64, true, CLM_QTYPE_Q4_0));
    assert_false(possible(4, 64, false, CLM_QTYPE_Q4_0));
    assert_false(possible(8, 64, true, CLM_QTYPE_Q4_0));
}

static void other_types_and_orders_do_not(void **state)
{
    static const clm_qtype types[] = {CLM_QTYPE_F32, CLM_QTYPE_F16, CLM_QTYPE_Q4_1, CLM_QTYPE_INT4};
    static const uint32_t order[K] = {0};
    const clm_gptq g = {.bits = 4, .group = 32, .symmetric = true};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        assert_false(possible(4, 64, true, types[i]));
    assert_false(possible(4, 16, true, CLM_QTYPE_Q8_0)); /* two scales in a block */
    assert_false(possible(4, 16, true, CLM_QTYPE_Q4_0));
    assert_false(clm_exact_possible(
        &(clm_tensor){.rows = N, .cols = K, .gptq = &g, .column_order = order}, CLM_QTYPE_Q8_0));
    assert_false(clm_exact_possible(
        &(clm_tensor){.rows = N, .cols = K, .gptq = &g, .normalised = true}, CLM_QTYPE_Q8_0));
    assert_false(clm_exact_possible(&(clm_tensor){.rows = N, .cols = K, .type = CLM_QTYPE_Q8_0},
                                    CLM_QTYPE_Q8_0));
}

/* Rows 2.. of a layer and their values. */
enum { ROW0 = 2, ROWS = N - ROW0 };

typedef struct sample {
    layer l;
    clm_gptq g;
    clm_tensor t;
    float values[ROWS][K];
} sample;

static void make_sample(sample *s, int bits, int zero)
{
    make_layer(&s->l, bits, zero);
    /* Scales that ask for care: 0, the smallest, a negative one, and the largest. */
    s->l.scale[0][3] = 0x0000;
    s->l.scale[1][3] = 0x0001;
    s->l.scale[0][4] = 0xae66;
    s->l.scale[1][4] = 0x7bff;
    s->g = gptq_of(&s->l, false);
    s->g.symmetric = zero != 0;
    s->t = (clm_tensor){.name = "t", .rows = ROWS, .cols = K, .gptq = &s->g, .gptq_row0 = ROW0};
    assert_int_equal(clm_tensor_read_rows(&s->t, 0, ROWS, s->values[0], NULL), CLM_OK);
}

static void check_encode(int bits, int zero, clm_qtype type)
{
    static sample s;
    static float decoded[ROWS][K];
    static uint8_t blocks[ROWS * K * 2];
    const size_t row_bytes = clm_qtype_bytes(type, K);
    clm_err err = {""};

    make_sample(&s, bits, zero);
    assert_true(clm_exact_possible(&s.t, type));
    /* In two pieces, as threads take them. */
    if (clm_exact_encode(&s.t, type, 0, 1, s.values[0], blocks, &err) != CLM_OK ||
        clm_exact_encode(&s.t, type, 1, ROWS - 1, s.values[1], blocks + row_bytes, &err) != CLM_OK)
        fail_msg("%s", err.text);
    clm_qtype_dequantize(type, blocks, (size_t)ROWS * K, decoded[0]);
    for (size_t n = 0; n < ROWS; n++)
        for (size_t k = 0; k < K; k++)
            assert_true((double)decoded[n][k] == element(&s.l, false, ROW0 + n, k));
}

static void blocks_decode_to_the_same(void **state)
{
    (void)state;
    check_encode(4, 0, CLM_QTYPE_Q8_0);
    check_encode(4, 8, CLM_QTYPE_Q8_0);
    check_encode(4, 8, CLM_QTYPE_Q4_0);
    check_encode(8, 128, CLM_QTYPE_Q8_0);
}

/* Row 1, from column 32 on, must be refused after `column` was given this value. */
static void refuse(sample *s, size_t column, float value)
{
    uint8_t blocks[ROWS * K * 2];
    const float before = s->values[1][column];
    clm_err err = {""};

    s->values[1][column] = value;
    assert_int_equal(clm_exact_encode(&s->t, CLM_QTYPE_Q8_0, 0, ROWS, s->values[0], blocks, &err),
                     CLM_E_INTERNAL);
    assert_non_null(strstr(err.text, "tensor 't': row 1, columns from 32 on"));
    s->values[1][column] = before;
}

static void nothing_inexact_is_written(void **state)
{
    static sample s;
    uint8_t blocks[ROWS * K * 2];
    clm_err err = {""};

    (void)state;
    make_sample(&s, 4, 0);
    s.l.scale[0][3] = s.l.scale[1][3] = 0x2c00; /* that row 1 is not zero */
    assert_int_equal(clm_tensor_read_rows(&s.t, 0, ROWS, s.values[0], NULL), CLM_OK);
    for (size_t k = 32; k < K; k++)
        if (s.values[1][k] != 0.0f) refuse(&s, k, nextafterf(s.values[1][k], INFINITY));
    refuse(&s, 40, 128.0f * 0.0625f); /* 128 steps */
    refuse(&s, 41, 1e30f);
    refuse(&s, 42, NAN);
    refuse(&s, 43, INFINITY);
    /* Against better knowledge: 8 bits with zeros of their own do not fit. */
    make_sample(&s, 8, 0);
    assert_int_equal(clm_exact_encode(&s.t, CLM_QTYPE_Q8_0, 0, ROWS, s.values[0], blocks, &err),
                     CLM_E_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q8_0_holds_integers_of_8_bits),
        cmocka_unit_test(q4_0_holds_integers_around_8),
        cmocka_unit_test(other_types_and_orders_do_not),
        cmocka_unit_test(blocks_decode_to_the_same),
        cmocka_unit_test(nothing_inexact_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
