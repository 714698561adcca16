/* test_tensor.c: rows of a tensor as numbers, whatever its storage: against values that are worked
 * out here element by element. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/formats/tensor.h"
#include "tests/formats/gptq_layer.h"

enum { ROWS = 8, COLS = 4 };

/* Element [r][c] is 10 r + c. */
static void fill(float values[ROWS][COLS])
{
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) values[r][c] = 10.0f * (float)r + (float)c;
}

static clm_tensor plain(float values[ROWS][COLS])
{
    return (clm_tensor){.name = "t",
                        .rows = ROWS,
                        .cols = COLS,
                        .type = CLM_QTYPE_F32,
                        .data = (const uint8_t *)values,
                        .bytes = sizeof(float) * ROWS * COLS};
}

static void rows_in_order(void **state)
{
    float values[ROWS][COLS], out[ROWS][COLS];
    clm_tensor t = plain(values);

    (void)state;
    fill(values);
    assert_int_equal(clm_tensor_read_rows(&t, 2, 3, out[0], NULL), CLM_OK);
    assert_memory_equal(out, values[2], sizeof values[0] * 3);
    assert_ptr_equal(clm_tensor_row_bytes(&t, 5), values[5]);
    assert_int_equal(clm_tensor_read_rows(&t, ROWS, 0, out[0], NULL), CLM_OK);
}

static void rows_that_do_not_exist(void **state)
{
    float values[ROWS][COLS], out[ROWS][COLS];
    const clm_tensor t = plain(values);
    clm_err err;

    (void)state;
    assert_int_equal(clm_tensor_read_rows(&t, 7, 2, out[0], &err), CLM_E_INTERNAL);
    assert_int_equal(clm_tensor_read_rows(&t, 9, 0, out[0], &err), CLM_E_INTERNAL);
    assert_int_equal(clm_tensor_read_rows(&t, SIZE_MAX, 2, out[0], &err), CLM_E_INTERNAL);
    assert_non_null(strstr(err.text, "tensor 't' has 8 rows"));
}

/* Heads of 4: the file's rows 0 1 2 3 are pairs (0, 2), (1, 3); handed out: 0 2 1 3. */
static void rotary_pairs(void **state)
{
    static const int order[ROWS] = {0, 2, 1, 3, 4, 6, 5, 7};
    float values[ROWS][COLS], out[ROWS][COLS];
    clm_tensor t = plain(values);

    (void)state;
    fill(values);
    t.rotary_head = 4;
    assert_int_equal(clm_tensor_read_rows(&t, 0, ROWS, out[0], NULL), CLM_OK);
    for (int r = 0; r < ROWS; r++) {
        assert_memory_equal(out[r], values[order[r]], sizeof out[r]);
        assert_ptr_equal(clm_tensor_row_bytes(&t, (size_t)r), values[order[r]]);
    }
}

static void normalised_rows(void **state)
{
    float values[ROWS][COLS], out[ROWS][COLS];
    clm_tensor t = plain(values);

    (void)state;
    fill(values);
    memset(values[1], 0, sizeof values[1]); /* has no direction: stays 0, no NaN */
    t.normalised = true;
    assert_null(clm_tensor_row_bytes(&t, 0));
    assert_int_equal(clm_tensor_read_rows(&t, 0, ROWS, out[0], NULL), CLM_OK);
    for (int r = 0; r < ROWS; r++) {
        double sum = 0.0;
        for (int c = 0; c < COLS; c++) sum += (double)out[r][c] * (double)out[r][c];
        assert_true(fabs(sum - (r == 1 ? 0.0 : 1.0)) < 1e-6);
        if (r > 1)
            assert_true(fabs((double)out[r][3] / (double)out[r][0] -
                             (double)values[r][3] / (double)values[r][0]) < 1e-6);
    }
}

/* ---- GPTQ ---------------------------------------------------------------------------------- */

/* Rows 2.. of the layer: what is read, and what the split adds up to, are its elements. */
static void check_gptq(int bits, bool act)
{
    enum { ROW0 = 2, COUNT = N - ROW0 };
    static layer l;
    static float values[COUNT][K], scale[COUNT][2], min[COUNT][2];
    static int8_t q[COUNT][K];
    uint32_t order[K];
    clm_gptq g;
    clm_qtype_split split;

    make_layer(&l, bits, 0);
    g = gptq_of(&l, act);
    sort_columns(&l, order);
    const clm_tensor t = {.name = "t",
                          .rows = COUNT,
                          .cols = K,
                          .gptq = &g,
                          .gptq_row0 = ROW0,
                          .column_order = act ? order : NULL};
    assert_int_equal(clm_tensor_read_rows(&t, 0, COUNT, values[0], NULL), CLM_OK);
    assert_true(clm_tensor_split(&t, &split));
    assert_int_equal(split.bits, bits);
    assert_int_equal(split.group, GROUP);
    clm_tensor_unpack(&t, 0, COUNT, q[0], scale[0], min[0]);
    for (size_t n = 0; n < COUNT; n++)
        for (size_t j = 0; j < K; j++) {
            const size_t k = act ? order[j] : j;
            const double want = element(&l, act, ROW0 + n, k);

            assert_true((double)values[n][k] == want);
            assert_true((double)scale[n][j / GROUP] * q[n][j] + (double)min[n][j / GROUP] == want);
        }
}

