/* tests/text/test_sp_model.c: what is let through to libsentencepiece. Every malformed model must
 * end in a sentence or in a tokenizer that works; the library itself is not instrumented, so the
 * checks in front of it are tested on their own as well.
 */
#include "tests/text/golden.h"

#include <dirent.h>
#include <math.h>
#include "runtime/text/sp_model.h"

/* A tokenizer that was let through takes any text and gives it back through any of its ids. */
static void exercise(const clm_tokenizer *tok)
{
    static const char *const texts[] = {
        "",
        "the cat",
        "\xef\xbc\x88\xef\xbc\xa1\xe2\x91\xa0 \xe4\xbd\xa0\xe5\xa5\xbd",
        "\xff\xfe\x80 broken \xe4\xbd",
        "    \t\n\r\n  ",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    size_t n = clm_tokenizer_size(tok), size, count;
    int *ids, id;
    char *text, bytes[512];

    for (size_t i = 0; i < sizeof texts / sizeof *texts + 1; i++) {
        const char *from = i < sizeof texts / sizeof *texts ? texts[i] : bytes;
        size_t length = from == bytes ? sizeof bytes : strlen(from);
        for (size_t k = 0; k < sizeof bytes; k++) bytes[k] = (char)(k / 2);
        if (clm_tokenizer_encode(tok, from, length, &ids, &count, NULL) != CLM_OK) continue;
        for (size_t k = 0; k < count; k++) assert_true(ids[k] >= 0 && (size_t)ids[k] < n);
        if (clm_tokenizer_decode(tok, ids, count, &text, &size, NULL) == CLM_OK) free(text);
        free(ids);
    }
    for (id = 0; (size_t)id < n; id++)
        if (clm_tokenizer_decode(tok, &id, 1, &text, &size, NULL) == CLM_OK) free(text);
}

/* ---- Files ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool refuse;      /* false: either */
    const char *word; /* of the sentence */
} BAD[] = {
    {"empty", true, "empty"},
    {"garbage", true, "SentencePiece model"},
    {"text", true, "Git LFS"},
    {"trunc", true, "cut"},
    {"length-beyond", true, "cut"},
    {"length-wrap", true, "cut"},
    {"varint-endless", true, "cut"},
    {"wire-type", true, "wire type 7"},
    {"group", true, "wire type 3"},
    {"field-zero", true, "number"},
    {"no-pieces", true, "no pieces"},
    {"pieces-fewer", true, "byte piece"},
    {"piece-empty", true, "empty"},
    {"piece-duplicate", true, "same text"},
    {"piece-type", false, "type 99"},
    {"byte-piece", true, "names no byte"},
    {"byte-missing", true, "missing"},
    {"no-unknown", false, "unknown"},
    {"score-nan", false, "finite"},
    {"piece-not-utf8", false, "UTF-8"},
    {"piece-long", false, "bytes"},
    {"unigram", false, ""},
    {"charsmap-short", true, "map"},
    {"charsmap-trie-size", true, "larger"},
    {"charsmap-trie-odd", true, "trie"},
    {"charsmap-trie-cut", false, "trie"},
    {"charsmap-trie-noise", false, "map"},
    {"charsmap-no-end", false, "end"},
};

static void test_bad_files(void **state)
{
    size_t n_files = 0;
    char path[512];
    struct dirent *entry;
    DIR *dir = opendir(golden_path(path, sizeof path, "bad/tokenizer"));

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) n_files += strstr(entry->d_name, ".model") != NULL;
    closedir(dir);
    assert_int_equal(n_files, sizeof BAD / sizeof *BAD);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        clm_tokenizer *tok;
        clm_err err = {""};
        char name[128];
        clm_status st;

        snprintf(name, sizeof name, "bad/tokenizer/%s.model", BAD[i].name);
        st = clm_tokenizer_load(golden_path(path, sizeof path, name), &tok, &err);
        if (st != CLM_OK) {
            assert_int_equal(st, CLM_E_MODEL);
            assert_null(tok);
            if (strstr(err.text, BAD[i].name) == NULL || strstr(err.text, BAD[i].word) == NULL)
                fail_msg("%s: unclear: %s", BAD[i].name, err.text);
            continue;
        }
        if (BAD[i].refuse) fail_msg("%s: not refused", BAD[i].name);
        exercise(tok);
        clm_tokenizer_destroy(tok);
    }
}

