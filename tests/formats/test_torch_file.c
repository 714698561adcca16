/* test_torch_file.c: the unpickler and the archive around it: a pickle as torch writes it, every
 * prefix, every opcode and name that is refused, and archives with one defect each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/formats/pickle.h"

/* Text that may hold NUL. */
typedef struct bytes {
    const char *data;
    size_t size;
} bytes;
#define BYTES(...)                                                                                 \
    {                                                                                              \
        __VA_ARGS__, sizeof(__VA_ARGS__) - 1                                                       \
    }

#define TEXT1(LENGTH, TEXT) "X" LENGTH "\0\0\0" TEXT
/* ('storage', torch.HalfStorage, '0', 'cpu', 8) as a persistent id */
#define STORAGE(COUNT)                                                                             \
    "(" TEXT1("\7", "storage") "ctorch\nHalfStorage\n" TEXT1("\1", "0") TEXT1("\3", "cpu") COUNT   \
        "tQ"
/* offset 2, sizes (2, 3), strides (3, 1), no gradient, no hooks */
#define PLACE    "K\2K\2K\3\x86K\3K\1\x86\x89"
#define NO_HOOKS "ccollections\nOrderedDict\n)R"
#define TENSOR   "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("K\10") PLACE NO_HOOKS "tR"

/* OrderedDict([("w", tensor), ("p", Parameter(the same))]) with its attribute _metadata */
static const bytes sound =
    BYTES("\x80\2" NO_HOOKS "q\0(" TEXT1("\1", "w") TENSOR
          "q\1" TEXT1("\1", "p") "ctorch._utils\n_rebuild_parameter\n(h\1\x88" NO_HOOKS "tRu"
                                 "}q\2" TEXT1("\11", "_metadata") "h\0s"
                                                                  "b.");

static const uint8_t storage[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static clm_status find(void *context, const char *key, size_t key_size, const uint8_t **data,
                       size_t *n, clm_err *err)
{
    (void)context, (void)err;
    assert_int_equal(key_size, 1);
    assert_int_equal(key[0], '0');
    *data = storage;
    *n = sizeof storage;
    return CLM_OK;
}

static clm_status unpickle(const char *data, size_t size, clm_stored_list *list, clm_err *err)
{
    uint8_t *copy = malloc(size + (size == 0)); /* of its own size, for sanitizers */
    clm_status st;

    if (copy == NULL) abort();
    if (size > 0) memcpy(copy, data, size);
    st = clm__pickle_read("f.bin", copy, size, find, NULL, list, err);
    free(copy);
    return st;
}

static void check_tensor(const clm_stored *t, const uint8_t *data)
{
    assert_non_null(t);
    assert_int_equal(t->dtype, CLM_DTYPE_F16);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dims[0] * 10 + t->dims[1], 23);
    assert_int_equal(t->bytes, 12);
    assert_ptr_equal(t->data, data);
}

static void sound_pickle(void **state)
{
    clm_stored_list list = {0};
    clm_err err = {""};

    (void)state;
    if (unpickle(sound.data, sound.size, &list, &err) != CLM_OK) fail_msg("%s", err.text);
    assert_int_equal(clm__stored_sort(&list, &err), CLM_OK);
    assert_int_equal(list.count, 2);
    check_tensor(clm__stored_find(&list, "w"), storage + 4);
    check_tensor(clm__stored_find(&list, "p"), storage + 4);
    clm__stored_clear(&list);
}

static void every_prefix(void **state)
{
    (void)state;
    for (size_t n = 0; n < sound.size; n++) {
        clm_stored_list list = {0};
        clm_err err = {""};

        if (unpickle(sound.data, n, &list, &err) != CLM_E_MODEL)
            fail_msg("%zu of %zu bytes were taken", n, sound.size);
        assert_true(strncmp(err.text, "f.bin: ", 7) == 0);
        clm__stored_clear(&list);
    }
}

