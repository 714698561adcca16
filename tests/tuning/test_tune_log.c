/* tests/tuning/test_tune_log.c: what the log says after killed runs, lost machines and years of use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/stat.h>
#include "host/file.h"
#include "tuning/tune_log.h"

static char g_dir[64];

static char *in_dir(const char *name)
{
    char *path = clm_path_join(g_dir, name);

    assert_non_null(path);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(g_dir, sizeof g_dir, "/tmp/clm-test-log-XXXXXX");
    return mkdtemp(g_dir) == NULL;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", g_dir);
    return system(command);
}

static clm_tune_try make_try(int wg, clm_tune_reason reason)
{
    clm_tune_try t = {.key = {.op = "made", .shape = "M=1 N=1000", .source = "0123456789abcdef"},
                      .params = {{"WG", wg}},
                      .n_params = 1,
                      .reason = reason,
                      .ms = 1.5,
                      .when = 1795554286};

    snprintf(t.text, sizeof t.text, "it's \"%d\": so", wg);
    return t;
}

static void log_comes_back(void **state)
{
    char *path = in_dir("a.log");
    const clm_tune_try ok = make_try(16, CLM_TUNE_OK), hang = make_try(64, CLM_TUNE_HANG),
                       lost = make_try(256, CLM_TUNE_OK);
    const clm_tune_try *back;
    clm_tune_log *j, *second;
    clm_tune_try *list;
    size_t n;
    clm_err err;
    FILE *f;

    (void)state;
    assert_int_equal(clm_tune_log_open(path, &j, &err), CLM_OK);
    assert_int_equal(clm_tune_log_open(path, &second, &err), CLM_E_LIMIT); /* one at a time */
    assert_int_equal(clm_tune_log_begin(j, &ok, &err), CLM_OK);
    assert_int_equal(clm_tune_log_end(j, &ok, &err), CLM_OK);
    assert_int_equal(clm_tune_log_begin(j, &hang, &err), CLM_OK);
    assert_int_equal(clm_tune_log_end(j, &hang, &err), CLM_OK);
    assert_int_equal(clm_tune_log_begin(j, &lost, &err), CLM_OK); /* killed here */
    clm_tune_log_close(j);
    f = fopen(path, "a");
    fprintf(f, "- {op: made, shape: \"%s\", source: \"%s\", params: {\"<b>\": 1}, result: hang}\n",
            ok.key.shape, ok.key.source);
    fputs("- {op: made, shape: \"M=1", f);
    fclose(f);

    assert_int_equal(clm_tune_log_open(path, &j, &err), CLM_OK);
    back = clm_tune_log_find(j, &ok.key, ok.params, 1);
    assert_non_null(back);
    assert_true(back->reason == CLM_TUNE_OK && back->ms == 1.5 && back->when == ok.when);
    back = clm_tune_log_find(j, &hang.key, hang.params, 1);
    assert_non_null(back);
    assert_int_equal(back->reason, CLM_TUNE_HANG);
    assert_string_equal(back->text, hang.text);
    assert_null(clm_tune_log_find(j, &lost.key, lost.params, 1));
    assert_int_equal(clm_tune_log_end(j, &lost, &err), CLM_OK); /* behind the half line */
    clm_tune_log_close(j);
    assert_int_equal(clm_tune_log_open(path, &j, &err), CLM_OK);
    assert_non_null(clm_tune_log_find(j, &lost.key, lost.params, 1));
    clm_tune_log_close(j);
    assert_int_equal(clm_tune_log_read(path, &list, &n, &err), CLM_OK);
    assert_int_equal(n, 3); /* not what has a name like "<b>" */
    free(list);
    free(path);
}

/* What took the machine down twice is not tried a third time. */
static void machine_went_down(void **state)
{
    char *path = in_dir("a.log");
    const clm_tune_try t = make_try(16, CLM_TUNE_OK);
    clm_tune_log *j;
    clm_err err;

    (void)state;
    for (int n = 0; n < 3; n++) {
        const clm_tune_try *back;
        FILE *f;

        assert_int_equal(clm_tune_log_open(path, &j, &err), CLM_OK);
        back = clm_tune_log_find(j, &t.key, t.params, 1);
        assert_true(n < 2 ? back == NULL : back != NULL && back->reason == CLM_TUNE_CRASH);
        clm_tune_log_close(j);
        f = fopen(path, "a");
        fprintf(f,
                "- {op: made, shape: \"%s\", source: \"%s\", params: {WG: 16}, result: begin, "
                "when: 1, text: boot-%d}\n",
                t.key.shape, t.key.source, n);
        fclose(f);
    }
    free(path);
}

