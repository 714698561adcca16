/* test_csv.c: tables in CSV files: what quotes may hold, line ends, line numbers, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/eval/csv.h"

static clm_csv parse(const char *text)
{
    clm_csv table;
    clm_err err = {""};

    if (clm_csv_parse(text, strlen(text), "t.csv", &table, &err) != CLM_OK)
        fail_msg("%s", err.text);
    return table;
}

static void assert_cell(const clm_csv *t, size_t row, size_t field, const char *text)
{
    assert_true(row < t->n_rows && field < t->n_fields);
    assert_string_equal(t->rows[row].fields[field], text);
}

static void refused(const char *text, size_t size, const char *sentence)
{
    clm_csv table;
    clm_err err = {""};

    assert_int_equal(clm_csv_parse(text, size, "t.csv", &table, &err), CLM_E_USAGE);
    assert_string_equal(err.text, sentence);
    clm_csv_clear(&table);
}

static void quotes_hold_anything(void **state)
{
    clm_csv t = parse("a,b\n\"1,2\",\"he said \"\"no\"\"\"\n\"two\nlines\r\nand\",\"\"\n,x\"y\n");

    (void)state;
    assert_int_equal(t.n_rows, 4);
    assert_int_equal(t.n_fields, 2);
    assert_cell(&t, 1, 0, "1,2");
    assert_cell(&t, 1, 1, "he said \"no\"");
    assert_cell(&t, 2, 0, "two\nlines\r\nand");
    assert_cell(&t, 2, 1, "");
    assert_cell(&t, 3, 0, "");
    assert_cell(&t, 3, 1, "x\"y");
    clm_csv_clear(&t);
}

static void rows_know_their_lines(void **state)
{
    static const char *const ends[] = {"\n", "\r\n"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char text[128] = "";
        clm_csv t;

        for (const char *const *part =
                 (const char *const[]){"", "a,b", "", "\"1\n\n\",2", "3,4", "", "", "5,6", NULL};
             *part != NULL; part++) {
            strcat(text, *part);
            strcat(text, ends[i]);
        }
        t = parse(text);
        assert_int_equal(t.n_rows, 4);
        assert_int_equal(t.rows[0].line, 2);
        assert_int_equal(t.rows[1].line, 4);
        assert_int_equal(t.rows[2].line, 7);
        assert_int_equal(t.rows[3].line, 10);
        clm_csv_clear(&t);
    }
}

static void the_mark_and_the_last_newline_may_be_there_or_not(void **state)
{
    static const char *const texts[] = {"a,b\n1,2", "a,b\n1,2\n", "\xEF\xBB\xBF\"a\",b\r\n1,2"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        clm_csv t = parse(texts[i]);

        assert_int_equal(t.n_rows, 2);
        assert_cell(&t, 0, 0, "a");
        assert_cell(&t, 1, 1, "2");
        clm_csv_clear(&t);
    }
}

static void spaces_belong_to_their_field(void **state)
{
    clm_csv t = parse("a, b \n 1 ,\t2\n");

    (void)state;
    assert_cell(&t, 0, 1, " b ");
    assert_cell(&t, 1, 0, " 1 ");
    assert_cell(&t, 1, 1, "\t2");
    clm_csv_clear(&t);
}

static void many_rows_and_fields(void **state)
{
    static char text[300 * 21 * 2 + 1];
    clm_csv t;

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        for (size_t j = 0; j < 21; j++) strcpy(text + 2 * (21 * i + j), j < 20 ? "7," : "8\n");
    }
    t = parse(text);
    assert_int_equal(t.n_rows, 300);
    assert_int_equal(t.n_fields, 21);
    assert_cell(&t, 299, 20, "8");
    clm_csv_clear(&t);
}

static void damage_is_refused_with_its_line(void **state)
{
#define REFUSED(text, sentence) refused(text, sizeof text - 1, sentence)
    (void)state;
    REFUSED("", "t.csv: the file is empty");
    REFUSED("\xEF\xBB\xBF\n\r\n\n", "t.csv: the file is empty");
    REFUSED("a,b\n\n1\n2,3,4\n", "t.csv:3: the row has 1 fields and the header 2");
    REFUSED("a,b\n1,2,3\n", "t.csv:2: the row has 3 fields and the header 2");
    REFUSED("a,b\n1,2\n3,\"4\n5,6\n", "t.csv:3: a quote in this row is not closed");
    REFUSED("a,b\n1,2\n3,\xC4\xE3\n", "t.csv:3: the line is not UTF-8");
    REFUSED("a,b\n1\0,2\n", "t.csv:2: the line holds a NUL byte");
#undef REFUSED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_hold_anything),
        cmocka_unit_test(rows_know_their_lines),
        cmocka_unit_test(the_mark_and_the_last_newline_may_be_there_or_not),
        cmocka_unit_test(spaces_belong_to_their_field),
        cmocka_unit_test(many_rows_and_fields),
        cmocka_unit_test(damage_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
