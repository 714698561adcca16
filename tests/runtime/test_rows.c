/* test_rows.c: tokens of several sequences that are computed together have the logits that each sequence has
 * alone, on the reference backend and on every OpenCL device: ALiBi and rotary positions, shared key-value
 * heads, each type of cache, sequences of different lengths, one that ends before the others.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "host/device.h"
#include "runtime/formats/synthetic.h"
#include "runtime/model/transformer.h"

enum { VOCAB = 203, CTX = 96, SEQS = 3, STEPS = 5, LEAVES_AFTER = 3 };

/* Tokens of each sequence: it begins with a prompt, and its last STEPS ones are computed with the others. */
static const size_t lengths[SEQS] = {STEPS + 1, 71, 33};

static const clm_hparams models[] = {
    {.arch = "llama",
     .name = "alibi",
     .n_layers = 3,
     .width = 96,
     .n_heads = 3,
     .ffn = 160,
     .vocab = VOCAB,
     .ctx_train = CTX,
     .rms_eps = 1e-6f,
     .position = CLM_POSITION_ALIBI},
    {.arch = "llama",
     .name = "rotary",
     .n_layers = 3,
     .width = 128,
     .n_heads = 4,
     .n_kv_heads = 2,
     .ffn = 160,
     .vocab = VOCAB,
     .ctx_train = CTX,
     .rms_eps = 1e-6f,
     .position = CLM_POSITION_ROPE,
     .rope_dims = 32,
     .rope_base = 10000.0f},
};

static int id_of(size_t seq, size_t pos)
{
    return (int)((pos * 37 + seq * 101 + 5) % VOCAB);
}

static void prompt(clm_transformer *t, size_t seq, size_t at, size_t n, float *logits)
{
    const clm_outputs want = {.logits = logits};
    int ids[CTX];
    clm_err err;

    for (size_t i = 0; i < n; i++) ids[i] = id_of(seq, i);
    if (clm_transformer_run(t, at, ids, n, 0, &want, &err) != CLM_OK) fail_msg("%s", err.text);
}

/* Each sequence alone: logits of its last STEPS tokens, [SEQS][STEPS][VOCAB]. */
static void expect(const clm_model_file *mf, clm_kv_type cache, float *want)
{
    float *of_all = malloc(sizeof *of_all * CTX * VOCAB);
    clm_share all = {NULL, clm_model_file_hparams(mf)->n_layers};
    clm_transformer *t;
    clm_err err;

    assert_non_null(of_all);
    if (clm_backend_ref_create(&all.backend, &err) != CLM_OK ||
        clm_transformer_create(&all, 1, mf, CTX, CTX, cache, NULL, &t, &err) != CLM_OK)
        fail_msg("%s", err.text);
    for (size_t s = 0; s < SEQS; s++) {
        prompt(t, s, 0, lengths[s], of_all);
        for (size_t i = 0; i < (size_t)STEPS * VOCAB; i++)
            want[s * STEPS * VOCAB + i] = of_all[(lengths[s] - STEPS) * VOCAB + i];
    }
    clm_transformer_destroy(t);
    all.backend->ops->destroy(all.backend);
    free(of_all);
}

/* ||a - b|| / ||b|| of one token's logits. */
static double error_of(const float *a, const float *b)
{
    double difference = 0.0, norm = 0.0;

    for (size_t i = 0; i < VOCAB; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / norm);
}

/* The largest error of the same tokens together. Sequence 1 is the first row and leaves early. */
static double run(clm_backend *b, const clm_model_file *mf, clm_kv_type cache, const float *want)
{
    static const size_t order[SEQS] = {1, 0, 2};
    const clm_share all = {b, clm_model_file_hparams(mf)->n_layers};
    float *got = malloc(sizeof *got * CTX * VOCAB);
    double worst = 0.0;
    clm_transformer *t;
    clm_err err;

    assert_non_null(got);
    if (clm_transformer_create(&all, 1, mf, CTX, CTX, cache, NULL, &t, &err) != CLM_OK)
        fail_msg("%s", err.text);
    for (size_t s = 1; s < SEQS; s++)
        if (clm_transformer_add_sequence(t, &err) != CLM_OK) fail_msg("%s", err.text);
    for (size_t s = 0; s < SEQS; s++) prompt(t, s, s, lengths[s] - STEPS, got);
    for (size_t step = 0; step < STEPS; step++) {
        clm_row rows[SEQS];
        size_t n = 0;

        for (size_t i = 0; i < SEQS; i++) {
            const size_t s = order[i], pos = lengths[s] - STEPS + step;

            if (s == 1 && step >= LEAVES_AFTER) continue;
            rows[n++] = (clm_row){.seq = s, .pos = pos, .id = id_of(s, pos)};
        }
        if (clm_transformer_run_rows(t, rows, n, got, &err) != CLM_OK) fail_msg("%s", err.text);
        for (size_t i = 0; i < n; i++)
            worst =
                fmax(worst, error_of(got + i * VOCAB, want + (rows[i].seq * STEPS + step) * VOCAB));
    }
    clm_transformer_destroy(t);
    free(got);
    return worst;
}

