/* tests/text/test_sp_charsmap.c: the check of normalisation maps. What it accepts is walked here
 * by an own version of the library's search, which asserts each access.
 */
#include "tests/text/golden.h"

#include "runtime/text/sp_model.h"

/* A map of `n_blocks` blocks of 256 units and the given strings. */
typedef struct map {
    uint8_t *bytes;
    size_t size;
} map;

static map map_create(size_t n_blocks, const char *strings, size_t n_strings)
{
    map m;
    size_t trie = n_blocks * 1024;

    m.size = 4 + trie + n_strings;
    m.bytes = calloc(1, m.size);
    for (int i = 0; i < 4; i++) m.bytes[i] = (uint8_t)(trie >> (8 * i));
    memcpy(m.bytes + 4 + trie, strings, n_strings);
    for (size_t u = 0; u < n_blocks * 256; u++) m.bytes[4 + 4 * u + 3] = 0x80; /* no label */
    return m;
}

static void set_unit(map *m, size_t u, uint32_t unit)
{
    for (int i = 0; i < 4; i++) m->bytes[4 + 4 * u + (size_t)i] = (uint8_t)(unit >> (8 * i));
}

/* Unit `u` with a label, whose children lie in block `to`; with a value when `value` >= 0. */
static void set_node(map *m, size_t u, uint32_t label, size_t to, int value)
{
    set_unit(m, u, label | (uint32_t)(u ^ (to * 256)) << 10 | (value >= 0 ? 1u << 8 : 0));
    if (value >= 0) set_unit(m, to * 256, 0x80000000u | (uint32_t)value);
}

static clm_status check(const map *m, clm_err *err)
{
    clm_sp_text text = {(const char *)m->bytes, m->size};
    return clm_sp_charsmap_check(text, err);
}

/* A map of "a" to "xy", "aa" to "" (root block 1, then 2, then 3). */
static map good_map(void)
{
    map m = map_create(4, "xy\0\0", 4);

    set_node(&m, 0, 0, 1, -1);
    set_node(&m, 256 + 'a', 'a', 2, 0);
    set_node(&m, 512 + 'a', 'a', 3, 3);
    return m;
}

/* The small model with a map, as a tokenizer. */
static clm_tokenizer *with_map(const map *m)
{
    char *data;
    uint8_t *message;
    size_t size, bytes;
    clm_sp_model *model;
    clm_tokenizer *tok;
    clm_vocab vocab;

    memset(&vocab, 0, sizeof vocab);
    assert_int_equal(clm_file_read(CLM_TEST_DATA "/text/small.model", 1 << 20, &data, &size, NULL),
                     CLM_OK);
    assert_int_equal(clm_sp_model_read((uint8_t *)data, size, &model, NULL), CLM_OK);
    model->charsmap = (clm_sp_text){(const char *)m->bytes, m->size};
    assert_int_equal(clm_sp_model_write(model, &message, &bytes, NULL), CLM_OK);
    vocab.sp_model = message;
    vocab.sp_model_bytes = bytes;
    vocab.bos = vocab.eos = -1;
    assert_int_equal(clm_tokenizer_create(&vocab, &tok, NULL), CLM_OK);
    clm_sp_model_destroy(model);
    free(message);
    free(data);
    return tok;
}

static void expect_text(const clm_tokenizer *tok, const char *text, const char *want)
{
    int *ids;
    size_t count, size;
    char *back;

    assert_int_equal(clm_tokenizer_encode(tok, text, strlen(text), &ids, &count, NULL), CLM_OK);
    assert_int_equal(clm_tokenizer_decode(tok, ids, count, &back, &size, NULL), CLM_OK);
    assert_string_equal(back, want);
    free(ids);
    free(back);
}

static void refused(map m, const char *word)
{
    clm_err err = {""};

    assert_int_equal(check(&m, &err), CLM_E_MODEL);
    if (strstr(err.text, word) == NULL) fail_msg("unclear: %s", err.text);
    free(m.bytes);
}

static void test_good(void **state)
{
    map m = good_map();
    clm_err err = {""};
    clm_tokenizer *tok;

    (void)state;
    if (check(&m, &err) != CLM_OK) fail_msg("%s", err.text);
    tok = with_map(&m);
    expect_text(tok, "bab", "bxyb");
    expect_text(tok, "baab", "bb");
    expect_text(tok, "baaab", "bxyb");
    clm_tokenizer_destroy(tok);
    free(m.bytes);
}

static void test_broken(void **state)
{
    map m;

    (void)state;
    for (size_t n = 0; n < 4 + 4 * 1024; n += n < 16 || n > 4 * 1024 ? 1 : 128) {
        m = good_map();
        m.size = n;
        refused(m, "map");
    }
    m = good_map();
    m.size--; /* the last string is now "xy", and "aa" points behind it */
    refused(m, "does not exist");
    m = good_map();
    m.bytes[m.size - 1] = 'z';
    refused(m, "does not end");
    m = good_map();
    m.bytes[m.size - 4] = 0xff;
    refused(m, "UTF-8");
    m = good_map();
    set_node(&m, 512 + 'a', 'a', 3, 4);
    refused(m, "does not exist");
    m = good_map();
    set_node(&m, 512 + 'a', 'a', 4, -1); /* a block that is not there */
    refused(m, "outside");
    m = good_map(); /* the last block begins but does not end inside */
    m.bytes[0] = 16 * 4;
    m.bytes[1] = 768 * 4 >> 8;
    memmove(m.bytes + 4 + 784 * 4, m.bytes + 4 + 1024 * 4, 4);
    m.size = 4 + 784 * 4 + 4;
    refused(m, "outside");
    m = good_map();
    set_unit(&m, 0, 0xfffffe00u);
    refused(m, "outside");
    m = good_map();
    set_node(&m, 512 + 'a', 'a', 2, 0); /* "aaa..." without end */
    refused(m, "circle");
    m = good_map();
    set_node(&m, 512 + 'a', 'a', 1, 0);
    refused(m, "circle");
    m = good_map();
    set_node(&m, 768 + 'b', 'b', 7, -1); /* broken, and reached by "aab" only */
    refused(m, "outside");
    m = good_map();
    set_node(&m, 768 + 'b', 'a', 7, -1); /* broken, but no text reaches it */
    assert_int_equal(check(&m, NULL), CLM_OK);
    free(m.bytes);
}