/* Lost once, then stopped by Ctrl+C: that the machine is started anew later is not its fault. */
static void stopped_is_no_result(void **state)
{
    char *path = in_dir("a.log");
    const clm_tune_try t = make_try(16, CLM_TUNE_OK);
    clm_tune_try *list;
    size_t n;
    clm_err err;

    (void)state;
    for (int i = 0; i < 4; i++) {
        clm_tune_log *j;
        FILE *f = fopen(path, "a");

        fprintf(f,
                "- {op: made, shape: \"%s\", source: \"%s\", params: {WG: 16}, result: begin, "
                "when: 1, text: boot-%d}\n",
                t.key.shape, t.key.source, i);
        fclose(f);
        assert_int_equal(clm_tune_log_open(path, &j, &err), CLM_OK);
        assert_null(clm_tune_log_find(j, &t.key, t.params, 1));
        assert_int_equal(clm_tune_log_stop(j, &t, &err), CLM_OK);
        assert_null(clm_tune_log_find(j, &t.key, t.params, 1));
        clm_tune_log_close(j);
    }
    assert_int_equal(clm_tune_log_read(path, &list, &n, &err), CLM_OK);
    assert_int_equal(n, 0);
    free(list);
    free(path);
}

static off_t size_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

/* What 40,000 tries of 500 candidates leave, the last ones in order, and one that was lost once. */
static void write_long(const char *path)
{
    FILE *f = fopen(path, "w");

    for (int i = 0; i < 40000; i++)
        fprintf(f,
                "- {op: made, shape: M=1 N=1000, source: \"0123456789abcdef\", params: {WG: %d}, "
                "result: begin, when: %d, text: boot-0}\n"
                "- {op: made, shape: M=1 N=1000, source: \"0123456789abcdef\", params: {WG: %d}, "
                "result: ok, when: %d, ms: %d, median_ms: 2, error: 0.5, text: some words}\n",
                i % 500, i, i % 500, i, i + 1);
    fprintf(f, "- {op: made, shape: M=1 N=1000, source: \"0123456789abcdef\", params: {WG: 1000}, "
               "result: begin, when: 40000, text: boot-0}\n");
    assert_int_equal(fclose(f), 0);
}

static void a_long_log_is_written_anew(void **state)
{
    char *path = in_dir("a.log");
    const clm_tune_try lost = make_try(1000, CLM_TUNE_OK);
    clm_tune_log *j, *second;
    clm_tune_try *list;
    size_t n;
    clm_err err;
    FILE *f;

    (void)state;
    write_long(path);
    assert_true(size_of(path) > 8 << 20);
    if (clm_tune_log_open(path, &j, &err) != CLM_OK) fail_msg("%s", err.text);
    assert_true(size_of(path) < 200000);
    assert_int_equal(clm_tune_log_open(path, &second, &err),
                     CLM_E_LIMIT); /* it is held as before */
    for (int wg = 0; wg < 500; wg++) {
        const clm_tune_try t = make_try(wg, CLM_TUNE_OK),
                           *back = clm_tune_log_find(j, &t.key, t.params, 1);

        assert_non_null(back);
        assert_true(back->ms == 39500 + wg + 1);
        assert_string_equal(back->text, "some words");
    }
    assert_null(clm_tune_log_find(j, &lost.key, lost.params, 1));
    clm_tune_log_close(j);
    assert_int_equal(clm_tune_log_read(path, &list, &n, &err), CLM_OK);
    assert_int_equal(n, 500);
    free(list);

    /* Its first loss is remembered: with the second it counts as a crash. */
    f = fopen(path, "a");
    fprintf(f, "- {op: made, shape: M=1 N=1000, source: \"0123456789abcdef\", params: {WG: 1000}, "
               "result: begin, when: 50000, text: boot-1}\n");
    fclose(f);
    assert_int_equal(clm_tune_log_open(path, &j, &err), CLM_OK);
    assert_int_equal(clm_tune_log_find(j, &lost.key, lost.params, 1)->reason, CLM_TUNE_CRASH);
    clm_tune_log_close(j);
    free(path);
}

/* Candidates of more than it keeps: those tried last stay. */
static void the_oldest_are_forgotten(void **state)
{
    char *path = in_dir("a.log");
    const clm_tune_try old = make_try(0, CLM_TUNE_OK), new = make_try(59999, CLM_TUNE_OK);
    FILE *f = fopen(path, "w");
    clm_tune_log *j;
    clm_err err;

    (void)state;
    for (int i = 0; i < 60000; i++)
        fprintf(
            f,
            "- {op: made, shape: M=1 N=1000, source: \"0123456789abcdef\", params: {WG: %d}, "
            "result: ok, when: %d, ms: 1, median_ms: 2, error: 0.5, text: some words and more}\n",
            i, i);
    assert_int_equal(fclose(f), 0);
    assert_true(size_of(path) > 8 << 20);
    if (clm_tune_log_open(path, &j, &err) != CLM_OK) fail_msg("%s", err.text);
    clm_tune_log_close(j);
    if (clm_tune_log_open(path, &j, &err) != CLM_OK) fail_msg("%s", err.text);
    assert_null(clm_tune_log_find(j, &old.key, old.params, 1));
    assert_non_null(clm_tune_log_find(j, &new.key, new.params, 1));
    clm_tune_log_close(j);
    free(path);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(log_comes_back),           IN_DIR(machine_went_down),
        IN_DIR(stopped_is_no_result),     IN_DIR(a_long_log_is_written_anew),
        IN_DIR(the_oldest_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
