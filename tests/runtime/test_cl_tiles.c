/* test_cl_tiles.c: a model whose products of many tokens go through tiles gives the logits of the reference
 * backend but for the rounding to bfloat16; products of fewer tokens stay as they are.
 *
 * The backend is told that the device has tiles (AMX) or tensor cores (MMA); where it has none, the former
 * are emulated, and, where that is not possible, the kernels are built without the instructions. The columns
 * of the last product of a layer are more than one launch of AMX takes. Which kernels are planned is looked at too.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/formats/synthetic.h"
#include "runtime/model/backend_cl_impl.h"
#include "runtime/model/repack.h"
#include "runtime/model/transformer.h"
#include "runtime/ops/op_gemm.h"
#include "runtime/ops/op_gemm_amx.h"
#include "tests/ops/amx_emulator.h"

enum { TOKENS = 70, VOCAB = 203, FFN = CLM_GEMM_AMX_COLUMNS + 96 };

static const clm_hparams hparams = {.arch = "llama",
                                    .name = "tiles",
                                    .n_layers = 2,
                                    .width = 192,
                                    .n_heads = 2,
                                    .ffn = FFN,
                                    .vocab = VOCAB,
                                    .ctx_train = 128,
                                    .rms_eps = 1e-6f,
                                    .position = CLM_POSITION_ALIBI};

/* Logits of the first n tokens in one batch. */
static void run(clm_backend *b, const clm_model_file *mf, size_t batch, size_t n, clm_kv_type cache,
                float *logits)
{
    const clm_outputs want = {.logits = logits};
    const clm_share all = {b, clm_model_file_hparams(mf)->n_layers};
    int ids[TOKENS];
    clm_transformer *t;
    clm_err err = {""};

    for (int i = 0; i < TOKENS; i++) ids[i] = i * 37 % VOCAB;
    if (clm_transformer_create(&all, 1, mf, 128, batch, cache, NULL, &t, &err) != CLM_OK ||
        clm_transformer_run(t, 0, ids, n, 0, &want, &err) != CLM_OK)
        fail_msg("%s", err.text);
    clm_transformer_destroy(t);
}

/* ||a - b|| / ||b|| of the logits of n tokens. */
static double error_of(const float *a, const float *b, size_t n)
{
    double difference = 0.0, norm = 0.0;

    for (size_t i = 0; i < n * VOCAB; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / norm);
}

/* The capabilities are the device's own object, not a constant: a test may put words in its mouth. */
static void pretend(clm_backend_cl *b, clm_cl_tiles tiles)
{
    clm_caps *caps = (clm_caps *)clm_device_caps(b->dev);

    b->tiles = tiles;
    if (tiles == CLM_CL_TILES_AMX && caps->type == CLM_DEVICE_CPU && !clm_amx_native() &&
        clm_amx_emulator_install())
        caps->amx = true;
}

static size_t fewest(clm_cl_tiles tiles)
{
    const clm_backend_cl b = {.tiles = tiles};

    return clm__cl_tile_tokens(&b);
}

static bool quantised(const clm_model_file *mf)
{
    const clm_weight_layout l = clm_repack_layout(clm_model_file_weight(mf, CLM_W_O, 0));

    return clm_weight_quantised(l.format);
}