static void test_bad_gguf_vocabularies(void **state)
{
    static const char *const names[] = {"tokens-duplicate", "tokens-empty-string",
                                        "tokens-bytes-missing", "scores-nan", "eos-out-of-range"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512], name[128];
        clm_tokenizer *tok;
        clm_err err = {""};
        clm_status st;

        snprintf(name, sizeof name, "bad/gguf/%s.gguf", names[i]);
        st = clm_tokenizer_load(golden_path(path, sizeof path, name), &tok, &err);
        print_message("%s: %s\n", names[i], st == CLM_OK ? "loads" : err.text);
        if (st == CLM_OK) {
            exercise(tok);
            assert_true(clm_tokenizer_eos(tok) < (int)clm_tokenizer_size(tok));
            clm_tokenizer_destroy(tok);
        } else {
            assert_int_equal(st, CLM_E_MODEL);
            assert_non_null(strstr(err.text, names[i]));
        }
    }
}

static uint8_t *small_model(size_t *size)
{
    char *data;

    assert_int_equal(clm_file_read(CLM_TEST_DATA "/text/small.model", 1 << 20, &data, size, NULL),
                     CLM_OK);
    return (uint8_t *)data;
}

static clm_status load_bytes(const uint8_t *data, size_t size, clm_tokenizer **tok, clm_err *err)
{
    clm_vocab vocab;

    memset(&vocab, 0, sizeof vocab);
    vocab.sp_model = data;
    vocab.sp_model_bytes = size;
    vocab.bos = vocab.eos = vocab.unk = vocab.pad = -1;
    return clm_tokenizer_create(&vocab, tok, err);
}

/* Only the cut in front of the last part, which may be absent, leaves a sound model. */
static void test_every_prefix(void **state)
{
    size_t size, n_sound = 0;
    uint8_t *data = small_model(&size);

    (void)state;
    for (size_t n = 1; n < size; n++) {
        uint8_t *part = malloc(n); /* its own block, so that a step beyond it is noticed */
        clm_tokenizer *tok;
        clm_err err = {""};
        clm_status st;

        memcpy(part, data, n);
        st = load_bytes(part, n, &tok, &err);
        if (st == CLM_OK) {
            n_sound++;
            exercise(tok);
            clm_tokenizer_destroy(tok);
        } else {
            assert_int_equal(st, CLM_E_MODEL);
            assert_true(strlen(err.text) > 10);
        }
        free(part);
    }
    assert_int_equal(n_sound, 1);
    free(data);
}

static void test_every_byte_changed(void **state)
{
    size_t size, n_refused = 0;
    uint8_t *data = small_model(&size);
    unsigned seed = 7;

    (void)state;
    for (size_t i = 0; i < size; i++) {
        clm_tokenizer *tok;
        uint8_t old = data[i];
        clm_status st;

        seed = seed * 1103515245u + 12345u;
        data[i] ^= (uint8_t)(1 + (seed >> 16) % 255);
        st = load_bytes(data, size, &tok, NULL);
        if (st == CLM_OK && i % 8 == 0) exercise(tok);
        if (st != CLM_OK) {
            assert_int_equal(st, CLM_E_MODEL);
            n_refused++;
        }
        clm_tokenizer_destroy(tok);
        data[i] = old;
    }
    assert_true(n_refused > size / 4);
    free(data);
}

