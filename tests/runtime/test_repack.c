/* test_repack.c: tiles hold the rows of their tensor: element by element, read as runtime/ops/weight.h
 * describes them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/model/repack.h"
#include "runtime/ops/ref_weight.h"
#include "tests/formats/gptq_layer.h"

/* Rows of the tensor, in the order of its columns on the device, within `bound` of what tiles hold. */
static void check(const clm_tensor *t, clm_weight_format format, double bound)
{
    const clm_weight_layout w = clm_repack_layout(t);
    const clm_tile_size size = clm_repack_tile(&w);
    uint8_t *q = malloc(size.q_bytes);
    uint16_t *scale = malloc((size.scales + 1) * 2), *min = malloc((size.mins + 1) * 2);
    float *values = malloc(t->cols * sizeof *values);
    const clm_ref_weight device = {w, q, scale, size.mins > 0 ? min : NULL};

    assert_true(q != NULL && scale != NULL && min != NULL && values != NULL);
    assert_int_equal(w.format, format);
    assert_true(clm_weight_legal(&w) && clm_weight_for_all(&w));
    assert_true(t->rows <= CLM_TILE_ROWS);
    assert_int_equal(clm_repack_tiles(t, 0, 1, q, scale, min, NULL), CLM_OK);
    for (size_t n = 0; n < t->rows; n++) {
        assert_int_equal(clm_tensor_read_rows(t, n, 1, values, NULL), CLM_OK);
        for (size_t j = 0; j < t->cols; j++) {
            const size_t k = t->column_order != NULL ? t->column_order[j] : j;
            const double got = clm_ref_weight_value(&device, n, j);

            if (!(fabs(got - (double)values[k]) <= bound))
                fail_msg("row %zu, column %zu is %g, and must be %g", n, k, got, (double)values[k]);
        }
    }
    free(q);
    free(scale);
    free(min);
    free(values);
}

/* A layer as GPTQ packs it; `normalised`: as the head of Baichuan 2. */
static void check_gptq(int bits, int zero, bool act, bool normalised, clm_weight_format format)
{
    static layer l;
    uint32_t order[K];
    clm_gptq g;

    make_layer(&l, bits, zero);
    sort_columns(&l, order);
    g = gptq_of(&l, act);
    g.symmetric = zero == 1 << (bits - 1);
    const clm_tensor t = {.name = "t",
                          .rows = N,
                          .cols = K,
                          .gptq = &g,
                          .column_order = act ? order : NULL,
                          .normalised = normalised};
    /* Elements of normalised rows are below 1, and scales have 11 bits. */
    check(&t, format, normalised ? 0x1p-11 : 0.0);
}

static void gptq_layers(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        check_gptq(4, 0, i % 2 != 0, i / 2 != 0, CLM_FORMAT_Q4);
        check_gptq(4, 8, i % 2 != 0, i / 2 != 0, CLM_FORMAT_Q4);
        check_gptq(8, 0, i % 2 != 0, i / 2 != 0, CLM_FORMAT_Q8);
        check_gptq(8, 128, i % 2 != 0, i / 2 != 0, CLM_FORMAT_Q8);
    }
}

/* Groups of 16, which 4 bits do not have on the device: four in a row, made of the layer's two. */
static void groups_of_16(void **state)
{
    static layer l;
    static uint16_t scale[4][N];
    static uint32_t qzeros[4 * N / 4];
    const size_t zeros = N * 4 / 32; /* words of a group */

    (void)state;
    for (int zero = 0; zero <= 8; zero += 8) {
        make_layer(&l, 4, zero);
        clm_gptq g = gptq_of(&l, false);

        for (size_t group = 0; group < 4; group++) {
            for (size_t n = 0; n < N; n++)
                scale[group][n] = (uint16_t)(l.scale[group / 2][n] + group);
            memcpy(qzeros + group * zeros, l.qzeros + group % 2 * zeros, zeros * 4);
        }
        g.group = 16;
        g.symmetric = zero == 8;
        g.scales = (const uint8_t *)scale;
        g.qzeros = (const uint8_t *)qzeros;
        check(&(const clm_tensor){.name = "t", .rows = N, .cols = K, .gptq = &g}, CLM_FORMAT_Q8,
              0.0);
    }
}

/* Types with and without a minimum. */
static void normalised_blocks(void **state)
{
    static const struct {
        clm_qtype type;
        clm_weight_format format;
    } types[] = {{CLM_QTYPE_Q4_0, CLM_FORMAT_Q4}, {CLM_QTYPE_Q4_1, CLM_FORMAT_Q4},
                 {CLM_QTYPE_Q5_0, CLM_FORMAT_Q8}, {CLM_QTYPE_Q5_1, CLM_FORMAT_Q8},
                 {CLM_QTYPE_Q8_0, CLM_FORMAT_Q8}, {CLM_QTYPE_INT4, CLM_FORMAT_Q4}};
    uint8_t data[N * K * 2];

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const clm_qtype_info *info = clm_qtype_info_get((uint32_t)types[i].type);
        const clm_tensor t = {.name = "t",
                              .rows = N,
                              .cols = K,
                              .type = types[i].type,
                              .data = data,
                              .normalised = true};

        for (size_t at = 0; at < sizeof data; at++) data[at] = (uint8_t)(167 * at + at / 7);
        for (size_t at = 0; at + info->block_bytes <= sizeof data; at += info->block_bytes) {
            const uint16_t scale = clm_float_to_half(0.5f + (float)(at % 5));

            memcpy(data + at, &scale, sizeof scale);
            memcpy(data + at + 2, &scale, sizeof scale); /* a minimum, or numbers as others */
        }
        check(&t, types[i].format, 0x1p-10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gptq_layers),
                                       cmocka_unit_test(groups_of_16),
                                       cmocka_unit_test(normalised_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
