/* runtime/formats/synthetic.c: see synthetic.h. */
#include "runtime/formats/synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/model_file_impl.h"

static const struct {
    const char *name;
    clm_hparams hp;
} k_models[] = {
    {"13b",
     {.arch = "baichuan",
      .name = "synthetic Baichuan-13B",
      .n_layers = 40,
      .width = 5120,
      .n_heads = 40,
      .ffn = 13696,
      .vocab = 64000,
      .ctx_train = 4096,
      .rms_eps = 1e-6f,
      .position = CLM_POSITION_ALIBI}},
    {"7b",
     {.arch = "baichuan",
      .name = "synthetic Baichuan-7B",
      .n_layers = 32,
      .width = 4096,
      .n_heads = 32,
      .ffn = 11008,
      .vocab = 64000,
      .ctx_train = 4096,
      .rms_eps = 1e-6f,
      .position = CLM_POSITION_ROPE,
      .rope_base = 10000.0f}},
    {"llama13b",
     {.arch = "llama",
      .name = "synthetic LLaMA-13B",
      .n_layers = 40,
      .width = 5120,
      .n_heads = 40,
      .ffn = 13824,
      .vocab = 32000,
      .ctx_train = 4096,
      .rms_eps = 1e-5f,
      .position = CLM_POSITION_ROPE,
      .rope_base = 10000.0f}},
};

const clm_hparams *clm_synthetic_find(const char *name)
{
    for (size_t i = 0; i < sizeof k_models / sizeof *k_models; i++)
        if (strcmp(k_models[i].name, name) == 0) return &k_models[i].hp;
    return NULL;
}

