/* tests/ops/test_program.c: building programs, and that no state of the cache folder can spoil one.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "host/file.h"
#include "host/hash.h"
#include "host/kernel.h"
#include "host/program.h"
#include "tests/ops/op_harness.h"

enum { HEADER = 88, KEY_AT = 8, HASH_AT = 40, SIZE_AT = 72, WARM_AT = 80, MAX_ENTRY = 64 << 20 };

static const clm_define DEFS[2] = {{"WG", 16}, {"VW", 4}};

/* What XDG_CACHE_HOME was before new_cache, or NULL. */
static char *g_home;

/* Sets a new, empty XDG_CACHE_HOME and returns its path, to be freed with drop_cache. */
static char *new_cache(void)
{
    const char *base = getenv("TMPDIR"), *home = getenv("XDG_CACHE_HOME");
    char *path = malloc(512);

    assert_non_null(path);
    g_home = home != NULL ? strdup(home) : NULL;
    snprintf(path, 512, "%s/clm-program-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    assert_int_equal(setenv("XDG_CACHE_HOME", path, 1), 0);
    return path;
}

/* Path of the only entry of the cache, or NULL when there is none; fails the test at two. */
static char *only_entry(void)
{
    char *dir = clm_dir_cache("kernels"), *path = NULL;
    DIR *handle = opendir(dir);
    struct dirent *entry;

    while (handle != NULL && (entry = readdir(handle)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        assert_null(path); /* a left-over temporary file would be a second one */
        path = clm_path_join(dir, entry->d_name);
    }
    if (handle != NULL) closedir(handle);
    free(dir);
    return path;
}

static void drop_cache(char *cache)
{
    char *entry = only_entry(), *dir = clm_dir_cache("kernels"), *parent = clm_path_dir(dir);

    if (entry != NULL) unlink(entry);
    rmdir(dir);
    rmdir(parent);
    assert_int_equal(rmdir(cache), 0);
    /* Or the next device that is opened would keep its probes there. */
    if (g_home != NULL)
        setenv("XDG_CACHE_HOME", g_home, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    free(g_home);
    free(entry);
    free(dir);
    free(parent);
    free(cache);
}

/* Builds add.cl, runs it and checks the sum. */
static void build_and_run(clm_device *dev, bool cached)
{
    enum { COUNT = 37 };
    float x[COUNT], y[COUNT], got[COUNT];
    clm_range range = {.dims = 1, .global = {(COUNT + 3) / 4, 1, 1}, .local = {16, 1, 1}};
    clm_program *prog = NULL;
    clm_kernel *kernel = NULL;
    clm_buffer *a = NULL, *b = NULL;
    clm_err err = {""};
    clm_status st = clm_program_create(dev, "add", DEFS, 2, &prog, &err);

    if (st != CLM_OK) print_error("%s\n", err.text);
    assert_int_equal(st, CLM_OK);
    assert_int_equal(clm_program_cached(prog), cached);
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)i;
        y[i] = (float)(1000 - 3 * i);
    }
    assert_int_equal(clm_kernel_create(prog, "add", &kernel, &err), CLM_OK);
    assert_int_equal(clm_buffer_create(dev, CLM_ELEM_F32, COUNT, &a, &err), CLM_OK);
    assert_int_equal(clm_buffer_create(dev, CLM_ELEM_F32, COUNT, &b, &err), CLM_OK);
    assert_int_equal(clm_buffer_write(a, 0, COUNT, x, &err), CLM_OK);
    assert_int_equal(clm_buffer_write(b, 0, COUNT, y, &err), CLM_OK);
    const clm_arg args[3] = {CLM_BUF(a), CLM_BUF(b), CLM_I32(COUNT)};
    assert_int_equal(clm_kernel_set_args(kernel, args, 3, &err), CLM_OK);
    assert_int_equal(clm_kernel_enqueue(kernel, &range, &err), CLM_OK);
    assert_int_equal(clm_buffer_read(a, 0, COUNT, got, &err), CLM_OK);
    for (int i = 0; i < COUNT; i++) assert_true(got[i] == (float)(1000 - 2 * i));
    clm_kernel_destroy(kernel);
    clm_buffer_destroy(a);
    clm_buffer_destroy(b);
    clm_program_destroy(prog);
}

/* Says of the program in the cache that its kernels have run. */
static void set_warm(clm_device *dev, bool before)
{
    clm_program *prog = NULL;

    assert_int_equal(clm_program_create(dev, "add", DEFS, 2, &prog, NULL), CLM_OK);
    assert_true(clm_program_cached(prog));
    assert_int_equal(clm_program_warm(prog), before);
    clm_program_set_warm(prog);
    assert_true(clm_program_warm(prog));
    clm_program_destroy(prog);
}

static void cached_body(clm_device *dev, void *user)
{
    char *cache = new_cache(), *entry, *temp;
    const clm_define other[2] = {{"VW", 4}, {"WG", 16}};
    clm_program *prog = NULL;

    (void)user;
    clm_device_keep_programs(dev, false);
    build_and_run(dev, false);
    entry = only_entry();
    assert_null(entry);
    clm_device_keep_programs(dev, true);
    build_and_run(dev, false);
    entry = only_entry();
    assert_non_null(entry);
    build_and_run(dev, true);
    clm_device_keep_programs(dev, false); /* what is there is used all the same */
    build_and_run(dev, true);
    set_warm(dev, false);
    set_warm(dev, false); /* not kept */
    clm_device_keep_programs(dev, true);
    set_warm(dev, false);
    set_warm(dev, true);
    build_and_run(dev, true);
    temp = only_entry();
    assert_string_equal(temp, entry);
    free(temp);
    free(entry);
    /* The order of the defines does not matter. */
    assert_int_equal(clm_program_create(dev, "add", other, 2, &prog, NULL), CLM_OK);
    assert_true(clm_program_cached(prog));
    clm_program_destroy(prog);
    drop_cache(cache);
}

/* Some versions of PoCL end the process when they are asked for the binary of a program with assembly. */
static void assembly_body(clm_device *dev, void *user)
{
    const bool pocl = strstr(clm_device_caps(dev)->platform_version, "PoCL ") != NULL;
    const clm_define dot = {"DOT", (int)clm_device_caps(dev)->dot};
    char *cache = new_cache(), *entry;

    (void)user;
    clm_device_keep_programs(dev, true);
    for (int i = 0; i < 2; i++) {
        clm_program *prog = NULL;

        assert_int_equal(clm_program_create(dev, "dot_probe", &dot, 1, &prog, NULL), CLM_OK);
        assert_int_equal(clm_program_cached(prog), i == 1 && !pocl);
        assert_int_equal(clm_program_warm(prog), i == 1);
        clm_program_set_warm(prog); /* asks once more */
        clm_program_destroy(prog);
    }
    entry = only_entry();
    assert_non_null(entry); /* that its kernels have run is kept everywhere */
    free(entry);
    drop_cache(cache);
}

static void set_age(const char *path, int days)
{
    const struct timeval then = {time(NULL) - (time_t)days * 24 * 60 * 60, 0};
    const struct timeval times[2] = {then, then};

    assert_int_equal(utimes(path, times), 0);
}

/* What is used stays, however old; what is not goes when something new comes. */
static void old_body(clm_device *dev, void *user)
{
    const clm_define other[2] = {{"VW", 4}, {"WG", 32}};
    char *cache = new_cache(), *entry;
    clm_program *prog = NULL;

    (void)user;
    clm_device_keep_programs(dev, true);
    build_and_run(dev, false);
    entry = only_entry();
    assert_non_null(entry);
    set_age(entry, 100);
    build_and_run(dev, true); /* used: it is young again */
    clm_dir_prune(cache, 0);  /* of folders only files are removed */
    assert_int_equal(clm_program_create(dev, "add", other, 2, &prog, NULL), CLM_OK);
    clm_program_destroy(prog);
    build_and_run(dev, true);
    set_age(entry, 100);
    clm_program_create(dev, "add", other, 2, &prog, NULL);
    assert_true(clm_program_cached(prog));
    clm_program_set_warm(prog); /* stored again */
    clm_program_destroy(prog);
    assert_false(clm_file_exists(entry));
    free(entry);
    drop_cache(cache);
}

typedef enum damage {
    DAMAGE_EMPTY,
    DAMAGE_HALF,
    DAMAGE_HEADER_ONLY,
    DAMAGE_IN_HEADER,
    DAMAGE_LAST_BYTE_MISSING,
    DAMAGE_MORE_AT_END,
    DAMAGE_MAGIC,
    DAMAGE_KEY,
    DAMAGE_HASH,
    DAMAGE_SIZE,
    DAMAGE_WARM,
    DAMAGE_HUGE_SIZE,
    DAMAGE_FIRST_BYTE,
    DAMAGE_MIDDLE_BYTE,
    DAMAGE_LAST_BYTE,
    DAMAGE_GARBAGE,
    DAMAGE_REFUSED,
    DAMAGE_COUNT
} damage;

/* A sound entry around a binary that no driver takes. */
static void make_refused(char *data, size_t size)
{
    clm_hash *hash;
    char hex[33];

    for (size_t i = HEADER; i < size; i++) data[i] = (char)('A' + i % 23);
    assert_int_equal(clm_hash_create(&hash, NULL), CLM_OK);
    clm_hash_add(hash, data + HEADER, size - HEADER);
    clm_hash_hex(hash, hex);
    clm_hash_destroy(hash);
    memcpy(data + HASH_AT, hex, 32);
}

/* Changes `data`, which has room for one byte more; returns its new size. */
static size_t apply_damage(damage kind, char *data, size_t size)
{
    switch (kind) {
    case DAMAGE_EMPTY:
        return 0;
    case DAMAGE_HALF:
        return size / 2;
    case DAMAGE_HEADER_ONLY:
        return HEADER;
    case DAMAGE_IN_HEADER:
        return HEADER / 2;
    case DAMAGE_LAST_BYTE_MISSING:
        return size - 1;
    case DAMAGE_MORE_AT_END:
        data[size] = 'x';
        return size + 1;
    case DAMAGE_MAGIC:
        data[0] ^= 1;
        break;
    case DAMAGE_KEY:
        data[KEY_AT + 31] ^= 1;
        break;
    case DAMAGE_HASH:
        data[HASH_AT] ^= 1;
        break;
    case DAMAGE_SIZE:
        data[SIZE_AT] ^= 1;
        break;
    case DAMAGE_WARM:
        data[WARM_AT] = 2;
        break;
    case DAMAGE_HUGE_SIZE:
        memset(data + SIZE_AT, 0xff, 8);
        break;
    case DAMAGE_FIRST_BYTE:
        data[HEADER] ^= 1;
        break;
    case DAMAGE_MIDDLE_BYTE:
        data[HEADER + (size - HEADER) / 2] ^= 0x40;
        break;
    case DAMAGE_LAST_BYTE:
        data[size - 1] ^= 1;
        break;
    case DAMAGE_GARBAGE:
        for (size_t i = 0; i < size; i++) data[i] = (char)(i * 131 + 17);
        break;
    case DAMAGE_REFUSED:
        make_refused(data, size);
        break;
    case DAMAGE_COUNT:
        break;
    }
    return size;
}

static void damaged_body(clm_device *dev, void *user)
{
    char *cache = new_cache(), *entry, *healthy = NULL, *data;
    size_t size;

    (void)user;
    clm_device_keep_programs(dev, true);
    build_and_run(dev, false);
    entry = only_entry();
    assert_non_null(entry);
    assert_int_equal(clm_file_read(entry, MAX_ENTRY, &healthy, &size, NULL), CLM_OK);
    assert_true(size > HEADER + 16);
    data = malloc(size + 1);
    assert_non_null(data);
    for (damage kind = DAMAGE_EMPTY; kind < DAMAGE_COUNT; kind++) {
        size_t damaged_size;
        char *after;
        memcpy(data, healthy, size);
        damaged_size = apply_damage(kind, data, size);
        assert_int_equal(clm_file_replace(entry, data, damaged_size, NULL), CLM_OK);
        build_and_run(dev, false); /* noticed, rebuilt, works */
        build_and_run(dev, true);  /* and healthy again */
        after = only_entry();
        assert_non_null(after);
        assert_string_equal(after, entry);
        free(after);
    }
    free(data);
    free(healthy);
    free(entry);
    drop_cache(cache);
}

/* A cache folder below a file cannot be made, not even by root; nor can one be without any HOME. */
static void unwritable_body(clm_device *dev, void *user)
{
    char *cache = new_cache(), *file = clm_path_join(cache, "file");
    const char *home = getenv("HOME");
    char *old_home = home != NULL ? strdup(home) : NULL;

    (void)user;
    clm_device_keep_programs(dev, true);
    assert_int_equal(clm_file_replace(file, "x", 1, NULL), CLM_OK);
    assert_int_equal(setenv("XDG_CACHE_HOME", file, 1), 0);
    build_and_run(dev, false);
    build_and_run(dev, false);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    build_and_run(dev, false);
    if (old_home != NULL) setenv("HOME", old_home, 1);
    free(old_home);
    unlink(file);
    free(file);
    setenv("XDG_CACHE_HOME", cache, 1);
    drop_cache(cache);
}

static void refused_body(clm_device *dev, void *user)
{
    const clm_define bad[2] = {{"WG", 16}, {"VW", 3}};
    char *cache = new_cache(), *entry;
    clm_program *prog = (clm_program *)cache;
    clm_kernel *kernel = (clm_kernel *)cache;
    clm_err err = {""};

    (void)user;
    clm_device_keep_programs(dev, true);
    assert_int_equal(clm_program_create(dev, "no_such_kernel", NULL, 0, &prog, &err),
                     CLM_E_INTERNAL);
    assert_null(prog);
    assert_non_null(strstr(err.text, "no_such_kernel"));

    prog = (clm_program *)cache;
    assert_int_equal(clm_program_create(dev, "add", bad, 2, &prog, &err), CLM_E_BUILD);
    assert_null(prog);
    assert_non_null(strstr(err.text, "add.cl"));
    if (strstr(err.text, "VW must be") == NULL) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, "VW must be"));
    entry = only_entry();
    assert_null(entry); /* a failed build leaves nothing */

    /* An entry point that the program lacks. */
    assert_int_equal(clm_program_create(dev, "add", DEFS, 2, &prog, &err), CLM_OK);
    assert_int_not_equal(clm_kernel_create(prog, "subtract", &kernel, &err), CLM_OK);
    assert_null(kernel);
    clm_program_destroy(prog);
    clm_program_destroy(NULL);
    drop_cache(cache);
}

