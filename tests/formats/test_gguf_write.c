/* test_gguf_write.c: headers that are written are read back, key by key and tensor by tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/gguf_write.h"

static clm_gguf_writer *create(void)
{
    clm_gguf_writer *w;

    assert_int_equal(clm_gguf_writer_create(&w, NULL), CLM_OK);
    return w;
}

/* Finishes, appends room for the data and parses. `*file` owns the bytes. */
static clm_gguf *read_back(clm_gguf_writer *w, uint8_t **file, size_t *header_bytes)
{
    const size_t data_bytes = (size_t)clm_gguf_writer_data_bytes(w);
    uint8_t *header;
    clm_gguf *g;
    clm_err err = {""};

    assert_int_equal(clm_gguf_writer_finish(w, &header, header_bytes, &err), CLM_OK);
    assert_int_equal(*header_bytes % CLM_GGUF_ALIGNMENT, 0);
    *file = calloc(1, *header_bytes + data_bytes);
    memcpy(*file, header, *header_bytes);
    free(header);
    if (clm_gguf_parse("written", *file, *header_bytes + data_bytes, &g, &err) != CLM_OK)
        fail_msg("%s", err.text);
    clm_gguf_writer_destroy(w);
    return g;
}

static void put_keys(clm_gguf_writer *w)
{
    static const float floats[] = {1.5f, -0.0f, 3e38f};
    static const int32_t ints[] = {-1, 0, 2147483647};
    static const uint64_t longs[] = {0, 0xfedcba9876543210u};
    static const uint8_t bytes[] = {0, 255, 7, 8, 9};

    clm_gguf_put_u32(w, "a.number", 0xdeadbeefu);
    clm_gguf_put_f32(w, "a.float", -2.25f);
    clm_gguf_put_bool(w, "a.yes", true);
    clm_gguf_put_bool(w, "a.no", false);
    clm_gguf_put_string(w, "a.text", "\xe7\x99\xbe\xe5\xb7\x9d");
    clm_gguf_put_string(w, "a.empty", "");
    clm_gguf_put_f32s(w, "a.floats", floats, 3);
    clm_gguf_put_i32s(w, "a.ints", ints, 3);
    clm_gguf_put_u64s(w, "a.longs", longs, 2);
    clm_gguf_put_bytes(w, "a.bytes", bytes, 5);
    clm_gguf_put_strings(w, "a.strings", 3);
    clm_gguf_put_item(w, "one", 3);
    clm_gguf_put_item(w, "", 0);
    clm_gguf_put_item(w, "with\0nul", 8);
    clm_gguf_put_strings(w, "a.nothing", 0);
}

static void check_arrays(const clm_gguf *g)
{
    const clm_gguf_kv *kv;
    const uint8_t *pos;
    clm_gguf_string s;

    assert_int_equal(clm_gguf_get_array(g, "a.floats", CLM_GGUF_F32, &kv, NULL), CLM_OK);
    assert_int_equal(kv->count, 3);
    assert_int_equal(clm_load_u32(kv->data + 4), 0x80000000u);
    assert_int_equal(clm_gguf_get_array(g, "a.ints", CLM_GGUF_I32, &kv, NULL), CLM_OK);
    assert_int_equal((int32_t)clm_load_u32(kv->data), -1);
    assert_int_equal(clm_gguf_get_array(g, "a.longs", CLM_GGUF_U64, &kv, NULL), CLM_OK);
    assert_true(clm_load_u64(kv->data + 8) == 0xfedcba9876543210u);
    assert_int_equal(clm_gguf_get_array(g, "a.bytes", CLM_GGUF_U8, &kv, NULL), CLM_OK);
    assert_int_equal(kv->count, 5);
    assert_int_equal(kv->data[1], 255);
    assert_int_equal(clm_gguf_get_array(g, "a.strings", CLM_GGUF_STRING, &kv, NULL), CLM_OK);
    assert_int_equal(kv->count, 3);
    pos = kv->data;
    assert_true(clm_gguf_string_is(clm_gguf_next_string(&pos), "one"));
    assert_int_equal(clm_gguf_next_string(&pos).size, 0);
    s = clm_gguf_next_string(&pos);
    assert_int_equal(s.size, 8);
    assert_memory_equal(s.data, "with\0nul", 8);
    assert_int_equal((size_t)(pos - kv->data), clm_gguf_kv_bytes(kv));
    assert_int_equal(clm_gguf_get_array(g, "a.nothing", CLM_GGUF_STRING, &kv, NULL), CLM_OK);
    assert_int_equal(kv->count, 0);
}

