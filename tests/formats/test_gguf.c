/* test_gguf.c: sound GGUF files open with what their authors wrote down; damaged ones are refused
 * with a sentence, whatever the damage: the files of golden/bad, every prefix of a sound file, and
 * every byte of its header changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/file.h"
#include "runtime/formats/gguf.h"
#include "runtime/formats/model_file.h"

#if defined(__SANITIZE_ADDRESS__)
#define CLM_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CLM_UNDER_ASAN 1
#endif
#endif

/* Skips loudly: a test that does not run must be seen. */
static void need_golden(void)
{
    if (clm_file_exists(CLM_GOLDEN "/bad/base.gguf")) return;
    fprintf(stderr, "GOLDEN FILES ABSENT: %s: GGUF tests are skipped\n", CLM_GOLDEN);
    skip();
}

/* ---- Sound files --------------------------------------------------------------------------- */

typedef struct clm_expected {
    const char *file, *arch;
    size_t n_layers, width, n_heads, n_kv_heads, ffn, vocab, n_tensors;
    clm_position position;
    clm_qtype q_type; /* of blk.0.attn_q */
} clm_expected;

static const clm_expected clm_golden[] = {
    {"baichuan13b-tiny-f16", "baichuan", 40, 96, 6, 6, 256, 4096, 363, CLM_POSITION_ALIBI,
     CLM_QTYPE_F16},
    {"baichuan13b-tiny-q8_0", "baichuan", 40, 96, 6, 6, 256, 4096, 363, CLM_POSITION_ALIBI,
     CLM_QTYPE_Q8_0},
    {"baichuan13b-tiny-q4_0", "baichuan", 40, 96, 6, 6, 256, 4096, 363, CLM_POSITION_ALIBI,
     CLM_QTYPE_Q4_0},
    {"baichuan7b-tiny-q8_0", "baichuan", 32, 96, 6, 6, 256, 4096, 291, CLM_POSITION_ROPE,
     CLM_QTYPE_Q8_0},
    {"llama-tiny-q4_k_m", "llama", 4, 256, 8, 2, 512, 4096, 39, CLM_POSITION_ROPE, CLM_QTYPE_Q4_K},
    {"llama-tiny-q6_k", "llama", 4, 256, 8, 2, 512, 4096, 39, CLM_POSITION_ROPE, CLM_QTYPE_Q6_K},
    {"llama-tiny-q4_1", "llama", 4, 256, 8, 2, 512, 4096, 39, CLM_POSITION_ROPE, CLM_QTYPE_Q4_1},
    {"llama-tiny-q5_1", "llama", 4, 256, 8, 2, 512, 4096, 39, CLM_POSITION_ROPE, CLM_QTYPE_Q5_1},
    {"bad/base", "llama", 1, 32, 2, 2, 64, 288, 12, CLM_POSITION_ROPE, CLM_QTYPE_Q4_0},
};

static void check_weights(const clm_model_file *mf, const clm_hparams *hp)
{
    size_t count;
    const clm_tensor *all = clm_model_file_tensors(mf, &count);

    for (int role = CLM_W_EMBED; role <= CLM_W_DOWN; role++) {
        const clm_tensor *t = clm_model_file_weight(mf, (clm_weight_role)role, hp->n_layers - 1);

        assert_non_null(t);
        assert_true(t >= all && t < all + count);
        assert_int_equal(t->bytes, clm_qtype_bytes(t->type, t->rows * t->cols));
    }
    assert_null(clm_model_file_weight(mf, CLM_W_Q, hp->n_layers));
    assert_string_equal(clm_model_file_weight(mf, CLM_W_EMBED, 0)->name, "token_embd.weight");
    assert_string_equal(clm_model_file_weight(mf, CLM_W_OUT_NORM, 0)->name, "output_norm.weight");
    assert_string_equal(clm_model_file_weight(mf, CLM_W_HEAD, 7)->name, "output.weight");
    assert_string_equal(clm_model_file_weight(mf, CLM_W_O, 0)->name, "blk.0.attn_output.weight");
    assert_string_equal(clm_model_file_weight(mf, CLM_W_DOWN, 0)->name, "blk.0.ffn_down.weight");
    const clm_tensor *k = clm_model_file_weight(mf, CLM_W_K, 0);
    assert_int_equal(k->rows, hp->n_kv_heads * hp->head_dim);
    assert_int_equal(k->cols, hp->width);
}

