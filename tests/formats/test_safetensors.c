/* test_safetensors.c: the reader of safetensors: a sound file, every prefix of it, and headers with
 * one defect each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/formats/stored.h"

/* A file of this header and `n` bytes 0, 1, 2 ... of data; malloc'd. */
static uint8_t *make_file(const char *header, size_t n, size_t *size)
{
    const size_t length = strlen(header);
    uint8_t *file = malloc(8 + length + n);

    if (file == NULL) abort();
    for (size_t i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < n; i++) file[8 + length + i] = (uint8_t)i;
    *size = 8 + length + n;
    return file;
}

static clm_status read_file(const char *header, size_t n, clm_stored_list *list, clm_err *err)
{
    size_t size;
    uint8_t *file = make_file(header, n, &size);
    const clm_status st = clm__safetensors_read("f.safetensors", file, size, list, err);

    free(file); /* nobody looks at the data afterwards */
    return st;
}

static const char sound[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                            "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                            "\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}   ";

static void sound_file(void **state)
{
    clm_stored_list list = {0};
    size_t size;
    uint8_t *file = make_file(sound, 16, &size);
    const clm_stored *t;

    (void)state;
    assert_int_equal(clm__safetensors_read("f", file, size, &list, NULL), CLM_OK);
    assert_int_equal(clm__stored_sort(&list, NULL), CLM_OK);
    assert_int_equal(list.count, 2);
    t = clm__stored_find(&list, "b");
    assert_non_null(t);
    assert_int_equal(t->dtype, CLM_DTYPE_F16);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dims[0] * 10 + t->dims[1], 23);
    assert_int_equal(t->bytes, 12);
    assert_int_equal(t->data[0], 4);
    t = clm__stored_find(&list, "a");
    assert_non_null(t);
    assert_int_equal(t->rank, 0);
    assert_int_equal(t->data[3], 3);
    assert_null(clm__stored_find(&list, "c"));
    clm__stored_clear(&list);
    assert_null(clm__stored_find(&list, "a"));
    free(file);
}

static void every_prefix(void **state)
{
    size_t size;
    uint8_t *file = make_file(sound, 16, &size);

    (void)state;
    for (size_t n = 0; n < size; n++) {
        uint8_t *copy = malloc(n + (n == 0));
        clm_stored_list list = {0};
        clm_err err = {""};

        if (copy == NULL) abort();
        if (n > 0) memcpy(copy, file, n);
        if (clm__safetensors_read("cut.safetensors", copy, n, &list, &err) != CLM_E_MODEL)
            fail_msg("%zu of %zu bytes were taken", n, size);
        assert_true(strncmp(err.text, "cut.safetensors: ", 17) == 0);
        clm__stored_clear(&list);
        free(copy);
    }
    free(file);
}

#define TENSOR(DTYPE, SHAPE, OFFSETS)                                                              \
    "{\"t\":{\"dtype\":" DTYPE ",\"shape\":" SHAPE ",\"data_offsets\":" OFFSETS "}}"

static void defects(void **state)
{
    static const struct {
        const char *header;
        size_t bytes;
        const char *says;
    } cases[] = {
        {"[]", 0, "no JSON object"},
        {"{\"t\":1}", 0, "'dtype' is missing"},
        {TENSOR("\"F8\"", "[4]", "[0,4]"), 4, "unknown element type 'F8'"},
        {TENSOR("\"F16\"", "[2]", "[0]"), 4, "are not two"},
        {TENSOR("\"F16\"", "[2]", "[0,4,8]"), 8, "at most 2"},
        {TENSOR("\"F16\"", "[2]", "[4,0]"), 4, "is at bytes 4 to 0"},
        {TENSOR("\"F16\"", "[2]", "[0,8]"), 4, "cut off"},
        {TENSOR("\"F16\"", "[3]", "[0,4]"), 4, "do not make the 4 bytes"},
        {TENSOR("\"F16\"", "[-2]", "[0,4]"), 4, "whole numbers"},
        {TENSOR("\"F16\"", "[2.0]", "[0,4]"), 4, "whole numbers"},
        {TENSOR("\"F16\"", "[4611686018427387904,4]", "[0,0]"), 0, "do not make"},
        {TENSOR("\"F16\"", "[1,1,1,1,1,1,1,1,2]", "[0,4]"), 4, "at most 8"},
        {TENSOR("\"F16\"", "[2]", "[0,4]"), 6, "behind the last tensor"},
        {TENSOR("\"F16\"", "[2]", "[2,6]"), 6, "belong to no tensor"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[2,5]}}",
         5, "overlaps"},
        {"{\"a\\nb\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3,
         "not plain text"},
        {"{\"t\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3,
         "duplicate"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_stored_list list = {0};
        clm_err err = {""};

        if (read_file(cases[i].header, cases[i].bytes, &list, &err) != CLM_E_MODEL)
            fail_msg("taken: %s", cases[i].header);
        if (strstr(err.text, cases[i].says) == NULL || strstr(err.text, "f.safetensors") == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
        clm__stored_clear(&list);
    }
}

/* The same name in two files. */
static void one_name_twice(void **state)
{
    static const char header[] = TENSOR("\"F16\"", "[2]", "[0,4]");
    clm_stored_list list = {0};
    clm_err err = {""};

    (void)state;
    assert_int_equal(read_file(header, 4, &list, &err), CLM_OK);
    assert_int_equal(read_file(header, 4, &list, &err), CLM_OK);
    assert_int_equal(clm__stored_sort(&list, &err), CLM_E_MODEL);
    assert_non_null(strstr(err.text, "tensor 't' occurs twice"));
    clm__stored_clear(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_file),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(defects),
        cmocka_unit_test(one_name_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
