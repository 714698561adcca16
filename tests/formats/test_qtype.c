/* test_qtype.c: element types against floats made by an independent program
 * (tests/data/make_qtype_cases.py) and half precision against its definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "host/file.h"
#include "runtime/formats/qtype.h"

static uint32_t word_at(const clm_map *map, size_t offset)
{
    uint32_t w;

    assert_true(offset + 4 <= map->size);
    memcpy(&w, map->data + offset, 4);
    return w;
}

/* Equal bits, or both NaN; -0 and +0 are the same weight. */
static int same_float(float a, float b)
{
    return a == b || (a != a && b != b);
}

typedef void (*case_fn)(clm_qtype type, const uint8_t *src, size_t bytes, size_t count,
                        const float *expected);

static void for_each_case(case_fn fn)
{
    clm_map map;
    clm_err err;

    if (clm_map_open(CLM_TEST_DATA "/qtype_cases.bin", &map, &err) != CLM_OK)
        fail_msg("%s", err.text);
    assert_memory_equal(map.data, "CLMQ", 4);
    const uint32_t n = word_at(&map, 4);
    assert_int_equal(n, 11); /* every type of the header */
    size_t pos = 8;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t type = word_at(&map, pos), count = word_at(&map, pos + 4);
        const uint32_t bytes = word_at(&map, pos + 8);

        assert_true(pos + 12 + bytes + 4 * (size_t)count <= map.size);
        /* Exactly sized copies, so that sanitizers see every byte too far; one byte off alignment. */
        uint8_t *src = malloc(bytes + 1);
        float *expected = malloc(4 * (size_t)count);
        memcpy(src + 1, map.data + pos + 12, bytes);
        memcpy(expected, map.data + pos + 12 + bytes, 4 * (size_t)count);
        fn((clm_qtype)type, src + 1, bytes, count, expected);
        free(src);
        free(expected);
        pos += 12 + bytes + 4 * (size_t)count;
    }
    assert_int_equal(pos, map.size);
    clm_map_close(&map);
}

static void check_dequantize(clm_qtype type, const uint8_t *src, size_t bytes, size_t count,
                             const float *expected)
{
    float *got = malloc(count * sizeof *got);

    assert_non_null(clm_qtype_info_get((uint32_t)type));
    assert_int_equal(clm_qtype_bytes(type, count), bytes);
    clm_qtype_dequantize(type, src, count, got);
    for (size_t i = 0; i < count; i++) {
        if (!same_float(got[i], expected[i])) {
            fail_msg("%s element %zu: %.9g, expected %.9g", clm_qtype_name((uint32_t)type), i,
                     (double)got[i], (double)expected[i]);
        }
    }
    free(got);
}

static void test_dequantize(void **state)
{
    (void)state;
    for_each_case(check_dequantize);
}

static void integer_range(clm_qtype type, int *low, int *high)
{
    *low = 0;
    *high = 15;
    if (type == CLM_QTYPE_Q5_0) *low = -16;
    if (type == CLM_QTYPE_Q5_1 || type == CLM_QTYPE_Q5_K) *high = 31;
    if (type == CLM_QTYPE_Q6_K) *low = -32, *high = 31;
    if (type == CLM_QTYPE_Q8_0) *low = -128, *high = 127;
}