static void check_keys(const clm_gguf *g)
{
    size_t number = 0;
    double value = 0.0;
    bool yes = false, no = true;
    clm_gguf_string s;

    assert_int_equal(clm_gguf_get_uint(g, "a.number", SIZE_MAX, &number, NULL, NULL), CLM_OK);
    assert_true(number == 0xdeadbeefu);
    assert_int_equal(clm_gguf_get_float(g, "a.float", &value, NULL, NULL), CLM_OK);
    assert_true(value == -2.25);
    assert_int_equal(clm_gguf_get_bool(g, "a.yes", &yes, NULL, NULL), CLM_OK);
    assert_int_equal(clm_gguf_get_bool(g, "a.no", &no, NULL, NULL), CLM_OK);
    assert_true(yes && !no);
    assert_int_equal(clm_gguf_get_string(g, "a.text", &s, NULL, NULL), CLM_OK);
    assert_true(clm_gguf_string_is(s, "\xe7\x99\xbe\xe5\xb7\x9d"));
    assert_int_equal(clm_gguf_get_string(g, "a.empty", &s, NULL, NULL), CLM_OK);
    assert_int_equal(s.size, 0);
    check_arrays(g);
}

static void keys_come_back(void **state)
{
    clm_gguf_writer *w = create();
    uint8_t *file;
    size_t header, count;
    clm_gguf *g;

    (void)state;
    put_keys(w);
    g = read_back(w, &file, &header);
    assert_int_equal(clm_gguf_version(g), 3);
    clm_gguf_kvs(g, &count);
    assert_int_equal(count, 12);
    check_keys(g);
    clm_gguf_destroy(g);
    free(file);
}

static void copies_are_equal(void **state)
{
    clm_gguf_writer *first = create(), *second = create();
    uint8_t *file, *again;
    size_t header, header_again, count;
    clm_gguf *g, *copy;

    (void)state;
    put_keys(first);
    g = read_back(first, &file, &header);
    const clm_gguf_kv *kvs = clm_gguf_kvs(g, &count);
    for (size_t i = 0; i < count; i++) clm_gguf_put_copy(second, &kvs[i]);
    copy = read_back(second, &again, &header_again);
    check_keys(copy);
    assert_int_equal(header, header_again);
    assert_memory_equal(file, again, header);
    clm_gguf_destroy(g);
    clm_gguf_destroy(copy);
    free(file);
    free(again);
}

static void tensors_are_placed(void **state)
{
    clm_gguf_writer *w = create();
    uint8_t *file;
    size_t header, count;
    clm_gguf *g;

    (void)state;
    assert_int_equal(clm_gguf_put_tensor(w, "norm", 1, 5, true, CLM_QTYPE_F32), 0);
    assert_int_equal(clm_gguf_put_tensor(w, "one", 1, 64, false, CLM_QTYPE_INT4), 32);
    assert_int_equal(clm_gguf_put_tensor(w, "big", 3, 64, false, CLM_QTYPE_Q4_0), 96);
    assert_int_equal(clm_gguf_put_tensor(w, "last", 2, 3, false, CLM_QTYPE_F16), 224);
    assert_int_equal(clm_gguf_writer_data_bytes(w), 256);
    g = read_back(w, &file, &header);
    const clm_gguf_tensor *t = clm_gguf_tensors(g, &count);
    assert_int_equal(count, 4);
    assert_true(clm_gguf_string_is(t[0].name, "norm"));
    assert_int_equal(t[0].n_dims, 1);
    assert_int_equal(t[0].dims[0], 5);
    assert_int_equal(t[1].n_dims, 2);
    assert_int_equal(t[1].type, CLM_QTYPE_INT4);
    assert_int_equal(t[1].bytes, 36);
    assert_int_equal(t[2].dims[0], 64);
    assert_int_equal(t[2].dims[1], 3);
    assert_ptr_equal(t[2].data, file + header + 96);
    assert_ptr_equal(t[3].data, file + header + 224);
    clm_gguf_destroy(g);
    free(file);
}

static void nothing_is_a_file_too(void **state)
{
    uint8_t *file;
    size_t header, count;
    clm_gguf *g = read_back(create(), &file, &header);

    (void)state;
    clm_gguf_tensors(g, &count);
    assert_int_equal(count, 0);
    clm_gguf_destroy(g);
    free(file);
    clm_gguf_writer_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_back),
        cmocka_unit_test(copies_are_equal),
        cmocka_unit_test(tensors_are_placed),
        cmocka_unit_test(nothing_is_a_file_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