/* Messages of a few bytes: a number beyond 64 bits, numbers of one byte too many, wrong types. */
static void test_small_messages(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *word;
    } cases[] = {
        {"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "cut"},
        {"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "no pieces"},
        {"\x80", 1, "cut"},
        {"\x0d\x00\x00\x00", 4, "cut"},
        {"\x09\x00\x00\x00\x00\x00\x00\x00", 8, "cut"},
        {"\x08\x00", 2, "wire type"},
        {"\x0a\x02\x10\x00", 4, "wire type"},
        {"\x0a\x03\x0a\x01", 4, "cut"},
        {"\x0a\x03\x0a\x02\x61", 5, "cut"},
        {"\x0a\x03\x0a\x01\x61\x12\x02\x18\x03", 9, "word models"},
        {"\x0a\x03\x0a\x01\x61\x12\x02\x18\x04", 9, "character models"},
        {"\x0a\x03\x0a\x01\x61\x12\x02\x18\x05", 9, "model type 5"},
        {"\x0a\x03\x0a\x01\x61\x2a\x03\x12\x01\x78", 10, "denormalizer"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_sp_model *m;
        clm_err err = {""};
        assert_int_equal(
            clm_sp_model_read((const uint8_t *)cases[i].bytes, cases[i].size, &m, &err),
            CLM_E_MODEL);
        assert_null(m);
        if (strstr(err.text, cases[i].word) == NULL) fail_msg("case %zu, unclear: %s", i, err.text);
    }
}

static void assert_same_model(const clm_sp_model *a, const clm_sp_model *b)
{
    assert_int_equal(a->n_pieces, b->n_pieces);
    for (size_t i = 0; i < a->n_pieces; i++) {
        assert_int_equal(a->pieces[i].text.size, b->pieces[i].text.size);
        assert_memory_equal(a->pieces[i].text.data, b->pieces[i].text.data, a->pieces[i].text.size);
        assert_memory_equal(&a->pieces[i].score, &b->pieces[i].score, sizeof(float));
        assert_int_equal(a->pieces[i].type, b->pieces[i].type);
    }
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->byte_fallback, b->byte_fallback);
    assert_int_equal(a->add_dummy_prefix, b->add_dummy_prefix);
    assert_int_equal(a->remove_extra_whitespaces, b->remove_extra_whitespaces);
    assert_int_equal(a->escape_whitespaces, b->escape_whitespaces);
    assert_int_equal(a->whitespace_as_suffix, b->whitespace_as_suffix);
    assert_int_equal(a->charsmap.size, b->charsmap.size);
    assert_memory_equal(a->charsmap.data == NULL ? "" : a->charsmap.data,
                        b->charsmap.data == NULL ? "" : b->charsmap.data, a->charsmap.size);
    assert_int_equal(a->unk_surface.size, b->unk_surface.size);
    assert_memory_equal(a->unk_surface.data, b->unk_surface.data, a->unk_surface.size);
}

static void test_written_is_read(void **state)
{
    size_t size, again_size;
    uint8_t *data = small_model(&size), *again;
    clm_sp_model *m, *back;

    (void)state;
    assert_int_equal(clm_sp_model_read(data, size, &m, NULL), CLM_OK);
    assert_true(m->add_dummy_prefix && !m->remove_extra_whitespaces && m->byte_fallback &&
                m->kind == CLM_SP_BPE);
    m->whitespace_as_suffix = true;
    m->escape_whitespaces = false;
    m->unk_surface = (clm_sp_text){"??", 2};
    assert_int_equal(clm_sp_model_write(m, &again, &again_size, NULL), CLM_OK);
    assert_int_equal(clm_sp_model_read(again, again_size, &back, NULL), CLM_OK);
    assert_same_model(m, back);
    clm_sp_model_destroy(m);
    clm_sp_model_destroy(back);
    free(again);
    free(data);
}

/* ---- Vocabularies as in GGUF -------------------------------------------------------------------- */

typedef struct vocabulary {
    clm_vocab vocab;
    clm_piece pieces[400];
} vocabulary;

static void add_piece(vocabulary *v, const char *text, clm_piece_type type, float score)
{
    clm_piece *p = &v->pieces[v->vocab.n_pieces++];

    p->text = text;
    p->size = strlen(text);
    p->type = type;
    p->score = score;
}

/* <unk>, <s>, </s>, a, b, ab. */
static void begin(vocabulary *v)
{
    memset(v, 0, sizeof *v);
    v->vocab.pieces = v->pieces;
    v->vocab.model_name = (char *)"llama";
    v->vocab.bos = 1;
    v->vocab.eos = 2;
    v->vocab.unk = v->vocab.pad = -1;
    add_piece(v, "<unk>", CLM_PIECE_UNKNOWN, 0);
    add_piece(v, "<s>", CLM_PIECE_CONTROL, 0);
    add_piece(v, "</s>", CLM_PIECE_CONTROL, 0);
    add_piece(v, "a", CLM_PIECE_NORMAL, -1);
    add_piece(v, "b", CLM_PIECE_NORMAL, -2);
    add_piece(v, "ab", CLM_PIECE_NORMAL, -3);
}

static void add_bytes(vocabulary *v, size_t n)
{
    static char names[256][8];

    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)i);
        add_piece(v, names[i], CLM_PIECE_BYTE, 0);
    }
}

