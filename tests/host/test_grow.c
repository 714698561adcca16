/* test_grow.c: arrays that grow: what they hold stays, room is enough, sizes that do not fit are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "host/grow.h"

static void test_one_by_one(void **state)
{
    size_t room = 0, moves = 0;
    uint32_t *list = NULL;

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        const size_t before = room;
        uint32_t *grown = clm_grow(list, &room, i + 1, sizeof *list);

        assert_non_null(grown);
        assert_true(room > i);
        if (room == before) assert_ptr_equal(grown, list);
        moves += room != before;
        list = grown;
        list[i] = i;
    }
    assert_true(moves < 20);
    for (uint32_t i = 0; i < 100000; i++) assert_int_equal(list[i], i);
    free(list);
}

static void test_many_at_once(void **state)
{
    size_t room = 0;
    char *text = clm_grow(NULL, &room, 1000, 1);

    (void)state;
    assert_non_null(text);
    assert_true(room >= 1000);
    text[999] = 'x';
    text = clm_grow(text, &room, 5000000, 1);
    assert_non_null(text);
    assert_true(room >= 5000000);
    assert_int_equal(text[999], 'x');
    free(text);
}

static void test_nothing_is_no_failure(void **state)
{
    struct large {
        char bytes[1000];
    } * list;
    size_t room = 0;

    (void)state;
    list = clm_grow(NULL, &room, 0, sizeof *list);
    assert_non_null(list);
    free(list);
}

static void test_too_many(void **state)
{
    size_t room = 0;
    uint64_t *list = clm_grow(NULL, &room, 3, sizeof *list);
    const size_t before = room;

    (void)state;
    assert_non_null(list);
    list[2] = 7;
    assert_null(clm_grow(list, &room, SIZE_MAX / 8 + 1, sizeof *list));
    assert_null(clm_grow(list, &room, SIZE_MAX, sizeof *list));
    assert_int_equal(room, before);
    assert_int_equal(list[2], 7);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_nothing_is_no_failure),
        cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