static void check_golden(const clm_expected *e)
{
    char path[512];
    clm_err err;
    clm_model_file *mf;
    size_t count;

    snprintf(path, sizeof path, "%s/%s.gguf", CLM_GOLDEN, e->file);
    if (clm_model_file_open(path, &mf, &err) != CLM_OK) fail_msg("%s", err.text);
    const clm_hparams *hp = clm_model_file_hparams(mf);
    assert_string_equal(clm_model_file_path(mf), path);
    assert_string_equal(clm_model_file_format(mf), "GGUF v3");
    assert_null(clm_model_file_warning(mf));
    assert_true(clm_model_file_has_weights(mf));
    assert_string_equal(hp->arch, e->arch);
    assert_int_equal(hp->n_layers, e->n_layers);
    assert_int_equal(hp->width, e->width);
    assert_int_equal(hp->n_heads, e->n_heads);
    assert_int_equal(hp->n_kv_heads, e->n_kv_heads);
    assert_int_equal(hp->head_dim, e->width / e->n_heads);
    assert_int_equal(hp->ffn, e->ffn);
    assert_int_equal(hp->vocab, e->vocab);
    assert_int_equal(hp->position, e->position);
    assert_int_equal(hp->rope_dims, e->position == CLM_POSITION_ROPE ? hp->head_dim : 0);
    assert_true(hp->rope_base == (e->position == CLM_POSITION_ROPE ? 10000.0f : 0.0f));
    assert_true(hp->rms_eps == 1e-6f);
    assert_false(hp->tied_head);
    clm_model_file_tensors(mf, &count);
    assert_int_equal(count, e->n_tensors);
    check_weights(mf, hp);
    assert_int_equal(clm_model_file_weight(mf, CLM_W_Q, 0)->type, e->q_type);

    const clm_vocab *v = clm_model_file_vocab(mf);
    assert_string_equal(v->model_name, "llama");
    assert_int_equal(v->n_pieces, e->vocab);
    assert_true(v->add_space_prefix && !v->add_eos);
    assert_int_equal(v->add_bos, strcmp(e->arch, "llama") == 0);
    assert_true(v->bos == 1 && v->eos == 2 && v->unk == 0 && v->pad == -1);
    clm_model_file_close(mf);
}

static void test_golden(void **state)
{
    (void)state;
    need_golden();
    for (size_t i = 0; i < sizeof clm_golden / sizeof clm_golden[0]; i++)
        check_golden(&clm_golden[i]);
}

/* The bytes of a tensor where its name says: the first embedding row of a file whose layout is
 * known (offset 7680, from the `gguf` package's reader). */
static void test_data(void **state)
{
    (void)state;
    need_golden();
    clm_map map;
    clm_err err;
    clm_model_file *mf;

    assert_int_equal(clm_map_open(CLM_GOLDEN "/bad/base.gguf", &map, &err), CLM_OK);
    assert_int_equal(clm_model_file_open(CLM_GOLDEN "/bad/base.gguf", &mf, &err), CLM_OK);
    const clm_tensor *t = clm_model_file_weight(mf, CLM_W_EMBED, 0);
    assert_int_equal(t->bytes, 288 * 18);
    assert_memory_equal(t->data, map.data + 7680, t->bytes);
    t = clm_model_file_weight(mf, CLM_W_HEAD, 0);
    assert_memory_equal(t->data, map.data + 19008, t->bytes);
    clm_model_file_close(mf);
    clm_map_close(&map);
}

