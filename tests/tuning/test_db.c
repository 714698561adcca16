/* tests/tuning/test_db.c: the database and the lookup, with operators made for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/file.h"
#include "tuning/lookup.h"
#include "tuning/user_kernel.h"

enum { MANY_ROWS = 50000 };

static const int k_wg[] = {16, 64, 256};
static const clm_axis k_axes[] = {{"WG", k_wg, 3}};
static const char *const k_dims[] = {"M", "N", "TYPE"};

static bool valid(const int *p, const clm_shape *shape, const clm_caps *caps)
{
    (void)shape;
    return (size_t)p[0] <= caps->max_group_size;
}

/* Another one for many rows. */
static void defaults(const clm_shape *shape, const clm_caps *caps, int *p)
{
    (void)caps;
    p[0] = shape->v[1] >= MANY_ROWS ? 64 : 16;
}

static size_t defines(const clm_shape *shape, const int *p, clm_define *defs)
{
    defs[0] = (clm_define){"WG", p[0]};
    defs[1] = (clm_define){"TYPE", shape->v[2]};
    return 2;
}

static const clm_op_desc k_op = {.name = "made",
                                 .text = "kernel of the test",
                                 .dims = k_dims,
                                 .n_dims = 3,
                                 .axes = k_axes,
                                 .n_axes = 1,
                                 .valid = valid,
                                 .defaults = defaults,
                                 .defines = defines};
static const clm_op_desc *const k_ops[] = {&k_op};
static const clm_op_table k_table = {k_ops, 1};

static char g_dir[64];

static clm_caps make_caps(void)
{
    clm_caps caps = {.type = CLM_DEVICE_GPU, .max_group_size = 256, .compute_units = 8};

    snprintf(caps.name, sizeof caps.name, "Chip \"X\": 7");
    snprintf(caps.vendor, sizeof caps.vendor, "Maker");
    snprintf(caps.driver, sizeof caps.driver, "1.2");
    snprintf(caps.platform_name, sizeof caps.platform_name, "Platform");
    return caps;
}

static clm_tune_entry make_entry(int m, int n, int type, int wg)
{
    const clm_shape shape = {.v = {m, n, type}};
    clm_tune_entry e = {.ms = 0.5,
                        .median_ms = 0.625,
                        .default_ms = 1.0,
                        .error = 0.25,
                        .bytes = 1e6,
                        .flops = 2e6,
                        .tried = 3,
                        .failed = 1,
                        .date = "2026-11-24"};

    assert_int_equal(clm_tune_key_make(&k_op, &shape, &e.key, NULL), CLM_OK);
    e.n_params = clm_params_name(&k_op, &wg, e.params);
    return e;
}

static char *in_dir(const char *name)
{
    char *path = clm_path_join(g_dir, name);
    assert_non_null(path);
    return path;
}

static void write_db(const char *name, const clm_caps *caps, const clm_tune_entry *e, size_t n)
{
    clm_tune_db db = {0};
    char *path = in_dir(name);
    clm_err err;

    clm_tune_device_describe(caps, &db.device);
    for (size_t i = 0; i < n; i++) assert_int_equal(clm_tune_db_put(&db, &e[i], &err), CLM_OK);
    if (clm_tune_db_write(&db, path, &err) != CLM_OK) fail_msg("%s", err.text);
    clm_tune_db_clear(&db);
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(g_dir, sizeof g_dir, "/tmp/clm-test-db-XXXXXX");
    return mkdtemp(g_dir) == NULL;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", g_dir);
    return system(command);
}

static int look_up(const clm_caps *caps, const clm_shape *shape, clm_tuning_level want)
{
    clm_tuning *t;
    int params[CLM_MAX_AXES];
    clm_err err;

    assert_int_equal(clm_tuning_open(&k_table, caps, g_dir, NULL, NULL, &t, &err), CLM_OK);
    assert_int_equal(clm_tuning_params(t, &k_op, shape, caps, params), want);
    clm_tuning_close(t);
    return params[0];
}

/* ---- Shapes ------------------------------------------------------------------------------------ */

