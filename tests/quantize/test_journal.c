/* test_journal.c: what comes back from a journal, whole, of other work, and damaged at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/quantize/journal.h"
#include "tests/quantize/scratch.h"

static const char ID[] = "0123456789abcdef0123456789abcdef";
static const char OTHER[] = "0123456789abcdef0123456789abcdee";
enum { N = 5 };

static const clm_journal_entry written[N] = {
    [1] = {true, 0xfedcba9876543210u, 0.1, 1e-30},
    [4] = {true, 7, 0.0, 123456.789},
};

static clm_journal *open_journal(const char *path, const char *id, bool resume,
                                 clm_journal_entry entries[N])
{
    clm_journal *j;
    clm_err err = {""};

    if (clm_journal_open(path, id, resume, entries, N, &j, &err) != CLM_OK)
        fail_msg("%s", err.text);
    return j;
}

static void write_journal(const char *path)
{
    clm_journal_entry entries[N];
    clm_journal *j = open_journal(path, ID, false, entries);

    assert_int_equal(clm_journal_add(j, 4, &written[4], NULL), CLM_OK);
    assert_int_equal(clm_journal_add(j, 1, &written[1], NULL), CLM_OK);
    clm_journal_close(j);
}

static bool same(const clm_journal_entry *a, const clm_journal_entry *b)
{
    return a->done == b->done && a->sum == b->sum && a->error == b->error && a->norm == b->norm;
}

static size_t count_done(const char *path, const char *id, bool resume)
{
    clm_journal_entry entries[N];
    size_t n = 0;

    clm_journal_close(open_journal(path, id, resume, entries));
    for (size_t i = 0; i < N; i++) {
        n += entries[i].done;
        assert_true(!entries[i].done || same(&entries[i], &written[i]));
    }
    return n;
}

static void comes_back(void **state)
{
    char *path = scratch_path(state, "journal");

    write_journal(path);
    assert_int_equal(count_done(path, ID, true), 2);
    assert_int_equal(count_done(path, ID, true), 2); /* opening has not changed it */
    free(path);
}

static void goes_on(void **state)
{
    char *path = scratch_path(state, "journal");
    clm_journal_entry entries[N];
    clm_journal *j;

    write_journal(path);
    j = open_journal(path, ID, true, entries);
    assert_int_equal(clm_journal_add(j, 0, &(clm_journal_entry){true, 1, 2.0, 3.0}, NULL), CLM_OK);
    clm_journal_close(j);
    clm_journal_close(open_journal(path, ID, true, entries));
    assert_true(entries[0].done && entries[0].sum == 1 && entries[0].error == 2.0);
    assert_true(same(&entries[1], &written[1]) && same(&entries[4], &written[4]));
    free(path);
}

static void other_work_begins_anew(void **state)
{
    char *path = scratch_path(state, "journal");

    write_journal(path);
    assert_int_equal(count_done(path, OTHER, true), 0);
    assert_int_equal(count_done(path, ID, true), 0); /* and is gone */
    write_journal(path);
    assert_int_equal(count_done(path, ID, false), 0);
    assert_int_equal(count_done(path, ID, true), 0);
    unlink(path);
    assert_int_equal(count_done(path, ID, true), 0);
    free(path);
}

static void put_file(const char *path, const char *data, size_t size)
{
    assert_int_equal(clm_file_replace(path, data, size, NULL), CLM_OK);
}

static void cut_anywhere(void **state)
{
    char *path = scratch_path(state, "journal");
    size_t size, before = 0;
    char *whole;

    write_journal(path);
    whole = scratch_read(path, &size);
    for (size_t cut = 0; cut <= size; cut++) {
        put_file(path, whole, cut);
        const size_t n = count_done(path, ID, true);
        assert_true(n == before || n == before + 1);
        before = n;
    }
    assert_int_equal(before, 2);
    free(whole);
    free(path);
}

static void damaged_anywhere(void **state)
{
    char *path = scratch_path(state, "journal");
    size_t size;
    char *whole;

    write_journal(path);
    whole = scratch_read(path, &size);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            whole[i] = (char)(whole[i] ^ (1 << bit));
            put_file(path, whole, size);
            assert_true(count_done(path, ID, true) < 2); /* each entry that counts is right */
            whole[i] = (char)(whole[i] ^ (1 << bit));
        }
    }
    free(whole);
    free(path);
}

static void cannot_be_written(void **state)
{
    clm_journal_entry entries[N];
    clm_journal *j;
    clm_err err = {""};

    (void)state;
    assert_int_equal(clm_journal_open("/nowhere/at/all", ID, true, entries, N, &j, &err), CLM_E_IO);
    assert_null(j);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    clm_journal_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(goes_on, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(other_work_begins_anew, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(cut_anywhere, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(damaged_anywhere, scratch_create, scratch_remove),
        cmocka_unit_test(cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
