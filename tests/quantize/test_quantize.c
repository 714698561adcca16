/* test_quantize.c: clm_quantize on the demo model: equal results however it is run, interruption at
 * many points, damage to what an interrupted run left, refusals. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "runtime/clm.h"
#include "runtime/formats/gguf.h"
#include "runtime/formats/model_file.h"
#include "tests/quantize/scratch.h"

#define SOURCE CLM_SOURCE_DIR "/configs/demo.gguf"

/* ---- running --------------------------------------------------------------------------------- */

/* Stops a run after some pieces. */
typedef struct stopper {
    volatile sig_atomic_t flag;
    int after; /* calls of progress; < 0: never */
    char said[2048];
} stopper;

static void on_progress(void *user, const char *stage, size_t done, size_t total)
{
    stopper *s = user;

    (void)done, (void)total;
    if (strncmp(stage, "quantising", 10) == 0 && s->after >= 0 && s->after-- == 0) s->flag = 1;
}

static void on_message(void *user, clm_log_level level, const char *text)
{
    stopper *s = user;

    (void)level;
    strncat(s->said, text, sizeof s->said - strlen(s->said) - 2);
    strcat(s->said, "\n");
}

static clm_status run(clm_quantize_options o, stopper *s, clm_quantize_report *report, clm_err *err)
{
    const clm_observer obs = {s, on_message, on_progress};
    clm_status st;

    s->flag = 0;
    s->said[0] = '\0';
    o.stop = &s->flag;
    st = clm_quantize(&o, &obs, report, err);
    if (st != CLM_OK) assert_true(err->text[0] != '\0');
    return st;
}

/* Must succeed; returns how many tensors were kept from before. */
static size_t convert(const char *source, const char *target, const char *type, size_t threads)
{
    stopper s = {.after = -1};
    clm_quantize_report report;
    clm_err err = {""};
    const clm_quantize_options o = {
        .source = source, .target = target, .type = type, .threads = threads, .force = true};

    if (run(o, &s, &report, &err) != CLM_OK) fail_msg("%s", err.text);
    const size_t kept = report.n_kept;
    clm_quantize_report_clear(&report);
    return kept;
}

/* Begins and stops after some pieces. */
static void interrupt(const char *target, const char *type, int after)
{
    stopper s = {.after = after};
    clm_quantize_report report;
    clm_err err = {""};
    const clm_quantize_options o = {
        .source = SOURCE, .target = target, .type = type, .threads = 2, .force = true};

    assert_int_equal(run(o, &s, &report, &err), CLM_E_INTERRUPTED);
    assert_non_null(strstr(s.said, "goes on from there"));
    clm_quantize_report_clear(&report);
}

/* Must fail so; the sentence must hold `words`. */
static void refuse(clm_quantize_options o, clm_status expected, const char *words)
{
    stopper s = {.after = -1};
    clm_quantize_report report;
    clm_err err = {""};

    assert_int_equal(run(o, &s, &report, &err), expected);
    if (strstr(err.text, words) == NULL) fail_msg("'%s' is not in: %s", words, err.text);
    clm_quantize_report_clear(&report);
}

static void assert_same_file(const char *a, const char *b)
{
    size_t size_a, size_b;
    char *data_a = scratch_read(a, &size_a), *data_b = scratch_read(b, &size_b);

    assert_int_equal(size_a, size_b);
    assert_memory_equal(data_a, data_b, size_a);
    free(data_a);
    free(data_b);
}

/* Inverts the byte at `place`, counted from the end when negative. */
static void damage(const char *path, long place)
{
    FILE *file = fopen(path, "r+b");
    int byte;

    assert_non_null(file);
    assert_int_equal(fseek(file, place, place < 0 ? SEEK_END : SEEK_SET), 0);
    byte = fgetc(file);
    assert_true(byte != EOF);
    fseek(file, -1, SEEK_CUR);
    fputc(~byte & 0xff, file);
    fclose(file);
}

/* ---- results --------------------------------------------------------------------------------- */

static void threads_do_not_matter(void **state)
{
    static const char *const names[] = {"int4", "int8", "q4_0", "q4_1", "q8_0", "f16", "f32"};
    char *one = scratch_path(state, "one.gguf"), *many = scratch_path(state, "many.gguf");

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(convert(SOURCE, one, names[i], 1), 0);
        assert_int_equal(convert(SOURCE, many, names[i], 5), 0);
        assert_same_file(one, many);
        if (clm_model_verify(one, NULL, NULL) != CLM_OK) fail_msg("%s does not verify", names[i]);
    }
    free(one);
    free(many);
}

