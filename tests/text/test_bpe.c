/* tests/text/test_bpe.c: byte-level BPE against ids that llama-cpp-python printed
 * (tests/tools/bpe_cases.py) with a vocabulary of our own (tests/tools/make_bpe_small.py), and what
 * happens to damaged vocabularies.
 */
#include "tests/text/golden.h"

#include <unistd.h>

static const char SMALL[] = CLM_TEST_DATA "/text/bpe_small.gguf";

/* A copy of the vocabulary that can be changed. */
typedef struct copy {
    clm_model_file *file;
    clm_vocab vocab;
    clm_piece *pieces;
    clm_merge *merges;
} copy;

static void copy_open(copy *c)
{
    clm_err err = {""};

    if (clm_model_file_open(SMALL, &c->file, &err) != CLM_OK) fail_msg("%s", err.text);
    c->vocab = *clm_model_file_vocab(c->file);
    c->pieces = malloc(c->vocab.n_pieces * sizeof *c->pieces);
    c->merges = malloc(c->vocab.n_merges * sizeof *c->merges);
    memcpy(c->pieces, c->vocab.pieces, c->vocab.n_pieces * sizeof *c->pieces);
    memcpy(c->merges, c->vocab.merges, c->vocab.n_merges * sizeof *c->merges);
    c->vocab.pieces = c->pieces;
    c->vocab.merges = c->merges;
}

static void copy_close(copy *c)
{
    free(c->pieces);
    free(c->merges);
    clm_model_file_close(c->file);
}

static clm_tokenizer *must_create(const copy *c)
{
    clm_tokenizer *tok = NULL;
    clm_err err = {""};

    if (clm_tokenizer_create(&c->vocab, &tok, &err) != CLM_OK) fail_msg("%s", err.text);
    return tok;
}

static void must_refuse(copy *c, const char *words)
{
    clm_tokenizer *tok;
    clm_err err = {""};

    assert_int_equal(clm_tokenizer_create(&c->vocab, &tok, &err), CLM_E_MODEL);
    assert_null(tok);
    if (strstr(err.text, words) == NULL) fail_msg("\"%s\" is not about \"%s\"", err.text, words);
    copy_close(c);
    copy_open(c);
}

static void set_piece(copy *c, size_t id, const char *text)
{
    c->pieces[id].text = text;
    c->pieces[id].size = strlen(text);
}

static void set_merge(copy *c, size_t rank, const char *text)
{
    c->merges[rank] = (clm_merge){text, strlen(text)};
}

static size_t encode(const clm_tokenizer *tok, const char *text, int **ids)
{
    size_t n;
    clm_err err = {""};

    if (clm_tokenizer_encode(tok, text, strlen(text), ids, &n, &err) != CLM_OK)
        fail_msg("%s", err.text);
    return n;
}

/* ---- Golden cases -------------------------------------------------------------------------------- */

/* A string, or a list of bytes; malloc'd. */
static char *read_text(json_t *value, size_t *size)
{
    char *text;

    *size = json_is_array(value) ? json_array_size(value) : json_string_length(value);
    text = malloc(*size + 1);
    if (json_is_array(value))
        for (size_t i = 0; i < *size; i++)
            text[i] = (char)json_integer_value(json_array_get(value, i));
    else
        memcpy(text, json_string_value(value), *size + 1);
    return text;
}

/* Without a piece for some byte of it a text cannot come back. */
static bool has_all_bytes(const char *text, size_t size)
{
    static const char missing[] = "\x04\x06\xc0\xc1\xf5\xf8\xff";

    for (size_t i = 0; i < size; i++)
        if (text[i] != '\0' && strchr(missing, text[i]) != NULL) return false;
    return true;
}