static void gptq_layers(void **state)
{
    (void)state;
    check_gptq(4, false);
    check_gptq(4, true);
    check_gptq(8, false);
    check_gptq(8, true);
}

/* Quantised rows that are to be normalised: the split adds up to what is read, also where a row or a
 * group of it is zero and its scale is large. */
static void check_normalised(clm_tensor t)
{
    static float values[N][K], scale[N][2], min[N][2];
    static int8_t q[N][K];
    clm_qtype_split split;

    t.normalised = true;
    assert_true(clm_tensor_split(&t, &split));
    assert_int_equal(split.group, GROUP);
    assert_int_equal(clm_tensor_read_rows(&t, 0, N, values[0], NULL), CLM_OK);
    clm_tensor_unpack(&t, 0, N, q[0], scale[0], min[0]);
    for (size_t n = 0; n < N; n++) {
        double sum = 0.0;

        for (size_t j = 0; j < K; j++) {
            const size_t k = t.column_order != NULL ? t.column_order[j] : j;
            const double got = (double)scale[n][j / GROUP] * q[n][j] + (double)min[n][j / GROUP];

            assert_true(fabs(got - (double)values[n][k]) < 1e-6);
            assert_true(fabsf(scale[n][j / GROUP]) <= 1.0f);
            sum += got * got;
        }
        assert_true(fabs(sum - (n == 0 ? 0.0 : 1.0)) < 1e-6);
    }
}

static void normalised_quantised_rows(void **state)
{
    static layer l;
    static uint8_t q8_0[N][K / GROUP][34], q4_1[N][K / GROUP][20];
    uint32_t order[K];
    clm_gptq g;

    (void)state;
    for (int act = 0; act < 2; act++) {
        make_layer(&l, 4, 0);
        memset(l.scale[0], 0, sizeof l.scale[0][0]); /* row 0 */
        l.scale[1][0] = 0;
        sort_columns(&l, order);
        g = gptq_of(&l, act);
        check_normalised((clm_tensor){
            .name = "t", .rows = N, .cols = K, .gptq = &g, .column_order = act ? order : NULL});
    }
    for (size_t n = 0; n < N; n++) {
        for (size_t b = 0; b < K / GROUP; b++) {
            const bool zero = n == 0 || (n == 1 && b == 0);
            const uint16_t one = clm_float_to_half(1.0f), large = clm_float_to_half(60000.0f);

            for (size_t i = 2; i < 34; i++)
                q8_0[n][b][i] = (uint8_t)(zero ? 0 : 37 * i + 11 * n + b);
            for (size_t i = 4; i < 20; i++)
                q4_1[n][b][i] = (uint8_t)(zero ? 0 : 53 * i + 7 * n + b);
            memcpy(q8_0[n][b], zero ? &large : &one, sizeof one);
            memcpy(q4_1[n][b], zero ? &large : &one, sizeof one);
        }
    }
    check_normalised((clm_tensor){
        .name = "t", .rows = N, .cols = K, .type = CLM_QTYPE_Q8_0, .data = q8_0[0][0]});
    check_normalised((clm_tensor){
        .name = "t", .rows = N, .cols = K, .type = CLM_QTYPE_Q4_1, .data = q4_1[0][0]});
}

static void type_names(void **state)
{
    char name[CLM_TENSOR_TYPE_ROOM];
    const clm_gptq g = {.bits = 4, .group = 128};
    const uint32_t order[1] = {0};
    clm_tensor t = {.type = CLM_QTYPE_Q4_K};

    (void)state;
    assert_string_equal(clm_tensor_type_name(&t, name), "Q4_K");
    t.gptq = &g;
    assert_string_equal(clm_tensor_type_name(&t, name), "GPTQ4 g128");
    t.column_order = order;
    assert_string_equal(clm_tensor_type_name(&t, name), "GPTQ4 g128 act");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_order), cmocka_unit_test(rows_that_do_not_exist),
        cmocka_unit_test(rotary_pairs),  cmocka_unit_test(normalised_rows),
        cmocka_unit_test(gptq_layers),   cmocka_unit_test(normalised_quantised_rows),
        cmocka_unit_test(type_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