/* Every weight of a file, one tensor after the other, as floats. */
static float *read_weights(const char *path, size_t *count)
{
    clm_model_file *mf;
    size_t n, at = 0;
    clm_err err = {""};
    float *out;

    if (clm_model_file_open(path, &mf, &err) != CLM_OK) fail_msg("%s", err.text);
    const size_t layers = clm_model_file_hparams(mf)->n_layers;
    *count = 0;
    clm_model_file_tensors(mf, &n);
    for (size_t i = 0; i < n; i++)
        *count += clm_model_file_tensors(mf, &n)[i].rows * clm_model_file_tensors(mf, &n)[i].cols;
    out = malloc(*count * sizeof *out);
    for (int role = CLM_W_EMBED; role <= CLM_W_DOWN; role++) {
        for (size_t layer = 0; layer < (role < CLM_W_ATTN_NORM ? 1 : layers); layer++) {
            const clm_tensor *t = clm_model_file_weight(mf, (clm_weight_role)role, layer);

            assert_int_equal(clm_tensor_read_rows(t, 0, t->rows, out + at, &err), CLM_OK);
            at += t->rows * t->cols;
        }
    }
    assert_int_equal(at, *count);
    clm_model_file_close(mf);
    return out;
}

static void floats_are_exact(void **state)
{
    char *f32 = scratch_path(state, "f32.gguf"), *q8 = scratch_path(state, "q8.gguf");
    size_t n_source, n_f32, n_q8;
    float *source, *from_f32, *from_q8;

    convert(SOURCE, f32, "f32", 2);
    convert(SOURCE, q8, "q8_0", 2); /* of the same type: copied */
    source = read_weights(SOURCE, &n_source);
    from_f32 = read_weights(f32, &n_f32);
    from_q8 = read_weights(q8, &n_q8);
    assert_int_equal(n_source, n_f32);
    assert_int_equal(n_source, n_q8);
    assert_memory_equal(source, from_f32, n_source * sizeof *source);
    assert_memory_equal(source, from_q8, n_source * sizeof *source);
    free(source);
    free(from_f32);
    free(from_q8);
    free(f32);
    free(q8);
}

static void report_says_what_was_lost(void **state)
{
    char *f32 = scratch_path(state, "f32.gguf"), *target = scratch_path(state, "int4.gguf");
    stopper s = {.after = -1};
    clm_quantize_report report;
    clm_err err = {""};
    size_t n, n_again;
    double error = 0.0, stated = 0.0;
    float *before, *after;

    convert(SOURCE, f32, "f32", 2);
    if (run((clm_quantize_options){.source = f32, .target = target, .type = "int4"}, &s, &report,
            &err) != CLM_OK)
        fail_msg("%s", err.text);
    /* Rows of 96 are no whole blocks of 64: said once, and counted. */
    assert_non_null(strstr(s.said, "rows of 96 elements"));
    assert_null(strstr(strstr(s.said, "rows of 96") + 10, "rows of 96"));
    assert_int_equal(report.n_fallbacks, 6 * 40);
    before = read_weights(f32, &n);
    after = read_weights(target, &n_again);
    assert_int_equal(n, n_again);
    for (size_t i = 0; i < n; i++)
        error += ((double)before[i] - after[i]) * ((double)before[i] - after[i]);
    assert_string_equal(report.tensors[0].name, "token_embd.weight");
    assert_string_equal(report.tensors[0].type, "Q8_0");
    for (size_t i = 0; i < report.n_tensors; i++) {
        const clm_quantize_tensor *t = &report.tensors[i];

        if (strstr(t->name, "ffn_down") != NULL) assert_string_equal(t->type, "INT4");
        if (strstr(t->name, "ffn_up") != NULL) assert_string_equal(t->type, "Q4_1");
        if (strstr(t->name, "norm") != NULL) assert_string_equal(t->type, "F32");
        assert_true(t->relative_error < 0.12);
        stated += t->mean_squared_error * (double)t->rows * (double)t->cols;
    }
    assert_true(fabs(stated - error) < 1e-4 * error);
    assert_true(report.relative_error > 0.02 && report.relative_error < 0.12);
    clm_quantize_report_clear(&report);
    free(before);
    free(after);
    free(f32);
    free(target);
}