/* A user's kernel has no file that the driver knows; messages name the kernel, and its own lines. */
static void text_body(clm_device *dev, void *user)
{
    static const char broken[] =
        "/* line 1 */\n__kernel void mine(__global int *x) { x[0] = nothing; }\n";
    char *cache = new_cache();
    clm_program *prog = NULL;
    clm_err err = {""};

    (void)user;
    assert_int_equal(clm_program_create_text(dev, "mine", broken, NULL, 0, &prog, &err),
                     CLM_E_BUILD);
    assert_null(prog);
    if (strstr(err.text, "kernel mine:2") == NULL) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, "kernel mine does not build on "));
    assert_non_null(strstr(err.text, "kernel mine:2"));
    assert_null(strstr(err.text, ".cl"));
    drop_cache(cache);
}

/* What is launched in other groups than the kernel was written for. */
static void group_body(clm_device *dev, void *user)
{
    static const char text[] =
        "__kernel __attribute__((reqd_work_group_size(4, 2, 1)))\n"
        "void mine(__global int *x) { x[get_global_id(0) + 8 * get_global_id(1)] = 1; }\n";
    const clm_range right = {.dims = 2, .global = {8, 2}, .local = {4, 2}},
                    wrong = {.dims = 2, .global = {8, 2}, .local = {2, 2}};
    char *cache = new_cache();
    clm_program *prog = NULL;
    clm_kernel *kernel = NULL;
    clm_buffer *x = NULL;
    clm_err err = {""};

    (void)user;
    clm_device_keep_programs(dev, false);
    assert_int_equal(clm_program_create_text(dev, "mine", text, NULL, 0, &prog, &err), CLM_OK);
    assert_int_equal(clm_kernel_create(prog, "mine", &kernel, &err), CLM_OK);
    assert_int_equal(clm_buffer_create(dev, CLM_ELEM_I32, 16, &x, &err), CLM_OK);
    const clm_arg arg = CLM_BUF(x);
    assert_int_equal(clm_kernel_set_args(kernel, &arg, 1, &err), CLM_OK);
    assert_int_equal(clm_kernel_enqueue(kernel, &right, &err), CLM_OK);
    assert_int_equal(clm_device_finish(dev, &err), CLM_OK);
    assert_int_equal(clm_kernel_enqueue(kernel, &wrong, &err), CLM_E_CL);
    assert_string_equal(err.text,
                        "kernel mine: its reqd_work_group_size is (4, 2, 1), and the local "
                        "size given is (2, 2, 1)");
    clm_kernel_destroy(kernel);
    clm_buffer_destroy(x);
    clm_program_destroy(prog);
    drop_cache(cache);
}