static void shapes_as_text(void **state)
{
    const clm_shape shape = {.v = {1, 5120, -3}, .f = {1e-6f, 0.0f}};
    static const char *const bad[] = {"",
                                      "M=1",
                                      "M=1 N=2 TYPE=3 ",
                                      "M=1  N=2 TYPE=3",
                                      "M=01 N=2 TYPE=3",
                                      "N=2 M=1 TYPE=3",
                                      "M=1 N=2 TYPE=3 X=4",
                                      "M=1 N=2 TYPE=99999999999",
                                      "M=1 N=2 TYPE=3 F0=nan",
                                      "M=1 N=2 TYPE=3 F0=1 F0=1"};
    char text[CLM_TUNE_SHAPE_TEXT];
    clm_shape back;

    (void)state;
    clm_shape_write(&k_op, &shape, text);
    assert_string_equal(text, "M=1 N=5120 TYPE=-3 F0=1e-06");
    assert_true(clm_shape_read(&k_op, text, &back));
    assert_memory_equal(back.v, shape.v, sizeof shape.v);
    assert_true(back.f[0] == shape.f[0]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (clm_shape_read(&k_op, bad[i], &back)) fail_msg("'%s' was taken", bad[i]);
}

/* ---- Database ---------------------------------------------------------------------------------- */

static void written_is_read(void **state)
{
    const clm_caps caps = make_caps();
    const clm_tune_entry e[] = {make_entry(1, 64, 0, 64), make_entry(2, 64, 0, 256)};
    clm_tune_device device;
    clm_tune_db db;
    clm_err err;
    char *path = in_dir("a.yaml");

    (void)state;
    write_db("a.yaml", &caps, e, 2);
    if (clm_tune_db_read(path, &db, &err) != CLM_OK) fail_msg("%s", err.text);
    clm_tune_device_describe(&caps, &device);
    assert_true(clm_tune_device_same(&db.device, &device));
    assert_string_equal(db.device.arch, device.arch);
    assert_int_equal(db.n, 2);
    for (size_t i = 0; i < 2; i++) assert_memory_equal(&db.entries[i], &e[i], sizeof e[i]);
    clm_tune_db_clear(&db);
    free(path);
}

static void limits_are_the_best_ever_seen(void **state)
{
    clm_tune_device device = {.name = "ours", .read_gbps = 30, .int8_gops = 900};
    const clm_tune_device seen = {.name = "other", .read_gbps = 20, .fp32_gflops = 70};

    (void)state;
    clm_tune_device_raise(&device, &seen);
    assert_string_equal(device.name, "ours");
    assert_true(device.read_gbps == 30 && device.fp32_gflops == 70 && device.int8_gops == 900);
}

static void merge_keeps_the_larger_gain(void **state)
{
    clm_tune_db a = {0}, b = {0};
    clm_tune_entry slow = make_entry(1, 64, 0, 64), fast = make_entry(1, 64, 0, 256),
                   other = make_entry(1, 128, 0, 16);
    clm_err err;

    (void)state;
    fast.ms = 0.75; /* in a run in which the machine was slower by half */
    fast.default_ms = 2.0;
    clm_tune_db_put(&a, &slow, &err);
    clm_tune_db_put(&b, &fast, &err);
    clm_tune_db_put(&b, &other, &err);
    assert_int_equal(clm_tune_db_merge(&a, &b, &err), CLM_OK);
    assert_int_equal(a.n, 2);
    assert_int_equal(clm_tune_db_find(&a, &slow.key)->params[0].value, 256);
    assert_int_equal(clm_tune_db_merge(&b, &a, &err), CLM_OK);
    assert_int_equal(b.n, 2);
    fast.default_ms = 0.0; /* the default did not work there: only the times are left */
    slow.ms = 0.5;
    clm_tune_db_put(&a, &fast, &err);
    clm_tune_db_clear(&b);
    clm_tune_db_put(&b, &slow, &err);
    assert_int_equal(clm_tune_db_merge(&a, &b, &err), CLM_OK);
    assert_int_equal(clm_tune_db_find(&a, &slow.key)->params[0].value, 64);
    clm_tune_db_clear(&a);
    clm_tune_db_clear(&b);
}

/* Every prefix of a file is refused or sound, never a crash; a cut loses the last entry only. */
static void cut_files(void **state)
{
    const clm_caps caps = make_caps();
    const clm_tune_entry e[] = {make_entry(1, 64, 0, 64), make_entry(2, 64, 0, 256)};
    char *path = in_dir("a.yaml"), *cut = in_dir("cut.txt"), *text;
    size_t size;
    clm_tune_db db;
    clm_err err;

    (void)state;
    write_db("a.yaml", &caps, e, 2);
    assert_int_equal(clm_file_read(path, 1 << 20, &text, &size, &err), CLM_OK);
    for (size_t n = 0; n < size; n += n + 40 < size ? 7 : 1) {
        assert_int_equal(clm_file_replace(cut, text, n, &err), CLM_OK);
        if (clm_tune_db_read(cut, &db, &err) == CLM_OK) assert_true(db.n <= 2);
        clm_tune_db_clear(&db);
    }
    assert_int_equal(clm_file_replace(cut, text, size - 30, &err), CLM_OK);
    assert_int_equal(clm_tune_db_read(cut, &db, &err), CLM_E_CONFIG);
    assert_non_null(strstr(err.text, "cut.txt"));
    assert_int_equal(clm_tune_db_salvage(cut, &db, &err), CLM_OK);
    assert_int_equal(db.n, 1);
    assert_memory_equal(&db.entries[0], &e[0], sizeof e[0]);
    clm_tune_db_clear(&db);
    free(text);
    free(path);
    free(cut);
}

/* Names from a file cannot harm a terminal; names that no file takes are not left out. */
static void names_of_devices(void **state)
{
    clm_caps caps = make_caps();
    char *path = in_dir("a.yaml");
    clm_tune_db db = {0};
    clm_err err;

    (void)state;
    snprintf(caps.name, sizeof caps.name, "\x1b[31mred\xc2\x9b");
    write_db("a.yaml", &caps, NULL, 0);
    assert_int_equal(clm_tune_db_read(path, &db, &err), CLM_OK);
    assert_string_equal(db.device.name, "?[31mred?");
    clm_tune_db_clear(&db);
    assert_int_equal(clm_file_remove(path, &err), CLM_OK);
    snprintf(db.device.name, sizeof db.device.name, "\xff");
    assert_int_equal(clm_tune_db_write(&db, path, &err), CLM_E_CONFIG);
    assert_false(clm_file_exists(path));
    free(path);
}

/* Times are divided by. */
static void an_entry_needs_a_time(void **state)
{
    static const double bad[] = {0.0, -1.0, 2e9};
    const clm_caps caps = make_caps();
    clm_tune_entry e = make_entry(1, 64, 0, 64);
    char *path = in_dir("a.yaml");
    clm_tune_db db;
    clm_err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        e.ms = bad[i];
        write_db("a.yaml", &caps, &e, 1);
        assert_int_equal(clm_tune_db_read(path, &db, &err), CLM_E_CONFIG);
        assert_non_null(strstr(err.text, "ms"));
    }
    free(path);
}