static void test_vocabulary_only(void **state)
{
    (void)state;
    need_golden();
    clm_err err;
    clm_model_file *mf;
    size_t count;

    if (clm_model_file_open(CLM_GOLDEN "/vocab-baichuan.gguf", &mf, &err) != CLM_OK)
        fail_msg("%s", err.text);
    const clm_hparams *hp = clm_model_file_hparams(mf);
    const clm_vocab *v = clm_model_file_vocab(mf);
    assert_false(clm_model_file_has_weights(mf));
    assert_null(clm_model_file_weight(mf, CLM_W_EMBED, 0));
    clm_model_file_tensors(mf, &count);
    assert_int_equal(count, 0);
    assert_string_equal(hp->name, "Baichuan-7B");
    assert_int_equal(hp->vocab, 64000);
    assert_int_equal(hp->width, 4096);
    assert_int_equal(hp->n_layers, 32);
    assert_int_equal(v->n_pieces, 64000);
    assert_int_equal(v->pad, 0);
    assert_string_equal(v->pieces[0].text, "<unk>");
    assert_int_equal(v->pieces[0].type, CLM_PIECE_UNKNOWN);
    assert_int_equal(v->pieces[2].type, CLM_PIECE_CONTROL);
    assert_string_equal(v->pieces[195].text, "<reserved_102>");
    size_t bytes = 0;
    for (size_t i = 0; i < v->n_pieces; i++) {
        assert_int_equal(strlen(v->pieces[i].text), v->pieces[i].size);
        bytes += v->pieces[i].size;
    }
    assert_true(bytes > 64000);
    clm_model_file_close(mf);
}

/* ---- Damaged files ------------------------------------------------------------------------- */

/* Opens a file that may be damaged in any way: either it opens, or there is a sentence that begins
 * with its name. */
static clm_status open_any(const char *path, clm_err *err)
{
    clm_model_file *mf = (clm_model_file *)path; /* must be overwritten */
    clm_status st = clm_model_file_open(path, &mf, err);

    if (st == CLM_OK) {
        assert_non_null(mf);
        clm_model_file_close(mf);
        return st;
    }
    assert_null(mf);
    if (st != CLM_E_MODEL) fail_msg("%s: status %d: %s", path, (int)st, err->text);
    assert_memory_equal(err->text, path, strlen(path));
    assert_memory_equal(err->text + strlen(path), ": ", 2);
    assert_true(strlen(err->text) > strlen(path) + 10);
    assert_null(strchr(err->text, '\n'));
    return st;
}

/* Parts of the sentences, so that a file is not refused for the wrong reason. */
static const struct {
    const char *file, *text;
} clm_reasons[] = {
    {"empty", "empty"},
    {"magic", "not a GGUF file"},
    {"magic-ggml", "older GGML"},
    {"version-99", "version 99"},
    {"big-endian", "big-endian"},
    {"kv-count-huge", "9223372036854775808 keys"},
    {"tensor-count-huge", "tensors are declared"},
    {"string-huge", "ends inside key"},
    {"array-huge", "ends inside key"},
    {"array-strings-huge", "ends inside key"},
    {"array-nested", "array of arrays"},
    {"kv-type-unknown", "value type 99"},
    {"array-type-unknown", "value type 77"},
    {"key-duplicate", "'llama.block_count' occurs twice"},
    {"kv-wrong-type", "'llama.block_count' must be a whole number but is a string"},
    {"kv-missing-heads", "'llama.attention.head_count' is missing"},
    {"kv-missing-architecture", "'general.architecture' is missing"},
    {"architecture-unknown", "'walrus' is not supported"},
    {"architecture-format-string", "'%s%s%n%x' is not supported"},
    {"heads-zero", "head_count' is 0"},
    {"heads-indivisible", "5 heads do not divide the width 32"},
    {"kv-heads-indivisible", "3 key/value heads"},
    {"blocks-huge", "number of layers is 2147483648"},
    {"blocks-two", "'blk.1.attn_norm.weight' is missing"},
    {"epsilon-nan", "not a finite number"},
    {"epsilon-negative", "epsilon of the norms is -1"},
    {"alignment-zero", "general.alignment is 0"},
    {"alignment-odd", "general.alignment is 24"},
    {"offset-out-of-range", "'output.weight' (5184 bytes at 1073741824) reaches beyond"},
    {"offset-end", "'output.weight' (5184 bytes at 16480) reaches beyond"},
    {"offset-wrap", "'output.weight' (5184 bytes at 18446744073709551584) reaches beyond"},
    {"offset-unaligned", "not a multiple of the alignment 32"},
    {"dims-overflow", "dimension 1 is 8589934592"},
    {"dims-overflow-bytes", "is impossible"},
    {"dims-zero", "dimension 1 is 0"},
    {"dims-negative", "dimension 1 is 18446744073709551615"},
    {"ndims-huge", "4294967295 dimensions"},
    {"ndims-5", "5 dimensions"},
    {"ndims-0", "'blk.0.attn_norm.weight' has 0 dimensions"},
    {"type-unknown", "type 999"},
    {"type-removed", "(Q4_2)"},
    {"type-row", "not whole Q4_K blocks"},
    {"type-integer", "(I8)"},
    {"tensor-duplicate", "'blk.0.attn_k.weight' occurs twice"},
    {"tensor-missing", "'blk.0.ffn_down.weight' is missing"},
    {"shape-transposed", "'blk.0.ffn_up.weight' is 32 x 64 (rows x columns), but must be 64 x 32"},
    {"shape-norm", "'blk.0.attn_norm.weight' is 1 x 16"},
    {"name-not-utf8", "not printable"},
    {"name-nul", "not printable"},
    {"name-long", "5000 bytes"},
    {"tokens-fewer", "288 items for 200 tokens"},
    {"scores-fewer", "10 items for 288 tokens"},
    {"tokens-not-array", "must be an array"},
    {"tokens-ints", "must be a string"},
};