/* Floats everywhere but in products that tiles take. All kernels were built before they are launched. */
static double run_cl(const clm_model_file *mf, clm_cl_tiles tiles, size_t batch, size_t n,
                     clm_kv_type cache, const float *want)
{
    clm_device_info device;
    const clm_cl_options options = {
        .device = &device, .activations = CLM_ACT_F32, .tuning = CLM_TUNING_OFF};
    float *got = malloc(sizeof *got * TOKENS * VOCAB);
    clm_backend *b;
    clm_err err = {""};
    double error;

    assert_non_null(got);
    if (clm_device_find("auto", &device, &err) != CLM_OK ||
        clm_backend_cl_create(&options, NULL, &b, &err) != CLM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(((clm_backend_cl *)b)->tiles, CLM_CL_TILES_NONE); /* floats were asked for */
    pretend((clm_backend_cl *)b, tiles);
    run(b, mf, batch, n, cache, got);
    assert_int_equal(((clm_backend_cl *)b)->act_bf16 != NULL,
                     batch >= fewest(tiles) && quantised(mf));
    assert_int_equal(clm_cl_kernels_late(((clm_backend_cl *)b)->kernels), 0);
    error = error_of(got, want, n);
    b->ops->destroy(b);
    free(got);
    return error;
}

static void check_model(const char *name, const clm_model_file *mf, clm_cl_tiles tiles)
{
    float *want = malloc(sizeof *want * TOKENS * VOCAB);
    clm_backend *ref = NULL;
    clm_err err = {""};
    const size_t least = fewest(tiles), below = least - 1;
    unsigned long before, emulated;
    double many, enough, few, small;

    assert_non_null(want);
    if (clm_backend_ref_create(&ref, &err) != CLM_OK) fail_msg("%s", err.text);
    run(ref, mf, TOKENS, TOKENS, CLM_KV_F32, want);
    ref->ops->destroy(ref);
    before = clm_amx_emulated(CLM_AMX_DOT);
    many = run_cl(mf, tiles, TOKENS, TOKENS, CLM_KV_F32, want);
    enough = run_cl(mf, tiles, TOKENS, least, CLM_KV_F32, want);
    emulated = clm_amx_emulated(CLM_AMX_DOT) - before;
    few = run_cl(mf, tiles, TOKENS, below, CLM_KV_F32, want);
    small = run_cl(mf, tiles, below, below, CLM_KV_F32, want);
    free(want);
    printf("%s: %d tokens %.1e, %zu %.1e (%lu products of tiles emulated), %zu %.1e, in batches of "
           "%zu %.1e\n",
           name, TOKENS, many, least, enough, emulated, below, few, below, small);
    assert_int_equal(clm_amx_emulated(CLM_AMX_DOT), before + emulated); /* none for few tokens */
    /* bf16 keeps 8 bits: it was used, and nothing worse. MMA rounds scales and minima too. */
    assert_true(many < (tiles == CLM_CL_TILES_AMX ? 1e-2 : 2e-2) && many > 1e-4);
    assert_true(enough < (tiles == CLM_CL_TILES_AMX ? 1e-2 : 2e-2) && enough > 1e-4);
    assert_true(few < 1e-4 && small < 1e-4);
}

static void check_type(const char *type, clm_cl_tiles tiles)
{
    clm_model_file *mf;

    assert_int_equal(clm_synthetic_create(&hparams, type, &mf, NULL), CLM_OK);
    check_model(type, mf, tiles);
    clm_model_file_close(mf);
}

/* Models' tensors are objects of their own: a test may replace them. */
static clm_tensor *tensor_of(const clm_model_file *mf, clm_weight_role role, size_t layer)
{
    return (clm_tensor *)clm_model_file_weight(mf, role, layer);
}

/* Matrices that share an input, of which one does not go through tiles, or takes its columns in an order (here
 * their own); and that of a product alone. What is in front of them must write floats. */
static void exceptions(void **state)
{
    static uint32_t order[FFN];
    clm_model_file *mf, *floats;
    clm_tensor down;

    (void)state;
    assert_int_equal(clm_synthetic_create(&hparams, "q4_0", &mf, NULL), CLM_OK);
    assert_int_equal(clm_synthetic_create(&hparams, "f16", &floats, NULL), CLM_OK);
    for (uint32_t i = 0; i < FFN; i++) order[i] = i;
    *tensor_of(mf, CLM_W_K, 0) = *tensor_of(floats, CLM_W_K, 0);
    tensor_of(mf, CLM_W_UP, 0)->column_order = order;
    tensor_of(mf, CLM_W_V, 1)->column_order = order;
    *tensor_of(mf, CLM_W_GATE, 1) = *tensor_of(floats, CLM_W_GATE, 1);
    tensor_of(mf, CLM_W_DOWN, 0)->column_order = order;
    down = *tensor_of(mf, CLM_W_DOWN, 1);
    *tensor_of(mf, CLM_W_DOWN, 1) = *tensor_of(floats, CLM_W_DOWN, 1);
    check_model("exceptions", mf, CLM_CL_TILES_AMX);
    check_model("exceptions", mf, CLM_CL_TILES_MMA);
    *tensor_of(mf, CLM_W_DOWN, 1) = down; /* takes tiles, behind gate and up apart */
    check_model("gate and up apart", mf, CLM_CL_TILES_AMX);
    check_model("gate and up apart", mf, CLM_CL_TILES_MMA);
    clm_model_file_close(floats);
    clm_model_file_close(mf);
}

static void four_bits(void **state)
{
    (void)state;
    check_type("q4_0", CLM_CL_TILES_AMX);
    check_type("q4_1", CLM_CL_TILES_AMX);
    check_type("q4_0", CLM_CL_TILES_MMA);
    check_type("q4_1", CLM_CL_TILES_MMA);
}

static void eight_bits(void **state)
{
    (void)state;
    check_type("q8_0", CLM_CL_TILES_AMX);
    check_type("q8_0", CLM_CL_TILES_MMA);
}

/* No scales: such products never go through tiles, and then AMX is not for attention either. Tensor cores are, which round
 * queries and weights to f16 only, but for caches of float. */
static void floats(void **state)
{
    float *want = malloc(sizeof *want * TOKENS * VOCAB);
    clm_model_file *mf;
    clm_backend *ref;
    double plain, tensor_cores, amx;

    (void)state;
    assert_non_null(want);
    assert_int_equal(clm_synthetic_create(&hparams, "f16", &mf, NULL), CLM_OK);
    assert_int_equal(clm_backend_ref_create(&ref, NULL), CLM_OK);
    run(ref, mf, TOKENS, TOKENS, CLM_KV_F32, want);
    assert_true(run_cl(mf, CLM_CL_TILES_MMA, TOKENS, TOKENS, CLM_KV_F32, want) < 1e-4);
    run(ref, mf, TOKENS, TOKENS, CLM_KV_F16, want);
    plain = run_cl(mf, CLM_CL_TILES_NONE, TOKENS, TOKENS, CLM_KV_F16, want);
    tensor_cores = run_cl(mf, CLM_CL_TILES_MMA, TOKENS, TOKENS, CLM_KV_F16, want);
    amx = run_cl(mf, CLM_CL_TILES_AMX, TOKENS, TOKENS, CLM_KV_F16, want);
    ref->ops->destroy(ref);
    printf("attention over f16: %.1e, on tensor cores %.1e, where there is AMX %.1e\n", plain,
           tensor_cores, amx);
    assert_true(plain < 1e-4 && tensor_cores < 1e-3 && tensor_cores > 2.0 * plain);
    assert_true(amx == plain);
    clm_model_file_close(mf);
    free(want);
}

/* With caches that round, attention by AMX goes through tiles as well, and costs no more than products do. */
static void attention_by_amx(void **state)
{
    float *want = malloc(sizeof *want * TOKENS * VOCAB);
    unsigned long before, products, both;
    clm_model_file *mf;
    clm_backend *ref;
    double error;

    (void)state;
    assert_non_null(want);
    assert_int_equal(clm_synthetic_create(&hparams, "q8_0", &mf, NULL), CLM_OK);
    assert_int_equal(clm_backend_ref_create(&ref, NULL), CLM_OK);
    before = clm_amx_emulated(CLM_AMX_DOT);
    memset(want, 0, sizeof *want * TOKENS * VOCAB);
    run_cl(mf, CLM_CL_TILES_AMX, TOKENS, TOKENS, CLM_KV_F32, want); /* for their number alone */
    products = clm_amx_emulated(CLM_AMX_DOT) - before;
    run(ref, mf, TOKENS, TOKENS, CLM_KV_F16, want);
    ref->ops->destroy(ref);
    before = clm_amx_emulated(CLM_AMX_DOT);
    error = run_cl(mf, CLM_CL_TILES_AMX, TOKENS, TOKENS, CLM_KV_F16, want);
    both = clm_amx_emulated(CLM_AMX_DOT) - before;
    printf("q8_0, attention by AMX: %.1e (%lu products of tiles emulated, %lu without)\n", error,
           both, products);
    assert_true(error < 1e-2);
    assert_true(both > products || products == 0); /* 0: the processor has them */
    clm_model_file_close(mf);
    free(want);
}

/* Products that were planned: of tiles, of panels, and those of the head and of query, key and value as one. */
typedef struct planned {
    size_t least, tiles, panels, head, stacked;
} planned;

static void look(void *user, const clm_op_desc *op, const clm_shape *shape)
{
    const bool tiles = strcmp(op->name, "gemm_mma") == 0 || strcmp(op->name, "gemm_amx") == 0;
    const bool panels = strcmp(op->name, "gemm_q4") == 0;
    const size_t m = (size_t)shape->v[CLM_GEMM_M], n = (size_t)shape->v[CLM_GEMM_N];
    planned *p = user;

    if (!tiles && !panels) return;
    p->tiles += tiles;
    p->panels += panels;
    p->head += n == VOCAB;
    p->stacked += n == 3 * 192;
    assert_true(n != VOCAB || m <= CLM_LOGIT_ROWS); /* nobody wants more of its rows */
    assert_true(tiles ? m >= p->least : m < p->least);
}

/* What goes through tiles has no kernel of large panels, and matrices are planned as they are stacked. */
static void plans(void **state)
{
    const clm_part part = {.first = 0, .n = 2};
    const clm_kv_shape kv = {
        .n_heads = 2, .n_kv_heads = 2, .head_dim = 96, .ctx = 128, .type = CLM_KV_F16};

    (void)state;
    for (int tiles = CLM_CL_TILES_AMX; tiles <= CLM_CL_TILES_MMA; tiles++) {
        planned p = {.least = fewest((clm_cl_tiles)tiles)};
        clm_device_info device;
        const clm_cl_options options = {
            .device = &device, .activations = CLM_ACT_INT8, .tuning = CLM_TUNING_OFF};
        clm_model_file *mf;
        clm_backend *b;

        assert_int_equal(clm_device_find("auto", &device, NULL), CLM_OK);
        assert_int_equal(clm_synthetic_create(&hparams, "q4_0", &mf, NULL), CLM_OK);
        assert_int_equal(clm_backend_cl_create(&options, NULL, &b, NULL), CLM_OK);
        ((clm_backend_cl *)b)->tiles = (clm_cl_tiles)tiles;
        assert_int_equal(clm_backend_cl_plans(b, mf, &part, &kv, TOKENS, look, &p, NULL), CLM_OK);
        assert_true(p.tiles > 0 && p.panels > 0 && p.head > 0 && p.stacked > 0);
        b->ops->destroy(b);
        clm_model_file_close(mf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_bits),        cmocka_unit_test(eight_bits),
        cmocka_unit_test(exceptions),       cmocka_unit_test(floats),
        cmocka_unit_test(attention_by_amx), cmocka_unit_test(plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