static void golden_bad_files(void **state)
{
    static const struct {
        const char *name;
        clm_status want; /* of reading; CLM_OK: the entries must be refused */
    } files[] = {{"tuning-cut", CLM_E_CONFIG},
                 {"tuning-inject", CLM_E_CONFIG},
                 {"tuning-op-path", CLM_E_CONFIG},
                 {"tuning-params", CLM_OK},
                 {"tuning-schema", CLM_E_LIMIT}};
    size_t done = 0;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[512];
        clm_tune_db db;
        clm_err err = {""};
        clm_status st;

        snprintf(path, sizeof path, CLM_GOLDEN "/bad/tuning/%s.yaml", files[i].name);
        if (!clm_file_exists(path)) continue;
        st = clm_tune_db_read(path, &db, &err);
        if (st != files[i].want) fail_msg("%s: %s", files[i].name, err.text);
        for (size_t k = 0; k < db.n; k++) {
            const clm_op_desc *op;
            clm_shape shape;
            int params[CLM_MAX_AXES];

            assert_non_null(
                clm_tune_entry_check(&k_table, &db.entries[k], &op, &shape, params, NULL));
        }
        clm_tune_db_clear(&db);
        done++;
    }
    if (done == 0) print_message("GOLDEN FILES ABSENT: %s\n", CLM_GOLDEN);
}

/* ---- A user's kernel --------------------------------------------------------------------------- */

static const char k_space[] = "kernel: copy\n"
                              "sizes: {N: 64}\n"
                              "parameters: {WG: [16, 64]}\n"
                              "global: [N]\n"
                              "local: [WG]\n"
                              "arguments:\n"
                              "  - {buffer: x, count: N}\n"
                              "  - {buffer: y, count: N, output: true}\n"
                              "reference: {kernel: simple, global: [1], local: [1]}\n";

/* Loads a kernel with the text of `cl` and k_space followed by `more`. */
static clm_status load_kernel(const char *cl, const char *more, clm_user_kernel **out, clm_err *err)
{
    char *kernel = in_dir("k.cl"), *space = in_dir("k.yaml"), text[1000];
    clm_status st;

    snprintf(text, sizeof text, "%s%s", k_space, more);
    assert_int_equal(clm_file_replace(kernel, cl, strlen(cl), err), CLM_OK);
    assert_int_equal(clm_file_replace(space, text, strlen(text), err), CLM_OK);
    st = clm_user_kernel_load(kernel, space, out, err);
    free(kernel);
    free(space);
    return st;
}