static void check_reason(const char *name, const char *text)
{
    for (size_t i = 0; i < sizeof clm_reasons / sizeof clm_reasons[0]; i++) {
        if (strcmp(clm_reasons[i].file, name) == 0 && strstr(text, clm_reasons[i].text) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", text, clm_reasons[i].text);
        }
    }
}

/* No file of golden/bad may make the program ask for more than a little memory. Sanitizers need
 * address space of their own, and refuse absurd requests by themselves. */
static void limit_memory(struct rlimit *old)
{
    getrlimit(RLIMIT_AS, old);
#ifndef CLM_UNDER_ASAN
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f == NULL) return;
    if (fscanf(f, "%lu", &pages) == 1) {
        struct rlimit now = *old;
        now.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (8u << 20);
        setrlimit(RLIMIT_AS, &now);
    }
    fclose(f);
#endif
}

/* The list of files and of what they must do is bad/README.md's. */
static void test_bad(void **state)
{
    (void)state;
    need_golden();
    char *readme;
    size_t size, files = 0, refused = 0;
    clm_err err;
    struct rlimit old;

    assert_int_equal(clm_file_read(CLM_GOLDEN "/bad/README.md", 1 << 20, &readme, &size, &err),
                     CLM_OK);
    limit_memory(&old);
    for (char *line = strtok(readme, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char name[64], expect[16], path[512];

        if (sscanf(line, "| `gguf/%63[^.`].gguf` | %15s |", name, expect) != 2) continue;
        snprintf(path, sizeof path, "%s/bad/gguf/%s.gguf", CLM_GOLDEN, name);
        const clm_status st = open_any(path, &err);
        if (strcmp(expect, "refuse") == 0) {
            refused++;
            if (st == CLM_OK) fail_msg("%s opens", path);
            check_reason(name, err.text);
        }
        files++;
    }
    setrlimit(RLIMIT_AS, &old);
    free(readme);
    assert_int_equal(files, 76);
    assert_true(refused >= 60);
}

static void test_out_of_range_id(void **state)
{
    (void)state;
    need_golden();
    clm_err err;
    clm_model_file *mf;

    assert_int_equal(clm_model_file_open(CLM_GOLDEN "/bad/gguf/eos-out-of-range.gguf", &mf, &err),
                     CLM_OK);
    assert_int_equal(clm_model_file_vocab(mf)->eos, -1);
    assert_int_equal(clm_model_file_vocab(mf)->bos, 1);
    assert_non_null(clm_model_file_warning(mf));
    assert_non_null(strstr(clm_model_file_warning(mf), "tokenizer.ggml.eos_token_id"));
    clm_model_file_close(mf);
}

static void test_no_file(void **state)
{
    (void)state;
    clm_err err;

    assert_int_equal(open_any(CLM_TEST_DATA "/no-such-file.gguf", &err), CLM_E_MODEL);
    assert_int_equal(open_any(CLM_TEST_DATA, &err), CLM_E_MODEL);
    assert_non_null(strstr(err.text, "is a folder without config.json"));
    assert_int_equal(open_any(CLM_TEST_DATA "/qtype_cases.bin", &err), CLM_E_MODEL);
    clm_model_file_close(NULL);
    clm_gguf_destroy(NULL);
}

/* ---- Every prefix, every byte -------------------------------------------------------------- */

enum { DATA_START = 7680 }; /* of base.gguf */

/* A copy of base.gguf that can be written to. */
static int copy_base(clm_map *base, char path[64])
{
    clm_err err;

    if (clm_map_open(CLM_GOLDEN "/bad/base.gguf", base, &err) != CLM_OK) fail_msg("%s", err.text);
    snprintf(path, 64, "/tmp/clm-test-gguf-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, base->data, base->size), base->size);
    return fd;
}

static void test_prefixes(void **state)
{
    (void)state;
    need_golden();
    char path[64];
    clm_map base;
    clm_err err;
    const int fd = copy_base(&base, path);

    assert_int_equal(open_any(path, &err), CLM_OK);
    for (size_t size = base.size; size-- > 0;) {
        clm_gguf *g;
        uint8_t *copy = malloc(size + (size == 0)); /* sanitizers see the first byte behind it */

        memcpy(copy, base.data, size);
        if (clm_gguf_parse(path, copy, size, &g, &err) != CLM_E_MODEL)
            fail_msg("%zu bytes parse", size);
        assert_null(g);
        free(copy);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        if (open_any(path, &err) != CLM_E_MODEL) fail_msg("%zu bytes open", size);
    }
    close(fd);
    unlink(path);
    clm_map_close(&base);
}

static void test_changed_bytes(void **state)
{
    (void)state;
    need_golden();
    static const uint8_t masks[] = {0x01, 0x20, 0x80, 0xff};
    char path[64];
    clm_map base;
    clm_err err;
    size_t opened = 0, refused = 0;
    const int fd = copy_base(&base, path);
    uint8_t *copy = malloc(base.size);

    memcpy(copy, base.data, base.size);
    for (size_t i = 0; i < DATA_START; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            clm_gguf *g;

            copy[i] = base.data[i] ^ masks[m];
            if (clm_gguf_parse(path, copy, base.size, &g, &err) == CLM_OK) clm_gguf_destroy(g);
            assert_int_equal(pwrite(fd, copy + i, 1, (off_t)i), 1);
            if (open_any(path, &err) == CLM_OK)
                opened++;
            else
                refused++;
        }
        copy[i] = base.data[i];
        assert_int_equal(pwrite(fd, copy + i, 1, (off_t)i), 1);
    }
    /* Changed letters of tokens and scores open, changed structure does not. */
    assert_true(opened > 1000 && refused > 1000);
    free(copy);
    close(fd);
    unlink(path);
    clm_map_close(&base);
}

/* Several bytes at once, from a fixed seed. */
static void test_noise(void **state)
{
    (void)state;
    need_golden();
    char path[64];
    clm_map base;
    clm_err err;
    uint32_t seed = 12345;
    const int fd = copy_base(&base, path);
    uint8_t *copy = malloc(base.size);

    for (int round = 0; round < 3000; round++) {
        memcpy(copy, base.data, base.size);
        for (int k = 0; k < 1 + round % 6; k++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % DATA_START] = (uint8_t)(seed >> 3);
        }
        assert_int_equal(pwrite(fd, copy, DATA_START, 0), DATA_START);
        open_any(path, &err);
    }
    free(copy);
    close(fd);
    unlink(path);
    clm_map_close(&base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),          cmocka_unit_test(test_data),
        cmocka_unit_test(test_vocabulary_only), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_out_of_range_id), cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_prefixes),        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