#define ONE(VALUE) "\x80\2}" TEXT1("\1", "w") VALUE "s."

static void refused(void **state)
{
    static const struct {
        bytes pickle;
        const char *says;
    } cases[] = {
        {BYTES("\x80\2cos\nsystem\n" TEXT1("\1", "x") "\x85R."), "asks for 'os.system'"},
        {BYTES("\x80\4\x8c\2os\x8c\6system\x93."), "asks for 'os.system'"},
        {BYTES("\x80\2ctorch\nload\n."), "asks for 'torch.load'"},
        {BYTES("\x80\2ctorch\nQInt8Storage\n."), "'torch.QInt8Storage'"},
        {BYTES("\x80\2(ios\nsystem\n."), "opcode INST"},
        {BYTES("\x80\2(o."), "opcode OBJ"},
        {BYTES("\x80\2)\x81."), "opcode NEWOBJ"},
        {BYTES("\x80\2\x82\1."), "opcode EXT1"},
        {BYTES("\x80\2Pid\n."), "opcode PERSID"},
        {BYTES("\x80\2\xff."), "unknown opcode 0xff"},
        {BYTES("\x80\x63."), "protocol 99"},
        {BYTES("\x80\2]."), "no dictionary of tensors"},
        {BYTES("\x80\2}}."), "no dictionary of tensors"},
        {BYTES("\x80\2(."), "no dictionary of tensors"},
        {BYTES("\x80\2s."), "stack is empty"},
        {BYTES("\x80\2}((s."), "mark stands"},
        {BYTES("\x80\2(R."), "empty stack"},
        {BYTES("\x80\2u."), "a mark is missing"},
        {BYTES("\x80\2}(Nu."), "items without a dictionary"},
        {BYTES("\x80\2](NNu."), "no dictionary"},
        {BYTES("\x80\2}(Ne."), "no list"},
        {BYTES("\x80\2h\5."), "before it is set"},
        {BYTES("\x80\2Nr\xff\xff\xff\xff."), "memo number is out of range"},
        {BYTES("\x80\2X\xff\xff\xff\xff."), "longer than the file"},
        {BYTES("\x80\2\x8b\xff\xff\xff\x7f."), "more than 64 bits"},
        {BYTES("\x80\4\x95\0\0\0\0\0\0\0\x80."), "frame is cut off"},
        {BYTES("\x80\2}}b."), "BUILD of something else"},
        {BYTES("\x80\2" NO_HOOKS "Nb."), "BUILD of something else"},
        {BYTES("\x80\2}NR."), "no function"},
        {BYTES("\x80\2}K\1Ns."), "key of the table of tensors is no text"},
        {BYTES(ONE("N")), "'w' holds no tensor"},
        {BYTES(ONE("ctorch._utils\n_rebuild_tensor_v2\n)R")), "not made of six values"},
        {BYTES(ONE("ctorch._utils\n_rebuild_tensor_v2\n(NK\0))\x89NtR")), "without a storage"},
        {BYTES(ONE("(" TEXT1("\7", "storage") "NNNNtQ")), "not named as torch"},
        {BYTES(ONE("(NNtQ")), "not named by five"},
        {BYTES(
             ONE("(" TEXT1("\7", "storage") "ctorch\nHalfStorage\n" TEXT1("\3", "../") "NK\10tQ")),
         "not a plain word"},
        {BYTES(ONE("ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("K\11") PLACE "NtR")),
         "has 16 bytes of 18"},
#define WITH_PLACE(P) ONE("ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("K\10") P "\x89NtR")
        {BYTES(WITH_PLACE("K\3K\2K\3\x86K\3K\1\x86")), "beyond its storage"},
        {BYTES(WITH_PLACE("J\xff\xff\xff\xffK\2K\3\x86K\3K\1\x86")), "a place in it"},
        {BYTES(WITH_PLACE("K\0K\2K\3\x86K\1K\2\x86")), "not dense"},
        {BYTES(WITH_PLACE("K\0K\2K\3\x86K\1\x85")), "another number of strides"},
        {BYTES(WITH_PLACE("K\0J\xff\xff\xff\xffK\3\x86K\3K\1\x86")), "something else than sizes"},
        {BYTES(WITH_PLACE("K\0\x8a\10\0\0\0\0\0\0\0\x40K\4\x86K\0K\0\x86")), "beyond its storage"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_stored_list list = {0};
        clm_err err = {""};

        if (unpickle(cases[i].pickle.data, cases[i].pickle.size, &list, &err) != CLM_E_MODEL)
            fail_msg("case %zu was taken (%s)", i, cases[i].says);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].says);
        clm__stored_clear(&list);
    }
}

/* Strides along a dimension of 1 mean nothing, and a tensor may have no elements. */
static void odd_but_sound(void **state)
{
    static const bytes cases[] = {BYTES(WITH_PLACE("K\0K\1K\3\x86K\x63K\1\x86")),
                                  BYTES(WITH_PLACE("K\10K\0K\3\x86K\3K\1\x86")),
                                  BYTES(WITH_PLACE("K\7))"))};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_stored_list list = {0};
        clm_err err = {""};

        if (unpickle(cases[i].data, cases[i].size, &list, &err) != CLM_OK)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(list.count, 1);
        clm__stored_clear(&list);
    }
}