const char *clm_synthetic_names(void)
{
    return "13b, 7b, llama13b";
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Blocks made at random; the rest repeats them. A prime, so that no row equals a near one. */
enum { PATTERN_BLOCKS = 65521 };

/* xorshift64*: any sequence does. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

/* Within -1..1. */
static float next_float(uint64_t *state)
{
    return (float)((double)(next_random(state) >> 11) * 0x1p-52 - 1.0);
}

static void put_half(uint8_t *at, float value)
{
    const uint16_t h = clm_float_to_half(value);
    memcpy(at, &h, sizeof h);
}

/* How blocks of one type are made: mean and standard deviation of their values when the bytes behind
 * scale and minimum are random, the scale 1 and the minimum 0. */
typedef struct recipe {
    const clm_qtype_info *info;
    const clm_qtype_split *split; /* NULL: elements are floats */
    double mean, deviation;
} recipe;

static void random_bytes(uint64_t *state, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(next_random(state) >> 56);
}

/* False for types whose block is more than one group with its scale (and minimum) in front. */
static bool find_recipe(const clm_qtype_info *info, recipe *r)
{
    enum { BLOCKS = 256, MAX_ELEMS = 64, MAX_BYTES = 128 };
    float values[MAX_ELEMS];
    uint8_t block[MAX_BYTES];
    double sum = 0.0, squares = 0.0;
    uint64_t state = 1;

    *r = (recipe){.info = info, .split = clm_qtype_split_get(info->type)};
    if (r->split == NULL) return true;
    if (r->split->group != info->block_elems || info->block_elems > MAX_ELEMS ||
        info->block_bytes > MAX_BYTES)
        return false;
    for (size_t i = 0; i < BLOCKS; i++) {
        random_bytes(&state, block, info->block_bytes);
        put_half(block, 1.0f);
        if (r->split->has_min) put_half(block + 2, 0.0f);
        clm_qtype_dequantize(info->type, block, info->block_elems, values);
        for (size_t j = 0; j < info->block_elems; j++) {
            sum += (double)values[j];
            squares += (double)values[j] * (double)values[j];
        }
    }
    r->mean = sum / (double)(BLOCKS * info->block_elems);
    r->deviation = sqrt(squares / (double)(BLOCKS * info->block_elems) - r->mean * r->mean);
    return true;
}

/* One block whose values have the standard deviation `sigma`; integers are uniform, scales vary by a
 * quarter and have both signs. */
static void make_block(const recipe *r, float sigma, uint64_t *state, uint8_t *block)
{
    const float value = sigma * sqrtf(3.0f) * next_float(state);
    float scale;
    uint32_t bits;

    if (r->split != NULL) {
        random_bytes(state, block, r->info->block_bytes);
        scale = sigma / (float)r->deviation * (1.0f + 0.25f * next_float(state));
        if (next_random(state) >> 63 != 0) scale = -scale;
        put_half(block, scale);
        if (r->split->has_min) put_half(block + 2, -scale * (float)r->mean);
    } else if (r->info->type == CLM_QTYPE_F32) {
        memcpy(block, &value, sizeof value);
    } else if (r->info->type == CLM_QTYPE_F16) {
        put_half(block, value);
    } else {
        memcpy(&bits, &value, sizeof bits);
        memcpy(block, (const uint16_t[]){(uint16_t)(bits >> 16)}, sizeof(uint16_t));
    }
}

/* Fills mf->made with `blocks` blocks. */
static clm_status make_values(clm_model_file *mf, const clm_qtype_info *info, size_t blocks,
                              clm_err *err)
{
    const size_t bytes = blocks * info->block_bytes;
    const size_t fresh = blocks < PATTERN_BLOCKS ? blocks : PATTERN_BLOCKS;
    const float sigma = 1.0f / sqrtf((float)mf->hparams.width);
    uint64_t state = 20240817;
    recipe r;

    if (!find_recipe(info, &r))
        return clm_fail(err, CLM_E_USAGE,
                        "random weights of type %s cannot be made; q4_0, q4_1, q8_0 and f16 can",
                        info->name);
    mf->made = malloc(bytes);
    if (mf->made == NULL)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory for %zu MB of weights", mf->path,
                        bytes / 1000000);
    for (size_t i = 0; i < fresh; i++)
        make_block(&r, sigma, &state, mf->made + i * info->block_bytes);
    for (size_t have = fresh * info->block_bytes; have < bytes;) {
        const size_t more = bytes - have < have ? bytes - have : have;
        memcpy(mf->made + have, mf->made, more);
        have += more;
    }
    return CLM_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

enum { NAME_BYTES = 32, N_ROLES = CLM_W_DOWN + 1 };

static const char *const k_names[N_ROLES] = {
    [CLM_W_EMBED] = "embedding",
    [CLM_W_OUT_NORM] = "output norm",
    [CLM_W_HEAD] = "head",
    [CLM_W_ATTN_NORM] = "attention norm",
    [CLM_W_Q] = "query",
    [CLM_W_K] = "key",
    [CLM_W_V] = "value",
    [CLM_W_O] = "attention output",
    [CLM_W_FFN_NORM] = "ffn norm",
    [CLM_W_GATE] = "gate",
    [CLM_W_UP] = "up",
    [CLM_W_DOWN] = "down",
};

/* Blocks of the largest matrix; 0 when a row is no whole number of them. */
static size_t largest_matrix(const clm_hparams *hp, const clm_qtype_info *info)
{
    const size_t rows = hp->ffn > hp->vocab ? hp->ffn : hp->vocab;
    const size_t heads = hp->n_heads * hp->head_dim;
    const size_t wide = rows * hp->width, high = hp->width * (hp->ffn > heads ? hp->ffn : heads);

    if (hp->width % info->block_elems != 0 || hp->ffn % info->block_elems != 0 ||
        heads % info->block_elems != 0)
        return 0;
    return (wide > high ? wide : high) / info->block_elems;
}

static clm_status add_tensor(clm_model_file *mf, const clm_qtype_info *info, size_t blocks,
                             clm_weight_role role, size_t layer, clm_err *err)
{
    const size_t at = mf->n_tensors++;
    clm_tensor *t = &mf->tensors[at];
    char *name = mf->tensor_names + at * NAME_BYTES;
    size_t used, first;

    snprintf(name, NAME_BYTES, "%zu %s", layer, k_names[role]);
    t->name = name;
    clm__model_weight_shape(&mf->hparams, role, &t->rows, &t->cols);
    if (role == CLM_W_OUT_NORM || role == CLM_W_ATTN_NORM || role == CLM_W_FFN_NORM) {
        t->type = CLM_QTYPE_F32;
        t->data = (const uint8_t *)mf->ones;
        t->bytes = t->cols * sizeof(float);
    } else {
        t->type = info->type;
        t->bytes = clm_qtype_bytes(info->type, t->rows * t->cols);
        used = t->bytes / info->block_bytes;
        first = blocks > used ? at * 7919 % (blocks - used) : 0;
        t->data = mf->made + first * info->block_bytes;
    }
    return clm__model_set_weight(mf, role, layer, t, err);
}

static clm_status add_tensors(clm_model_file *mf, const clm_qtype_info *info, size_t blocks,
                              clm_err *err)
{
    const size_t n_layers = mf->hparams.n_layers, n = CLM_W_ATTN_NORM + n_layers * N_ROLES;
    clm_status st = clm__model_alloc_weights(mf, err);

    if (st != CLM_OK) return st;
    mf->tensors = calloc(n, sizeof *mf->tensors);
    mf->tensor_names = calloc(n, NAME_BYTES);
    mf->ones = malloc(mf->hparams.width * sizeof *mf->ones);
    if (mf->tensors == NULL || mf->tensor_names == NULL || mf->ones == NULL)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    for (size_t i = 0; i < mf->hparams.width; i++) mf->ones[i] = 1.0f;

    for (int role = 0; role < CLM_W_ATTN_NORM && st == CLM_OK; role++)
        st = add_tensor(mf, info, blocks, (clm_weight_role)role, 0, err);
    for (size_t layer = 0; layer < n_layers; layer++)
        for (int role = CLM_W_ATTN_NORM; role < N_ROLES && st == CLM_OK; role++)
            st = add_tensor(mf, info, blocks, (clm_weight_role)role, layer, err);
    return st;
}

clm_status clm_synthetic_create(const clm_hparams *hp, const char *type, clm_model_file **out,
                                clm_err *err)
{
    const clm_qtype_info *info = clm_qtype_info_find(type);
    clm_model_file *mf = NULL;
    size_t blocks;
    clm_status st;

    *out = NULL;
    if (info == NULL)
        return clm_fail(err, CLM_E_USAGE,
                        "there is no weight type '%s'; q4_0, q8_0 and f16 are some", type);
    mf = calloc(1, sizeof *mf);
    if (mf == NULL || (mf->path = strdup(hp->name)) == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", hp->name);
        goto out;
    }
    mf->hparams = *hp;
    mf->vocab = (clm_vocab){.bos = -1, .eos = -1, .unk = -1, .pad = -1};
    snprintf(mf->format, sizeof mf->format, "synthetic");
    st = clm__model_check_hparams(mf, true, err);
    if (st != CLM_OK) goto out;
    blocks = largest_matrix(&mf->hparams, info);
    if (blocks == 0) {
        st = clm_fail(err, CLM_E_USAGE, "%s: rows are no whole number of %s blocks of %zu",
                      hp->name, info->name, info->block_elems);
        goto out;
    }
    st = make_values(mf, info, blocks, err);
    if (st == CLM_OK) st = add_tensors(mf, info, blocks, err);
    if (st != CLM_OK) goto out;
    *out = mf;
    mf = NULL;
out:
    clm_model_file_close(mf);
    return st;
}