static void head_and_embedding_can_be_chosen(void **state)
{
    char *target = scratch_path(state, "x.gguf");
    stopper s = {.after = -1};
    clm_quantize_report report;
    clm_err err = {""};
    const clm_quantize_options o = {.source = SOURCE,
                                    .target = target,
                                    .type = "q4_0",
                                    .head_type = "f16",
                                    .embedding_type = "q4_1"};

    if (run(o, &s, &report, &err) != CLM_OK) fail_msg("%s", err.text);
    assert_string_equal(report.tensors[0].type, "Q4_1");
    assert_string_equal(report.tensors[report.n_tensors - 1].name, "output.weight");
    assert_string_equal(report.tensors[report.n_tensors - 1].type, "F16");
    clm_quantize_report_clear(&report);
    free(target);
}

/* ---- interruption ---------------------------------------------------------------------------- */

static void going_on_gives_the_same(void **state)
{
    char *whole = scratch_path(state, "whole.gguf"), *target = scratch_path(state, "x.gguf"),
         *part = scratch_path(state, "x.gguf.part"),
         *journal = scratch_path(state, "x.gguf.part.journal");
    size_t kept = 0;

    convert(SOURCE, whole, "int4", 2);
    for (int after = 0; after < 300; after += 37) {
        clm_err err;

        interrupt(target, "int4", after);
        assert_false(clm_file_exists(target));
        /* The unfinished file is no model, whatever it holds. */
        assert_int_equal(clm_model_verify(part, NULL, &err), CLM_E_MODEL);
        if (after % 2 != 0) interrupt(target, "int4", after / 4); /* twice */
        kept = convert(SOURCE, target, "int4", 3);
        assert_true(after < 100 || kept > 50);
        assert_same_file(whole, target);
        assert_false(clm_file_exists(part));
        assert_false(clm_file_exists(journal));
        unlink(target);
    }
    assert_true(kept > 200);
    free(whole);
    free(target);
    free(part);
    free(journal);
}

static void damage_is_done_again(void **state)
{
    char *whole = scratch_path(state, "whole.gguf"), *target = scratch_path(state, "x.gguf"),
         *part = scratch_path(state, "x.gguf.part"),
         *journal = scratch_path(state, "x.gguf.part.journal");
    size_t size, kept;

    convert(SOURCE, whole, "q4_0", 2);
    interrupt(target, "q4_0", 200);
    free(scratch_read(part, &size));
    damage(part, (long)size / 4); /* inside of a finished tensor */
    damage(journal, -10);         /* and the last entry */
    kept = convert(SOURCE, target, "q4_0", 2);
    assert_true(kept > 100 && kept < 200);
    assert_same_file(whole, target);

    interrupt(target, "q4_0", 200);
    assert_int_equal(truncate(part, 100000), 0);
    assert_int_equal(convert(SOURCE, target, "q4_0", 2), 0);
    assert_same_file(whole, target);

    interrupt(target, "q4_0", 200);
    unlink(journal);
    assert_int_equal(convert(SOURCE, target, "q4_0", 2), 0);
    assert_same_file(whole, target);

    interrupt(target, "q4_0", 200);
    unlink(part);
    assert_int_equal(convert(SOURCE, target, "q4_0", 2), 0);
    assert_same_file(whole, target);
    free(whole);
    free(target);
    free(part);
    free(journal);
}