/* ---- Archives ------------------------------------------------------------------------------ */

enum { MAX_ENTRIES = 4, ARCHIVE_ROOM = 4096 };

typedef struct entry {
    const char *name;
    const char *data;
    size_t size;
    int method; /* 0: stored */
} entry;

static size_t put(uint8_t *out, size_t at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (; *format != '\0'; format++) { /* 2, 4: a number of so many bytes */
        const unsigned long value = va_arg(args, unsigned long);
        for (int i = 0; i < *format - '0'; i++) out[at++] = (uint8_t)(value >> (8 * i));
    }
    va_end(args);
    return at;
}

static size_t put_bytes(uint8_t *out, size_t at, const void *data, size_t size)
{
    memcpy(out + at, data, size);
    return at + size;
}

/* A zip archive as torch writes it: sizes are in the directory only, data is aligned by an extra
 * field of the local header. Checksums are left out: clm does not read all of a storage at opening. */
static size_t make_archive(const entry *entries, size_t n, uint8_t *out)
{
    enum { EXTRA = 20 };
    static const uint8_t extra[EXTRA] = {'F', 'B', EXTRA - 4, 0};
    size_t offsets[MAX_ENTRIES], at = 0, directory;

    for (size_t i = 0; i < n; i++) {
        const size_t name = strlen(entries[i].name);

        offsets[i] = at;
        at = put(out, at, "42222244422", 0x04034b50ul, 20ul, 8ul, (unsigned long)entries[i].method,
                 0ul, 0ul, 0ul, 0ul, 0ul, (unsigned long)name, (unsigned long)EXTRA);
        at = put_bytes(out, at, entries[i].name, name);
        at = put_bytes(out, at, extra, EXTRA);
        at = put_bytes(out, at, entries[i].data, entries[i].size);
    }
    directory = at;
    for (size_t i = 0; i < n; i++) {
        const unsigned long size = (unsigned long)entries[i].size,
                            name = (unsigned long)strlen(entries[i].name);

        at = put(out, at, "4222222444222", 0x02014b50ul, 20ul, 20ul, 8ul,
                 (unsigned long)entries[i].method, 0ul, 0ul, 0ul, size, size, name, 0ul, 0ul);
        at = put(out, at, "2244", 0ul, 0ul, 0ul, (unsigned long)offsets[i]);
        at = put_bytes(out, at, entries[i].name, name);
    }
    return put(out, at, "42222442", 0x06054b50ul, 0ul, 0ul, (unsigned long)n, (unsigned long)n,
               (unsigned long)(at - directory), (unsigned long)directory, 0ul);
}