static clm_tokenizer *must_load(const vocabulary *v)
{
    clm_tokenizer *tok = NULL;
    clm_err err = {""};

    if (clm_tokenizer_create(&v->vocab, &tok, &err) != CLM_OK) fail_msg("%s", err.text);
    exercise(tok);
    return tok;
}

static void must_refuse(const vocabulary *v, const char *word)
{
    clm_tokenizer *tok = NULL;
    clm_err err = {""};

    assert_int_equal(clm_tokenizer_create(&v->vocab, &tok, &err), CLM_E_MODEL);
    assert_null(tok);
    if (strstr(err.text, word) == NULL) fail_msg("unclear: %s", err.text);
}

static void must_encode(const clm_tokenizer *tok, const char *text, const int *want, size_t n_want)
{
    int *ids;
    size_t n;

    assert_int_equal(clm_tokenizer_encode(tok, text, strlen(text), &ids, &n, NULL), CLM_OK);
    assert_int_equal(n, n_want);
    assert_memory_equal(ids, want, n * sizeof *ids);
    free(ids);
}

static void must_decode(const clm_tokenizer *tok, const int *ids, size_t n, const char *want)
{
    char *text;
    size_t size;

    assert_int_equal(clm_tokenizer_decode(tok, ids, n, &text, &size, NULL), CLM_OK);
    assert_string_equal(text, want);
    free(text);
}

static void test_untidy_vocabulary(void **state)
{
    vocabulary v;
    clm_tokenizer *tok;

    (void)state;
    begin(&v);
    add_piece(&v, "", CLM_PIECE_NORMAL, -4);      /* 6 */
    add_piece(&v, "", CLM_PIECE_CONTROL, 0);      /* 7 */
    add_piece(&v, "ab", CLM_PIECE_UNUSED, 0);     /* 8 */
    add_piece(&v, "<s>", CLM_PIECE_CONTROL, NAN); /* 9 */
    add_piece(&v, "pad", CLM_PIECE_UNKNOWN, 0);   /* 10 */
    tok = must_load(&v);
    must_encode(tok, "abba", (const int[]){5, 4, 3}, 3);
    must_encode(tok, "acca", (const int[]){3, 0, 3}, 3);
    must_decode(tok, (const int[]){5, 6, 7, 8, 9, 3, 10, 0}, 8, "abapad \xe2\x81\x87 ");
    assert_int_equal(clm_tokenizer_find(tok, "<s>"), 1);
    assert_int_equal(clm_tokenizer_find(tok, "ab"), 5);
    assert_int_equal(clm_tokenizer_size(tok), 11);
    clm_tokenizer_destroy(tok);

    begin(&v);
    add_piece(&v, "a", CLM_PIECE_NORMAL, -4);
    must_refuse(&v, "pieces 3 and 6");
    begin(&v);
    v.pieces[4].score = NAN;
    must_refuse(&v, "score of piece 4");
    begin(&v);
    v.pieces[4].text = "\xff";
    must_refuse(&v, "piece 4 is not UTF-8");
    begin(&v);
    v.pieces[4].type = (clm_piece_type)9;
    must_refuse(&v, "type 9");
    begin(&v);
    v.vocab.n_pieces = 0;
    must_refuse(&v, "empty");
}