static void check_case(const clm_tokenizer *tok, json_t *row[4], const char *where)
{
    size_t size, n, back_size;
    char *text = read_text(row[0], &size), *back;
    int *ids;

    assert_int_equal(clm_tokenizer_encode(tok, text, size, &ids, &n, NULL), CLM_OK);
    assert_true((n == 0) == (ids == NULL));
    assert_ids(where, ids, n, row[1]);
    assert_int_equal(clm_tokenizer_decode(tok, ids, n, &back, &back_size, NULL), CLM_OK);
    if (!json_is_array(row[0]) && has_all_bytes(text, size)) {
        assert_int_equal(back_size, size);
        assert_memory_equal(back, text, size + 1);
    }
    free(back);
    free(ids);
    assert_int_equal(clm_tokenizer_encode_special(tok, text, size, &ids, &n, NULL), CLM_OK);
    assert_ids(where, ids, n, row[2]);
    free(ids);
    free(text);
}

static void test_golden_cases(void **state)
{
    clm_tokenizer *tok = NULL;
    char *lines, *line, *rest, where[32], pre[32] = "";
    size_t size, n = 0, n_pre = 0;
    copy c;

    (void)state;
    copy_open(&c);
    assert_int_equal(
        clm_file_read(CLM_TEST_DATA "/text/bpe_small.tsv", 1 << 20, &lines, &size, NULL), CLM_OK);
    for (rest = lines; (line = strsep(&rest, "\n")) != NULL && *line != '\0'; n++) {
        json_t *row[4];

        for (size_t i = 0; i < 4; i++) {
            const char *column = strsep(&line, "\t");
            assert_non_null(column);
            row[i] = json_loads(column, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            assert_non_null(row[i]);
        }
        if (strcmp(pre, json_string_value(row[3])) != 0) {
            snprintf(pre, sizeof pre, "%s", json_string_value(row[3]));
            c.vocab.pre = pre;
            clm_tokenizer_destroy(tok);
            tok = must_create(&c);
            n_pre++;
        }
        snprintf(where, sizeof where, "line %zu", n + 1);
        check_case(tok, row, where);
        for (size_t i = 0; i < 4; i++) json_decref(row[i]);
    }
    assert_int_equal(n, 700);
    assert_int_equal(n_pre, 5);
    free(lines);
    clm_tokenizer_destroy(tok);
    copy_close(&c);
}

/* A quadratic way to merge would not come back in the time that a test has. */
static void test_long_texts(void **state)
{
    enum { SIZE = 1 << 20 };
    static const char letters[] = "etaoinshrdlu";
    char *text = malloc(SIZE), *back;
    size_t n, back_size;
    uint32_t x = 1;
    int *ids;
    copy c;

    (void)state;
    copy_open(&c);
    for (int kind = 0; kind < 3; kind++) {
        clm_tokenizer *tok;

        c.vocab.pre = (char *)(kind == 2 ? "llama-bpe" : "smollm");
        tok = must_create(&c);
        for (size_t i = 0; i < SIZE; i++) {
            x = x * 1664525u + 1013904223u;
            text[i] = kind == 0 ? letters[(x >> 16) % 12] : kind == 1 ? 'a' : ' ';
        }
        assert_int_equal(clm_tokenizer_encode(tok, text, SIZE, &ids, &n, NULL), CLM_OK);
        assert_int_equal(clm_tokenizer_decode(tok, ids, n, &back, &back_size, NULL), CLM_OK);
        assert_int_equal(back_size, SIZE);
        assert_memory_equal(back, text, SIZE);
        free(back);
        free(ids);
        clm_tokenizer_destroy(tok);
    }
    free(text);
    copy_close(&c);
}

/* ---- Special pieces ------------------------------------------------------------------------------ */

static void test_properties(void **state)
{
    clm_tokenizer *tok;
    size_t n;
    int *ids;
    copy c;

    (void)state;
    copy_open(&c);
    set_piece(&c, 3, "<|eot_id|>");
    c.vocab.ends[0] = 20;
    c.vocab.n_ends = 1;
    tok = must_create(&c);
    assert_int_equal(clm_tokenizer_size(tok), c.vocab.n_pieces);
    assert_int_equal(clm_tokenizer_bos(tok), 1);
    assert_int_equal(clm_tokenizer_eos(tok), 2);
    assert_false(clm_tokenizer_add_bos(tok));
    assert_false(clm_tokenizer_pads(tok));
    assert_int_equal(clm_tokenizer_find(tok, "<|im_start|>"), 1);
    assert_int_equal(clm_tokenizer_find(tok, "no such piece"), -1);
    assert_true(clm_tokenizer_is_end(tok, 2));  /* as the file states */
    assert_true(clm_tokenizer_is_end(tok, 3));  /* by its text */
    assert_true(clm_tokenizer_is_end(tok, 20)); /* the file's end of turn */
    assert_false(clm_tokenizer_is_end(tok, 1));
    assert_false(clm_tokenizer_is_end(tok, -1));
    /* What a user types forges no control piece. */
    n = encode(tok, "<|im_end|>", &ids);
    assert_true(n > 1);
    for (size_t i = 0; i < n; i++) assert_false(clm_tokenizer_is_control(tok, ids[i]));
    free(ids);
    clm_tokenizer_destroy(tok);
    copy_close(&c);
}

/* ---- Damaged vocabularies ------------------------------------------------------------------------ */

static void test_refused_pieces(void **state)
{
    copy c;

    (void)state;
    copy_open(&c);
    set_piece(&c, 40, c.pieces[50].text);
    must_refuse(&c, "tokens 40 and 50 have the same text");
    set_piece(&c, 40, "\xc4");
    must_refuse(&c, "piece 40 is not UTF-8");
    c.pieces[40].type = CLM_PIECE_BYTE;
    must_refuse(&c, "token 40 is a byte piece");
    c.pieces[40].type = (clm_piece_type)9;
    must_refuse(&c, "unknown type");
    c.vocab.n_pieces = 0;
    must_refuse(&c, "empty");
    c.vocab.n_pieces = 8; /* the special ones */
    must_refuse(&c, "no piece for any byte");
    c.vocab.n_pieces = (size_t)CLM_MAX_VOCAB + 1;
    must_refuse(&c, "more than the");
    c.vocab.pre = (char *)"gpt-9";
    must_refuse(&c, "'gpt-9' is not supported");
    copy_close(&c);
}

static void test_too_many_specials(void **state)
{
    enum { N = 5000 };
    static char texts[N][8];
    clm_piece *pieces = calloc(N, sizeof *pieces);
    copy c;

    (void)state;
    copy_open(&c);
    for (size_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "%zu", i);
        pieces[i] = (clm_piece){texts[i], strlen(texts[i]), 0.0f, CLM_PIECE_USER_DEFINED};
    }
    c.vocab.pieces = pieces;
    c.vocab.n_pieces = N;
    must_refuse(&c, "more than 4096");
    free(pieces);
    copy_close(&c);
}