static void other_work_begins_anew(void **state)
{
    char *whole = scratch_path(state, "whole.gguf"), *target = scratch_path(state, "x.gguf"),
         *copy = scratch_path(state, "copy.gguf");
    size_t size;
    char *data = scratch_read(SOURCE, &size);

    convert(SOURCE, whole, "q4_1", 2);
    interrupt(target, "q4_0", 200);
    assert_int_equal(convert(SOURCE, target, "q4_1", 2), 0); /* another type */
    assert_same_file(whole, target);

    interrupt(target, "q4_1", 200);
    assert_int_equal(clm_file_replace(copy, data, size, NULL), CLM_OK);
    assert_int_equal(convert(copy, target, "q4_1", 2), 0); /* another source */
    assert_same_file(whole, target);
    free(data);
    free(whole);
    free(target);
    free(copy);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void wrong_use_is_refused(void **state)
{
    char *target = scratch_path(state, "x.gguf"), *folder = *state;
    clm_quantize_options o = {.source = SOURCE, .target = target, .type = "q5_9"};

    refuse(o, CLM_E_USAGE, "'q5_9' is no type");
    o.type = "int4";
    o.head_type = "int3";
    refuse(o, CLM_E_USAGE, "'int3' is no type");
    o.head_type = NULL;
    o.target = folder;
    refuse(o, CLM_E_USAGE, "is a folder");
    o.target = "/nowhere/at/all.gguf";
    refuse(o, CLM_E_IO, "/nowhere/at/all.gguf");
    o.target = target;
    o.source = "/nowhere/source.gguf";
    refuse(o, CLM_E_MODEL, "/nowhere/source.gguf");
    o.source = CLM_SOURCE_DIR "/README.md";
    refuse(o, CLM_E_MODEL, "not a GGUF file");
    assert_false(clm_file_exists(target));
    convert(SOURCE, target, "q4_0", 1);
    o.source = SOURCE;
    refuse(o, CLM_E_USAGE, "exists already");
    free(target);
}

/* The place of a tensor's data in an F32 file, so that a test can change it. */
static long place_of(const char *path, const char *name)
{
    clm_map map;
    clm_gguf *g;
    size_t i, count;
    long place;

    assert_int_equal(clm_map_open(path, &map, NULL), CLM_OK);
    assert_int_equal(clm_gguf_parse(path, map.data, map.size, &g, NULL), CLM_OK);
    assert_true(clm_gguf_tensor_find(g, name, &i));
    place = clm_gguf_tensors(g, &count)[i].data - map.data;
    clm_gguf_destroy(g);
    clm_map_close(&map);
    return place;
}

static void put_float(const char *path, long place, float value)
{
    FILE *file = fopen(path, "r+b");

    assert_non_null(file);
    fseek(file, place, SEEK_SET);
    assert_int_equal(fwrite(&value, sizeof value, 1, file), 1); /* little-endian hosts */
    fclose(file);
}

static void bad_values_are_refused(void **state)
{
    char *f32 = scratch_path(state, "f32.gguf"), *target = scratch_path(state, "x.gguf"),
         *part = scratch_path(state, "x.gguf.part");
    const clm_quantize_options o = {.source = f32, .target = target, .type = "q4_0"};
    clm_quantize_options f16 = o;
    long place;

    f16.type = "f16";
    convert(SOURCE, f32, "f32", 2);
    place = place_of(f32, "blk.7.ffn_up.weight") + 4 * (96 * 3 + 5); /* row 3, column 5 */
    put_float(f32, place, NAN);
    refuse(o, CLM_E_MODEL, "tensor 'blk.7.ffn_up.weight': row 3, column 5");
    refuse(f16, CLM_E_MODEL, "tensor 'blk.7.ffn_up.weight': row 3, column 5");
    put_float(f32, place, -INFINITY);
    refuse(o, CLM_E_MODEL, "not a finite number");
    put_float(f32, place, 1e9f);
    refuse(o, CLM_E_MODEL, "too large for Q4_0");
    refuse(f16, CLM_E_MODEL, "too large for F16");
    put_float(f32, place, 0.0f);
    put_float(f32, place_of(f32, "output_norm.weight"), NAN); /* vectors too */
    refuse(o, CLM_E_MODEL, "tensor 'output_norm.weight'");
    assert_false(clm_file_exists(target));
    assert_false(clm_file_exists(part)); /* nothing to go on with */
    free(f32);
    free(target);
    free(part);
}

static void no_room_is_one_sentence(void **state)
{
    char *target = scratch_path(state, "x.gguf"), *part = scratch_path(state, "x.gguf.part");
    const clm_quantize_options o = {.source = SOURCE, .target = target, .type = "q4_0"};
    struct rlimit old, small;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    refuse(o, CLM_E_IO, "x.gguf.part");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_false(clm_file_exists(target));
    assert_false(clm_file_exists(part));
    free(target);
    free(part);
}

static void verify_finds_damage(void **state)
{
    char *target = scratch_path(state, "x.gguf");
    clm_err err = {""};

    convert(SOURCE, target, "int4", 2);
    assert_int_equal(clm_model_verify(target, NULL, &err), CLM_OK);
    damage(target, place_of(target, "blk.39.ffn_down.weight") + 1000);
    assert_int_equal(clm_model_verify(target, NULL, &err), CLM_E_MODEL);
    assert_non_null(strstr(err.text, "'blk.39.ffn_down.weight' is damaged"));
    assert_int_equal(clm_model_verify(SOURCE, NULL, &err), CLM_E_MODEL);
    assert_non_null(strstr(err.text, "has no checksums"));
    assert_int_equal(clm_model_verify("/nowhere.gguf", NULL, &err), CLM_E_MODEL);
    free(target);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)
    const struct CMUnitTest tests[] = {
        TEST(threads_do_not_matter),     TEST(floats_are_exact),
        TEST(report_says_what_was_lost), TEST(head_and_embedding_can_be_chosen),
        TEST(going_on_gives_the_same),   TEST(damage_is_done_again),
        TEST(other_work_begins_anew),    TEST(wrong_use_is_refused),
        TEST(bad_values_are_refused),    TEST(no_room_is_one_sentence),
        TEST(verify_finds_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