static void test_text(void **state)
{
    (void)state;
    clm_op_test_devices(text_body, NULL);
}

static void test_group(void **state)
{
    (void)state;
    clm_op_test_devices(group_body, NULL);
}

static void test_cached(void **state)
{
    (void)state;
    clm_op_test_devices(cached_body, NULL);
}

static void test_assembly(void **state)
{
    (void)state;
    clm_op_test_devices(assembly_body, NULL);
}

static void test_damaged(void **state)
{
    (void)state;
    clm_op_test_devices(damaged_body, NULL);
}

static void test_old(void **state)
{
    (void)state;
    clm_op_test_devices(old_body, NULL);
}

static void test_unwritable(void **state)
{
    (void)state;
    clm_op_test_devices(unwritable_body, NULL);
}

static void test_refused(void **state)
{
    (void)state;
    clm_op_test_devices(refused_body, NULL);
}

static void test_source(void **state)
{
    size_t size = 0;
    const char *text = clm_kernel_source("add", &size);

    (void)state;
    assert_non_null(text);
    assert_int_equal(size, strlen(text));
    assert_non_null(strstr(text, "__kernel"));
    assert_non_null(clm_kernel_source("prelude", NULL));
    assert_null(clm_kernel_source("no_such_kernel", NULL));
    assert_null(clm_kernel_source("", NULL));
    assert_null(clm_kernel_source("../add", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source),   cmocka_unit_test(test_old),
        cmocka_unit_test(test_assembly), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cached),   cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_damaged),  cmocka_unit_test(test_text),
        cmocka_unit_test(test_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
