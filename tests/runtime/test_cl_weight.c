/* test_cl_weight.c: weights on a device are what clm_repack_tiles makes of the tensors, whichever way
 * they get there, however many pieces and stagings that takes, and whether they are stacked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/formats/synthetic.h"
#include "runtime/model/cl_weight.h"

static void compare(const clm_buffer *buf, const void *want, size_t bytes)
{
    const size_t unit = clm_elem_bytes(clm_buffer_type(buf));
    char *got = malloc(bytes);

    assert_non_null(got);
    assert_true(bytes / unit <= clm_buffer_count(buf));
    assert_int_equal(clm_buffer_read(buf, 0, bytes / unit, got, NULL), CLM_OK);
    assert_true(memcmp(got, want, bytes) == 0);
    free(got);
}

/* Tiles of the tensors one after the other, or in turn, straight from clm_repack_tiles. */
static void expect(const clm_stack *stack, const clm_tile_size *size, uint8_t *q, uint16_t *scale,
                   uint16_t *min)
{
    size_t at = 0;

    for (size_t i = 0; i < stack->n; i++) {
        const size_t tiles = clm_weight_tiles(stack->parts[i]->rows);

        for (size_t tile = 0; tile < tiles; tile++) {
            const size_t to = stack->tiled ? tile * stack->n + i : at++;

            assert_int_equal(clm_repack_tiles(stack->parts[i], tile, 1, q + to * size->q_bytes,
                                              scale + to * size->scales, min + to * size->mins,
                                              NULL),
                             CLM_OK);
        }
    }
}

static void check(clm_device *dev, const clm_stack *stack, bool in_place)
{
    const clm_weight_layout layout = clm_stack_layout(stack);
    const clm_tile_size size = clm_repack_tile(&layout);
    const size_t n = clm_weight_tiles(layout.rows);
    uint8_t *q = malloc(n * size.q_bytes);
    uint16_t *scale = malloc((n * size.scales + 1) * 2), *min = malloc((n * size.mins + 1) * 2);
    clm_weight *w;
    clm_err err = {""};

    assert_true(q != NULL && scale != NULL && min != NULL);
    assert_true(clm_stack_possible(stack));
    expect(stack, &size, q, scale, min);
    if (clm__cl_weight_create_by(dev, stack, in_place, &w, &err) != CLM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(w->n_parts, 1);
    assert_int_equal(w->parts[0].rows, layout.rows);
    compare(w->parts[0].q, q, n * size.q_bytes);
    if (size.scales > 0) compare(w->parts[0].scale, scale, n * size.scales * 2);
    if (size.mins > 0) compare(w->parts[0].min, min, n * size.mins * 2);
    clm_cl_weight_destroy(w);
    free(q);
    free(scale);
    free(min);
}

/* The embedding has a size of several stagings in each type, and rows that fill no whole tile. */
static void check_type(clm_device *dev, const char *type, size_t vocab)
{
    const clm_hparams hp = {.arch = "llama",
                            .name = "two ways",
                            .n_layers = 1,
                            .width = 1024,
                            .n_heads = 8,
                            .ffn = 160,
                            .vocab = vocab,
                            .ctx_train = 64,
                            .rms_eps = 1e-6f,
                            .position = CLM_POSITION_ALIBI};
    clm_model_file *mf;
    clm_err err = {""};

    if (clm_synthetic_create(&hp, type, &mf, &err) != CLM_OK) fail_msg("%s", err.text);
    const clm_tensor *embed = clm_model_file_weight(mf, CLM_W_EMBED, 0),
                     *down = clm_model_file_weight(mf, CLM_W_DOWN, 0),
                     *gate = clm_model_file_weight(mf, CLM_W_GATE, 0),
                     *up = clm_model_file_weight(mf, CLM_W_UP, 0),
                     *q = clm_model_file_weight(mf, CLM_W_Q, 0);
    const clm_stack all[] = {{.parts = {embed}, .n = 1},
                             {.parts = {down}, .n = 1},
                             {.parts = {gate, up}, .n = 2, .tiled = true},
                             {.parts = {embed, gate, q}, .n = 3}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int way = 0; way < 2; way++) check(dev, &all[i], way == 0);
    clm_model_file_close(mf);
}

/* Other columns, other rows in turn: not one matrix. */
static void test_impossible(void **state)
{
    (void)state;
    const clm_hparams hp = {.arch = "llama",
                            .name = "different",
                            .n_layers = 1,
                            .width = 64,
                            .n_heads = 2,
                            .ffn = 96,
                            .vocab = 32,
                            .ctx_train = 64,
                            .rms_eps = 1e-6f,
                            .position = CLM_POSITION_ALIBI};
    clm_model_file *mf;

    assert_int_equal(clm_synthetic_create(&hp, "q4_0", &mf, NULL), CLM_OK);
    const clm_tensor *down = clm_model_file_weight(mf, CLM_W_DOWN, 0),
                     *up = clm_model_file_weight(mf, CLM_W_UP, 0),
                     *q = clm_model_file_weight(mf, CLM_W_Q, 0);
    assert_false(clm_stack_possible(&(clm_stack){.parts = {down, up}, .n = 2}));
    assert_false(clm_stack_possible(&(clm_stack){.parts = {q, up}, .n = 2, .tiled = true}));
    assert_true(clm_stack_possible(&(clm_stack){.parts = {q, up}, .n = 2}));
    clm_model_file_close(mf);
}

static void test_ways(void **state)
{
    (void)state;
    clm_device_info *list;
    clm_device *dev;
    size_t count, index;
    clm_err err = {""};

    if (clm_device_list(&list, &count, &err) != CLM_OK ||
        clm_device_select(list, count, "auto", &index, NULL, &err) != CLM_OK ||
        clm_device_open(&list[index], NULL, &dev, &err) != CLM_OK)
        fail_msg("%s", err.text);
    check_type(dev, "q4_0", 70001);
    check_type(dev, "q4_1", 33333);
    check_type(dev, "q8_0", 40007);
    check_type(dev, "f16", 9001);
    clm_device_close(dev);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ways),
                                       cmocka_unit_test(test_impossible)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