static void test_refused_merges(void **state)
{
    copy c;

    (void)state;
    copy_open(&c);
    c.vocab.n_merges = 0;
    must_refuse(&c, "0 merges");
    set_merge(&c, 7, "");
    must_refuse(&c, "merge 7 is not two pieces");
    set_merge(&c, 7, "ab");
    must_refuse(&c, "merge 7 is not two pieces");
    set_merge(&c, 7, "a ");
    must_refuse(&c, "merge 7 is not two pieces");
    set_merge(&c, 7, " a");
    must_refuse(&c, "merge 7 is not two pieces");
    set_merge(&c, 7, "a b c");
    must_refuse(&c, "names a piece that the vocabulary lacks");
    set_merge(&c, 7, "a nosuchpiece");
    must_refuse(&c, "names a piece that the vocabulary lacks");
    set_merge(&c, 7, "q z");
    must_refuse(&c, "makes a piece that the vocabulary lacks");
    set_piece(&c, c.vocab.n_pieces - 1, "qqqqqq"); /* what the last merge makes is gone */
    must_refuse(&c, "lacks");
    copy_close(&c);
}

/* A repeated merge keeps its first rank; what lies between in rank still comes first. */
static void test_repeated_merge(void **state)
{
    static const char text[] = "the quick brown fox said that this is the one";
    clm_tokenizer *tok, *other;
    size_t n, n_other;
    int *ids, *ids_other;
    copy c;

    (void)state;
    copy_open(&c);
    tok = must_create(&c);
    n = encode(tok, text, &ids);
    c.merges = realloc(c.merges, 2 * c.vocab.n_merges * sizeof *c.merges);
    for (size_t i = 0; i < c.vocab.n_merges; i++)
        c.merges[c.vocab.n_merges + i] = c.merges[c.vocab.n_merges - 1 - i];
    c.vocab.merges = c.merges;
    c.vocab.n_merges *= 2;
    other = must_create(&c);
    n_other = encode(other, text, &ids_other);
    assert_int_equal(n, n_other);
    assert_memory_equal(ids, ids_other, n * sizeof *ids);
    free(ids);
    free(ids_other);
    clm_tokenizer_destroy(tok);
    clm_tokenizer_destroy(other);
    copy_close(&c);
}