/* The library has room for 32 matches at one place. */
static void test_many_matches(void **state)
{
    clm_tokenizer *tok;
    map m = map_create(36, "x\0", 2);

    (void)state;
    set_node(&m, 0, 0, 1, -1);
    for (size_t i = 1; i <= 32; i++) set_node(&m, 256 * i + 'a', 'a', i + 1, 0);
    assert_int_equal(check(&m, NULL), CLM_OK);
    tok = with_map(&m);
    expect_text(tok, "baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "bxxb"); /* 38 = 32 + 6 */
    clm_tokenizer_destroy(tok);
    set_node(&m, 256 * 33 + 'a', 'a', 34, 0);
    refused(m, "begin alike");
}

static void test_long_replacement(void **state)
{
    char strings[1100];
    map m;

    (void)state;
    memset(strings, 'x', sizeof strings);
    strings[1024] = strings[1099] = '\0';
    m = map_create(3, strings, sizeof strings);
    set_node(&m, 0, 0, 1, -1);
    set_node(&m, 256 + 'a', 'a', 2, 0);
    assert_int_equal(check(&m, NULL), CLM_OK);
    m.bytes[m.size - 1100 + 1024] = 'x';
    refused(m, "1099 bytes");
}

static uint32_t unit_at(const map *m, size_t u, size_t n_units)
{
    const uint8_t *p = m->bytes + 4 + 4 * u;

    assert_true(u < n_units);
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The library's search of all matches at the start of `text`; returns how many. */
static size_t search(const map *m, const uint8_t *text, size_t size)
{
    size_t trie = (size_t)m->bytes[0] | (size_t)m->bytes[1] << 8 | (size_t)m->bytes[2] << 16,
           n = trie / 4, at = 0;
    size_t n_strings = m->size - 4 - trie, found = 0;
    uint32_t unit = unit_at(m, 0, n);

    at ^= (size_t)((unit >> 10) << ((unit & 512) >> 6));
    for (size_t i = 0; i < size; i++) {
        at ^= text[i];
        unit = unit_at(m, at, n);
        if ((unit & 0x800000ffu) != text[i]) break;
        at ^= (size_t)((unit >> 10) << ((unit & 512) >> 6));
        if (unit & 256) {
            uint32_t value = unit_at(m, at, n) & 0x7fffffffu;
            assert_true(value < n_strings);
            assert_non_null(memchr(m->bytes + 4 + trie + value, 0, n_strings - value));
            found++;
        }
    }
    assert_true(found <= 32);
    return found;
}

/* The real map with a few units changed: refused, or safe for all short texts. */
static void test_real_map_changed(void **state)
{
    char path[512];
    clm_map file;
    clm_sp_model *model;
    clm_err err = {""};
    size_t n_refused = 0, n_found = 0;
    unsigned seed = 11;
    map m;

    (void)state;
    golden_path(path, sizeof path, "hf-baichuan13b-tiny/tokenizer.model");
    assert_int_equal(clm_map_open(path, &file, &err), CLM_OK);
    assert_int_equal(clm_sp_model_read(file.data, file.size, &model, &err), CLM_OK);
    m.size = model->charsmap.size;
    m.bytes = malloc(m.size);
    assert_true(m.size > 100000);
    for (int round = 0; round < 60; round++) {
        memcpy(m.bytes, model->charsmap.data, m.size);
        for (int k = 0; k < 3 * round; k++) {
            seed = seed * 1103515245u + 12345u;
            m.bytes[4 + (seed >> 8) % (m.size - 4)] ^= (uint8_t)(1u << (seed >> 4 & 7));
        }
        if (check(&m, NULL) != CLM_OK) {
            n_refused++;
            assert_true(round > 0);
            continue;
        }
        for (uint32_t c = 0; c < 1u << 16; c++) {
            uint8_t text[4] = {(uint8_t)(0xe0 | c >> 12), (uint8_t)(0x80 | (c >> 6 & 63)),
                               (uint8_t)(0x80 | (c & 63)), (uint8_t)(c * 7)};
            uint8_t noise[4] = {(uint8_t)c, (uint8_t)(c >> 8), (uint8_t)(c * 31),
                                (uint8_t)(c * 57)};
            n_found += search(&m, text, 4) + search(&m, noise, 4);
        }
    }
    assert_true(n_refused > 5);
    assert_true(n_found > 1000);
    free(m.bytes);
    clm_sp_model_destroy(model);
    clm_map_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_many_matches),
        cmocka_unit_test(test_long_replacement),
        cmocka_unit_test(test_real_map_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