static double run_on(const clm_device_info *device, clm_activations activations,
                     const clm_model_file *mf, clm_kv_type cache, const float *want)
{
    const clm_cl_options options = {
        .device = device, .activations = activations, .tuning = CLM_TUNING_OFF};
    clm_backend *b;
    clm_err err;
    double worst;

    if (clm_backend_cl_create(&options, NULL, &b, &err) != CLM_OK) fail_msg("%s", err.text);
    worst = run(b, mf, cache, want);
    b->ops->destroy(b);
    return worst;
}

static void check(const clm_hparams *hp, const char *type, clm_kv_type cache)
{
    static const char *const cache_names[] = {"f32", "f16", "int8"};
    /* Rounding keys and values to 8 bits is not the same where a sum before it was in another order. */
    const double bound = cache == CLM_KV_INT8 ? 2e-2 : cache == CLM_KV_F16 ? 1e-3 : 1e-5;
    float *want = malloc(sizeof *want * SEQS * STEPS * VOCAB);
    clm_device_info *list = NULL;
    size_t n = 0;
    clm_model_file *mf;
    clm_backend *b;
    clm_err err;
    double worst;

    assert_non_null(want);
    if (clm_synthetic_create(hp, type, &mf, &err) != CLM_OK ||
        clm_backend_ref_create(&b, &err) != CLM_OK || clm_device_list(&list, &n, &err) != CLM_OK)
        fail_msg("%s", err.text);
    expect(mf, cache, want);
    worst = run(b, mf, cache, want);
    b->ops->destroy(b);
    printf("%s %s, %s cache: ref %.1e", hp->name, type, cache_names[cache], worst);
    assert_true(worst == 0.0); /* the same sums in the same order */
    for (size_t i = 0; i < n; i++) {
        worst = run_on(&list[i], CLM_ACT_F32, mf, cache, want);
        printf(", device %zu %.1e", i, worst);
        assert_true(worst < bound);
        /* Activations of 8 bits, in panels: where what rounds them and what multiplies differ about these,
         * nothing is right. */
        worst = run_on(&list[i], CLM_ACT_INT8, mf, cache, want);
        printf(" (int8 %.1e)", worst);
        assert_true(worst < 0.1);
    }
    printf("\n");
    free(list);
    clm_model_file_close(mf);
    free(want);
}

static void alibi(void **state)
{
    (void)state;
    check(&models[0], "f16", CLM_KV_F32);
    check(&models[0], "q4_0", CLM_KV_F16);
    check(&models[0], "q4_0", CLM_KV_INT8);
}

static void rotary(void **state)
{
    (void)state;
    check(&models[1], "f16", CLM_KV_F32);
    check(&models[1], "q8_0", CLM_KV_F16);
    check(&models[1], "q8_0", CLM_KV_INT8);
}

static void what_does_not_exist_is_refused(void **state)
{
    const clm_row rows[] = {{.seq = 0, .pos = 0, .id = 1}, {.seq = 1, .pos = 0, .id = 1}},
                  late = {.seq = 0, .pos = CTX, .id = 1}, strange = {.seq = 0, .id = VOCAB};
    float logits[2 * VOCAB];
    clm_share all = {NULL, models[0].n_layers};
    clm_model_file *mf;
    clm_transformer *t;
    clm_err err;

    (void)state;
    if (clm_synthetic_create(&models[0], "f16", &mf, &err) != CLM_OK ||
        clm_backend_ref_create(&all.backend, &err) != CLM_OK ||
        clm_transformer_create(&all, 1, mf, CTX, CTX, CLM_KV_F32, NULL, &t, &err) != CLM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(clm_transformer_run_rows(t, rows, 2, logits, &err), CLM_E_INTERNAL);
    assert_int_equal(clm_transformer_run_rows(t, &late, 1, logits, &err), CLM_E_INTERNAL);
    assert_int_equal(clm_transformer_run_rows(t, &strange, 1, logits, &err), CLM_E_USAGE);
    assert_int_equal(clm_transformer_run_rows(t, rows, 1, logits, &err), CLM_OK);
    clm_transformer_destroy(t);
    all.backend->ops->destroy(all.backend);
    clm_model_file_close(mf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(alibi), cmocka_unit_test(rotary),
                                       cmocka_unit_test(what_does_not_exist_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