static clm_status read_archive(const entry *entries, size_t n, uint8_t *file, size_t *size,
                               clm_stored_list *list, clm_err *err)
{
    *size = make_archive(entries, n, file);
    return clm__torch_read("f.bin", file, *size, list, err);
}

static void sound_archive(void **state)
{
    const entry entries[] = {{"m/data.pkl", sound.data, sound.size, 0},
                             {"m/byteorder", "little", 6, 0},
                             {"m/data/0", (const char *)storage, sizeof storage, 0}};
    uint8_t file[ARCHIVE_ROOM];
    size_t size;
    clm_stored_list list = {0};
    clm_err err = {""};
    const clm_stored *t;

    (void)state;
    if (read_archive(entries, 3, file, &size, &list, &err) != CLM_OK) fail_msg("%s", err.text);
    assert_int_equal(clm__stored_sort(&list, &err), CLM_OK);
    t = clm__stored_find(&list, "w");
    assert_non_null(t);
    assert_true(t->data > file && t->data < file + size); /* in place */
    assert_memory_equal(t->data, storage + 4, 12);
    clm__stored_clear(&list);
}

static void every_prefix_of_an_archive(void **state)
{
    const entry entries[] = {{"m/data.pkl", sound.data, sound.size, 0},
                             {"m/data/0", (const char *)storage, sizeof storage, 0}};
    uint8_t file[ARCHIVE_ROOM];
    const size_t size = make_archive(entries, 2, file);

    (void)state;
    for (size_t n = 0; n < size; n++) {
        uint8_t *copy = malloc(n + (n == 0));
        clm_stored_list list = {0};
        clm_err err = {""};

        if (copy == NULL) abort();
        if (n > 0) memcpy(copy, file, n);
        if (clm__torch_read("f.bin", copy, n, &list, &err) != CLM_E_MODEL)
            fail_msg("%zu of %zu bytes were taken", n, size);
        assert_true(strncmp(err.text, "f.bin: ", 7) == 0);
        clm__stored_clear(&list);
        free(copy);
    }
}

static void refused_archives(void **state)
{
    const struct {
        entry entries[3];
        size_t n;
        const char *says;
    } cases[] = {
        {{{"m/data/0", (const char *)storage, 16, 0}}, 1, "without data.pkl"},
        {{{"m/data.pkl", sound.data, sound.size, 0}}, 1, "entry 'm/data/0' is missing"},
        {{{"m/data.pkl", sound.data, sound.size, 0}, {"n/data.pkl", sound.data, sound.size, 0}},
         2,
         "two entries data.pkl"},
        {{{"m/data.pkl", sound.data, sound.size, 8}}, 1, "is compressed"},
        {{{"m/data.pkl", sound.data, sound.size, 0}, {"m/data/0", (const char *)storage, 16, 8}},
         2,
         "entry 'm/data/0' is compressed"},
        {{{"m/data.pkl", sound.data, sound.size, 0}, {"m/data/0", (const char *)storage, 14, 0}},
         2,
         "storage '0' has 14 bytes of 16"},
        {{{"m/data.pkl", sound.data, sound.size, 0}, {"m/byteorder", "big", 3, 0}},
         2,
         "not little-endian"},
    };
    uint8_t file[ARCHIVE_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_stored_list list = {0};
        clm_err err = {""};
        size_t size;

        if (read_archive(cases[i].entries, cases[i].n, file, &size, &list, &err) != CLM_E_MODEL)
            fail_msg("case %zu was taken (%s)", i, cases[i].says);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].says);
        clm__stored_clear(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_pickle),     cmocka_unit_test(every_prefix),
        cmocka_unit_test(refused),          cmocka_unit_test(odd_but_sound),
        cmocka_unit_test(sound_archive),    cmocka_unit_test(every_prefix_of_an_archive),
        cmocka_unit_test(refused_archives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