static clm_tune_key key_of(const char *cl, const char *more)
{
    clm_user_kernel *k;
    clm_tune_key key;
    clm_err err;

    if (load_kernel(cl, more, &k, &err) != CLM_OK) fail_msg("%s", err.text);
    assert_int_equal(clm_tune_key_make(clm_user_kernel_op(k), clm_user_kernel_shape(k), &key, &err),
                     CLM_OK);
    clm_user_kernel_destroy(k);
    return key;
}

/* What a wrong tolerance refused must not stay refused once it is put right. */
static void description_is_part_of_the_key(void **state)
{
    static const char strict[] = "tolerance: {absolute: 0}\n",
                      loose[] = "tolerance: {absolute: 1}\n";
    const clm_tune_key a = key_of("text", strict), again = key_of("text", strict),
                       other_text = key_of("texts", strict), other_space = key_of("text", loose);

    (void)state;
    assert_true(clm_tune_key_same(&a, &again));
    assert_false(clm_tune_key_same(&a, &other_text));
    assert_false(clm_tune_key_same(&a, &other_space));
}

/* ---- Lookup ------------------------------------------------------------------------------------ */

static void nearest_shape_of_the_same_build(void **state)
{
    const clm_caps caps = make_caps();
    const clm_tune_entry e[] = {make_entry(1, 1000, 0, 64), make_entry(1, 8000, 0, 256),
                                make_entry(1, 2000, 5, 16)};
    const clm_shape exact = {.v = {1, 1000, 0}}, near = {.v = {1, 6000, 0}},
                    other = {.v = {1, 1000, 9}};
    clm_caps small = caps;

    (void)state;
    write_db("a.yaml", &caps, e, 3);
    assert_int_equal(look_up(&caps, &exact, CLM_TUNING_EXACT), 64);
    assert_int_equal(look_up(&caps, &near, CLM_TUNING_EXACT), 256);
    assert_int_equal(look_up(&caps, &other, CLM_TUNING_NONE), 16);
    small.max_group_size = 128; /* what is not legal here is not taken */
    assert_int_equal(look_up(&small, &near, CLM_TUNING_EXACT), 64);
}

/* What won, or did not, against another default is not taken over, however near its shape. */
static void only_shapes_of_the_same_default(void **state)
{
    const clm_caps caps = make_caps();
    const clm_tune_entry many[] = {make_entry(1, MANY_ROWS, 0, 64)};
    const clm_tune_entry both[] = {make_entry(1, MANY_ROWS, 0, 256), make_entry(1, 1000, 0, 64)};
    const clm_shape exact = {.v = {1, MANY_ROWS, 0}}, above = {.v = {1, MANY_ROWS + 9, 0}},
                    below = {.v = {1, MANY_ROWS - 9, 0}};

    (void)state;
    write_db("a.yaml", &caps, many, 1);
    assert_int_equal(look_up(&caps, &exact, CLM_TUNING_EXACT), 64);
    assert_int_equal(look_up(&caps, &above, CLM_TUNING_EXACT), 64);
    assert_int_equal(look_up(&caps, &below, CLM_TUNING_NONE), 16);
    write_db("a.yaml", &caps, both, 2);
    assert_int_equal(look_up(&caps, &above, CLM_TUNING_EXACT), 256);
    assert_int_equal(look_up(&caps, &below, CLM_TUNING_EXACT), 64); /* far, and comparable */
}

static void levels_of_devices(void **state)
{
    const clm_caps caps = make_caps();
    const clm_tune_entry e = make_entry(1, 1000, 0, 64);
    const clm_shape shape = {.v = {1, 1000, 0}};
    clm_caps other = caps;
    clm_tuning *t;
    clm_err err;

    (void)state;
    write_db("a.yaml", &caps, &e, 1);
    assert_int_equal(look_up(&other, &shape, CLM_TUNING_EXACT), 64);
    snprintf(other.driver, sizeof other.driver, "1.3");
    assert_int_equal(look_up(&other, &shape, CLM_TUNING_DEVICE), 64);
    assert_int_equal(clm_tuning_open(&k_table, &other, g_dir, NULL, NULL, &t, &err), CLM_OK);
    assert_false(clm_tuning_known(t)); /* a default only: this one is still to be tuned */
    clm_tuning_close(t);
    snprintf(other.name, sizeof other.name, "Chip Y");
    assert_int_equal(look_up(&other, &shape, CLM_TUNING_ARCH), 64);
    other.fp16 = true;
    assert_int_equal(look_up(&other, &shape, CLM_TUNING_VENDOR), 64);
    snprintf(other.vendor, sizeof other.vendor, "Somebody");
    assert_int_equal(look_up(&other, &shape, CLM_TUNING_TYPE), 64);
    other.type = CLM_DEVICE_CPU;
    assert_int_equal(look_up(&other, &shape, CLM_TUNING_NONE), 16);
}