/* Empty pieces give nothing; characters that stand for no byte stay what they are. */
static void test_odd_pieces(void **state)
{
    clm_tokenizer *tok;
    size_t size;
    const char *piece;
    copy c;

    (void)state;
    copy_open(&c);
    set_piece(&c, 3, "");
    set_piece(&c, 7, "\xe2\x96\x81 x"); /* U+2581 and a space */
    c.pieces[7].type = CLM_PIECE_NORMAL;
    tok = must_create(&c);
    piece = clm_tokenizer_piece(tok, 7, &size);
    assert_int_equal(size, 5);
    assert_memory_equal(piece, "\xe2\x96\x81 x", 5);
    clm_tokenizer_piece(tok, 3, &size);
    assert_int_equal(size, 0);
    clm_tokenizer_destroy(tok);
    copy_close(&c);
}

/* Writes `size` bytes to a file and loads it: it works, or it is refused with a sentence. */
static void load_bytes(const char *path, const char *data, size_t size)
{
    static const char text[] = "The file <filename> lorem ipsum don't 1234 \xf0\x9f\x98\x80 \xff";
    FILE *file = fopen(path, "wb");
    clm_tokenizer *tok;
    clm_err err = {""};
    clm_status st;

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
    st = clm_tokenizer_load(path, &tok, &err);
    if (st == CLM_OK) {
        int *ids;
        free((encode(tok, text, &ids), ids));
        clm_tokenizer_destroy(tok);
    } else {
        assert_int_equal(st, CLM_E_MODEL);
        assert_true(err.text[0] != '\0');
    }
}

static void test_damaged_files(void **state)
{
    char path[] = "/tmp/clm-test-bpe-XXXXXX", *data;
    size_t size;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(clm_file_read(SMALL, 1 << 20, &data, &size, NULL), CLM_OK);
    for (size_t cut = 0; cut < size; cut += 211) load_bytes(path, data, cut);
    for (size_t at = 0; at < size; at += at < 600 ? 1 : 53) {
        const char kept = data[at];

        data[at] = (char)~kept;
        load_bytes(path, data, size);
        data[at] = (char)(kept ^ 1);
        load_bytes(path, data, size);
        data[at] = kept;
    }
    load_bytes(path, data, size);
    unlink(path);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_cases),   cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_properties),     cmocka_unit_test(test_refused_pieces),
        cmocka_unit_test(test_refused_merges), cmocka_unit_test(test_too_many_specials),
        cmocka_unit_test(test_repeated_merge), cmocka_unit_test(test_odd_pieces),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