static void test_unknown_piece(void **state)
{
    vocabulary v;
    clm_tokenizer *tok;

    (void)state;
    begin(&v);
    v.pieces[0].type = CLM_PIECE_NORMAL; /* found by its name */
    tok = must_load(&v);
    must_encode(tok, "c", (const int[]){0}, 1);
    clm_tokenizer_destroy(tok);

    begin(&v);
    v.pieces[0].text = "zero"; /* found because the file says so */
    v.pieces[0].size = 4;
    v.pieces[0].type = CLM_PIECE_CONTROL;
    v.vocab.unk = 0;
    tok = must_load(&v);
    must_encode(tok, "c", (const int[]){0}, 1);
    clm_tokenizer_destroy(tok);

    v.vocab.unk = -1;
    must_refuse(&v, "unknown");
    v.vocab.unk = 400;
    must_refuse(&v, "unknown");

    for (int stated = -1; stated <= 6; stated += 7) { /* of two, the stated one or the first */
        begin(&v);
        add_piece(&v, "other", CLM_PIECE_UNKNOWN, 0);
        v.vocab.unk = stated;
        tok = must_load(&v);
        must_encode(tok, "c", (const int[]){stated == 6 ? 6 : 0}, 1);
        clm_tokenizer_destroy(tok);
    }
}

static void test_bytes(void **state)
{
    vocabulary v;
    clm_tokenizer *tok;

    (void)state;
    begin(&v);
    add_bytes(&v, 256);
    v.vocab.add_space_prefix = true;
    v.vocab.add_bos = true;
    tok = must_load(&v);
    must_encode(tok, "abc", (const int[]){6 + 0xe2, 6 + 0x96, 6 + 0x81, 5, 6 + 'c'}, 5);
    assert_true(clm_tokenizer_add_bos(tok));
    clm_tokenizer_destroy(tok);
    begin(&v);
    add_bytes(&v, 200);
    must_refuse(&v, "56 of 256");
    begin(&v);
    add_bytes(&v, 256);
    v.pieces[6].text = "<0xZZ>";
    must_refuse(&v, "names no byte");
}

static void test_other_kinds(void **state)
{
    vocabulary v;

    (void)state;
    begin(&v);
    v.vocab.model_name = (char *)"bert";
    must_refuse(&v, "bert");
    v.vocab.model_name = NULL;
    must_refuse(&v, "kind");
}

/* The library has room for 64 matches. */
static void test_user_defined_prefixes(void **state)
{
    static char run[66];
    static char texts[65][66];
    vocabulary v;
    clm_tokenizer *tok;

    (void)state;
    memset(run, 'x', sizeof run - 1);
    begin(&v);
    for (size_t i = 0; i < 64; i++) {
        memcpy(texts[i], run, i + 1);
        add_piece(&v, texts[i], CLM_PIECE_USER_DEFINED, 0);
    }
    add_piece(&v, "y", CLM_PIECE_USER_DEFINED, 0);
    tok = must_load(&v);
    must_encode(tok, run, (const int[]){6 + 63, 6}, 2); /* 65 of them */
    clm_tokenizer_destroy(tok);
    memcpy(texts[64], run, 65);
    add_piece(&v, texts[64], CLM_PIECE_USER_DEFINED, 0);
    must_refuse(&v, "begin alike");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_messages),
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_untidy_vocabulary),
        cmocka_unit_test(test_unknown_piece),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_user_defined_prefixes),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_gguf_vocabularies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