static void other_source_is_ignored(void **state)
{
    const clm_caps caps = make_caps();
    const clm_shape shape = {.v = {1, 1000, 0}};
    clm_tune_entry e = make_entry(1, 1000, 0, 64);

    (void)state;
    e.key.source[0] = e.key.source[0] == 'a' ? 'b' : 'a';
    write_db("a.yaml", &caps, &e, 1);
    assert_int_equal(look_up(&caps, &shape, CLM_TUNING_NONE), 16);
    e = make_entry(1, 1000, 0, 64);
    e.params[0].value = 65; /* none of the axis */
    write_db("a.yaml", &caps, &e, 1);
    assert_int_equal(look_up(&caps, &shape, CLM_TUNING_NONE), 16);
}

static void damaged_file_is_set_aside(void **state)
{
    const clm_caps caps = make_caps();
    const clm_tune_entry e[] = {make_entry(1, 1000, 0, 64), make_entry(1, 9000, 0, 256)};
    const clm_shape shape = {.v = {1, 1000, 0}};
    char *path = in_dir("a.yaml"), *aside = in_dir("a.yaml.damaged"), *text;
    size_t size;
    clm_err err;

    (void)state;
    write_db("a.yaml", &caps, e, 2);
    assert_int_equal(clm_file_read(path, 1 << 20, &text, &size, &err), CLM_OK);
    assert_int_equal(clm_file_replace(path, text, size - 20, &err), CLM_OK);
    assert_int_equal(look_up(&caps, &shape, CLM_TUNING_EXACT), 64); /* the rest is kept */
    assert_true(clm_file_exists(aside));
    assert_int_equal(clm_file_replace(path, "\x01garbage", 8, &err), CLM_OK);
    assert_int_equal(look_up(&caps, &shape, CLM_TUNING_NONE), 16);
    assert_false(clm_file_exists(path));
    free(text);
    free(path);
    free(aside);
}

static void count_message(void *user, clm_log_level level, const char *text)
{
    size_t *n = user;

    (void)text;
    *n += level == CLM_LOG_WARN;
}

/* Whoever looks first warns of damage, and leaves the other warnings to who reads. */
static void a_look_warns_of_damage_only(void **state)
{
    const clm_caps caps = make_caps();
    clm_tune_entry e[] = {make_entry(1, 1000, 0, 64), make_entry(1, 9000, 0, 256)};
    char *path = in_dir("a.yaml"), *text;
    size_t size, warnings = 0;
    const clm_observer obs = {.user = &warnings, .message = count_message};
    clm_tuning *t;
    bool known;
    clm_err err;

    (void)state;
    e[0].key.source[0] = e[0].key.source[0] == 'a' ? 'b' : 'a'; /* not of this program */
    write_db("a.yaml", &caps, e, 2);
    assert_int_equal(clm_file_read(path, 1 << 20, &text, &size, &err), CLM_OK);
    assert_int_equal(clm_file_replace(path, text, size - 20, &err), CLM_OK);
    assert_int_equal(clm_tuning_look(&k_table, &caps, g_dir, NULL, &obs, &known, &err), CLM_OK);
    assert_true(known);
    assert_int_equal(warnings, 2); /* set aside; one entry could be kept */
    assert_int_equal(clm_tuning_look(&k_table, &caps, g_dir, NULL, &obs, &known, &err), CLM_OK);
    assert_int_equal(warnings, 2);
    assert_int_equal(clm_tuning_open(&k_table, &caps, g_dir, NULL, &obs, &t, &err), CLM_OK);
    assert_int_equal(warnings, 3); /* the one entry is not used */
    clm_tuning_close(t);
    free(text);
    free(path);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_as_text),
        IN_DIR(written_is_read),
        cmocka_unit_test(limits_are_the_best_ever_seen),
        cmocka_unit_test(merge_keeps_the_larger_gain),
        IN_DIR(cut_files),
        IN_DIR(names_of_devices),
        IN_DIR(an_entry_needs_a_time),
        cmocka_unit_test(golden_bad_files),
        IN_DIR(description_is_part_of_the_key),
        IN_DIR(nearest_shape_of_the_same_build),
        IN_DIR(only_shapes_of_the_same_default),
        IN_DIR(levels_of_devices),
        IN_DIR(other_source_is_ignored),
        IN_DIR(damaged_file_is_set_aside),
        IN_DIR(a_look_warns_of_damage_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