static void check_unpack(clm_qtype type, const uint8_t *src, size_t bytes, size_t count,
                         const float *expected)
{
    const clm_qtype_split *split = clm_qtype_split_get(type);
    const int plain = type == CLM_QTYPE_F32 || type == CLM_QTYPE_F16 || type == CLM_QTYPE_BF16;
    int low, high, low_seen = 127, high_seen = -128;

    (void)bytes;
    assert_int_equal(split == NULL, plain);
    if (split == NULL) return;
    int8_t *q = malloc(count);
    float *scale = malloc(count / split->group * sizeof *scale);
    float *min = malloc(count / split->group * sizeof *min);
    clm_qtype_unpack(type, src, count, q, scale, min);
    integer_range(type, &low, &high);
    for (size_t i = 0; i < count; i++) {
        const size_t g = i / split->group;

        if (q[i] < low_seen) low_seen = q[i];
        if (q[i] > high_seen) high_seen = q[i];
        assert_true(same_float(scale[g] * (float)q[i] + min[g], expected[i]));
        if (!split->has_min) assert_true(min[g] == (split->bits == 4 ? -8.0f * scale[g] : 0.0f));
    }
    assert_true(low_seen >= low && high_seen <= high);
    if (type != CLM_QTYPE_Q8_0) assert_true(low_seen == low && high_seen == high);
    assert_int_equal(split->bits, high - low <= 15 ? 4 : 8);
    free(q);
    free(scale);
    free(min);
}

static void test_unpack(void **state)
{
    (void)state;
    for_each_case(check_unpack);
}

static void test_table(void **state)
{
    (void)state;
    assert_null(clm_qtype_info_get(4));
    assert_null(clm_qtype_info_get(24));
    assert_null(clm_qtype_info_get(999));
    assert_null(clm_qtype_info_get(UINT32_MAX));
    assert_string_equal(clm_qtype_name(4), "Q4_2");
    assert_string_equal(clm_qtype_name(12), "Q4_K");
    assert_string_equal(clm_qtype_name(24), "I8");
    assert_string_equal(clm_qtype_name(30), "BF16");
    assert_string_equal(clm_qtype_name(39), "MXFP4");
    assert_string_equal(clm_qtype_name(42), "unknown");
    assert_string_equal(clm_qtype_name(UINT32_MAX), "unknown");
    for (uint32_t t = 0; t < 64; t++) {
        const clm_qtype_info *info = clm_qtype_info_get(t);
        if (info != NULL) assert_string_equal(info->name, clm_qtype_name(t));
    }
}

/* Value of a half by its definition. */
static double half_value(uint32_t h)
{
    const int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
    const double magnitude =
        exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);

    return h & 0x8000 ? -magnitude : magnitude;
}

static void test_half_to_float(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = clm_half_to_float((uint16_t)h);

        if ((h & 0x7c00) != 0x7c00) {
            assert_true((double)f == half_value(h));
            assert_int_equal(signbit(f) != 0, h >> 15);
        } else if ((h & 0x3ff) == 0) {
            assert_true(isinf(f) && (f < 0) == (h >> 15 != 0));
        } else {
            assert_true(isnan(f));
        }
        if (isnan(f)) {
            assert_true(isnan(clm_half_to_float(clm_float_to_half(f))));
        } else {
            assert_int_equal(clm_float_to_half(f), h);
        }
    }
}

/* Every half and its upper neighbour: the midpoint goes to the even one, a hair beside it to the
 * nearer one. */
static void test_float_to_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float mid = (float)((half_value(h) + half_value(h + 1)) / 2);

        assert_int_equal(clm_float_to_half(mid), h % 2 == 0 ? h : h + 1);
        assert_int_equal(clm_float_to_half(nextafterf(mid, 0.0f)), h);
        assert_int_equal(clm_float_to_half(nextafterf(mid, INFINITY)), h + 1);
        assert_int_equal(clm_float_to_half(-mid), 0x8000 | (h % 2 == 0 ? h : h + 1));
    }
    assert_int_equal(clm_float_to_half(65519.996f), 0x7bff);
    assert_int_equal(clm_float_to_half(65520.0f), 0x7c00);
    assert_int_equal(clm_float_to_half(-1e30f), 0xfc00);
    assert_int_equal(clm_float_to_half(INFINITY), 0x7c00);
    assert_int_equal(clm_float_to_half(1e-30f), 0);
    assert_int_equal(clm_float_to_half(-1e-45f), 0x8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_dequantize),
        cmocka_unit_test(test_unpack),        cmocka_unit_test(test_half_to_float),
        cmocka_unit_test(test_float_to_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
