/* tests/host/test_file.c: mapping, reading, atomic replacement, folders; in a scratch folder.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "host/file.h"
#include "host/hash.h"
#include "host/map_fault.h"

static int make_scratch(void **state)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(512);

    if (path == NULL) return -1;
    snprintf(path, 512, "%s/clm-file-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(path) == NULL) {
        free(path);
        return -1;
    }
    *state = path;
    return 0;
}

/* Removes a folder of plain files and folders. */
static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (dir == NULL) {
        unlink(path);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        char *inner;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        inner = clm_path_join(path, entry->d_name);
        if (inner != NULL) remove_tree(inner);
        free(inner);
    }
    closedir(dir);
    rmdir(path);
}

static int remove_scratch(void **state)
{
    remove_tree(*state);
    free(*state);
    return 0;
}

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n - 2; /* "." and ".." */
}

/* A path in the scratch folder, to be freed. */
static char *in_scratch(void **state, const char *name)
{
    char *path = clm_path_join(*state, name);

    assert_non_null(path);
    return path;
}

static void write_plain(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void expect_content(const char *path, const void *data, size_t size)
{
    char *got = NULL;
    size_t n = 0;

    assert_int_equal(clm_file_read(path, size + 100, &got, &n, NULL), CLM_OK);
    assert_int_equal(n, size);
    assert_memory_equal(got, data, size);
    free(got);
}

/* What a process says that reads a map after `path` has become shorter; its wait status in `*ended`. With `ours`
 * the map is one of clm_map_open. */
static void read_shortened(const char *path, bool ours, char *said, size_t room, int *ended)
{
    size_t used = 0;
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int fd = open(path, O_RDONLY);
        clm_map map = {0}, other = {0};
        volatile uint8_t byte;

        signal(SIGBUS, SIG_DFL); /* cmocka has a handler */
        dup2(fds[1], STDERR_FILENO);
        clm_map_faults_end_program(42);
        if (clm_map_open(path, &map, NULL) != CLM_OK || clm_map_open(path, &other, NULL) != CLM_OK)
            _exit(1);
        clm_map_close(&other);
        if (!ours) map.data = mmap(NULL, map.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (truncate(path, 1) != 0) _exit(2);
        byte = map.data[map.size - 1];
        (void)byte;
        _exit(3);
    }
    close(fds[1]);
    for (ssize_t n; used + 1 < room && (n = read(fds[0], said + used, room - 1 - used)) > 0;)
        used += (size_t)n;
    said[used] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, ended, 0), pid);
}

static void test_map_of_a_file_that_shrinks(void **state)
{
    static const char zeros[1 << 16];
    char *path = in_scratch(state, "shrinks\n"), said[1024];
    int ended;

    write_plain(path, zeros, sizeof zeros);
    read_shortened(path, true, said, sizeof said, &ended);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 42);
    assert_non_null(strstr(said, "shrinks?: cannot be read any more: it was cut short"));
    write_plain(path, zeros, sizeof zeros);
    read_shortened(path, false, said, sizeof said, &ended);
    assert_true(WIFSIGNALED(ended));
    assert_int_equal(WTERMSIG(ended), SIGBUS);
    assert_null(strstr(said, "cannot be read"));
    free(path);
}

static void test_map(void **state)
{
    char *path = in_scratch(state, "map"), *missing = in_scratch(state, "missing");
    clm_map map = {(const uint8_t *)"x", 1};
    clm_err err = {""};

    write_plain(path, "a\0b\xff", 4);
    assert_int_equal(clm_map_open(path, &map, &err), CLM_OK);
    assert_int_equal(map.size, 4);
    assert_memory_equal(map.data, "a\0b\xff", 4);
    clm_map_close(&map);
    assert_null(map.data);
    clm_map_close(&map); /* twice does no harm */
    clm_map_close(NULL);

    write_plain(path, "", 0);
    assert_int_equal(clm_map_open(path, &map, &err), CLM_OK);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    clm_map_close(&map);

    map.size = 5;
    assert_int_equal(clm_map_open(missing, &map, &err), CLM_E_IO);
    assert_non_null(strstr(err.text, missing));
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    assert_int_equal(clm_map_open(*state, &map, &err), CLM_E_IO); /* a folder */
    assert_non_null(strstr(err.text, "not a regular file"));
    free(path);
    free(missing);
}

static void test_read_limit(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 20000};
    char *path = in_scratch(state, "read"), *bytes = malloc(20000), *got = NULL;
    clm_err err = {""};
    size_t n;

    assert_non_null(bytes);
    for (size_t i = 0; i < 20000; i++) bytes[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_plain(path, bytes, sizes[i]);
        assert_int_equal(clm_file_read(path, sizes[i], &got, &n, &err), CLM_OK);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(got, bytes, n);
        assert_int_equal(got[n], 0);
        free(got);
        if (sizes[i] == 0) continue;
        got = bytes;
        assert_int_equal(clm_file_read(path, sizes[i] - 1, &got, &n, &err), CLM_E_LIMIT);
        assert_non_null(strstr(err.text, path));
        assert_null(got);
        assert_int_equal(n, 0);
    }
    assert_int_equal(clm_file_read(*state, 100, &got, &n, &err), CLM_E_IO); /* a folder */
    assert_null(got);
    unlink(path);
    assert_int_equal(clm_file_read(path, 100, &got, &n, &err), CLM_E_IO);
    assert_non_null(strstr(err.text, path));
    assert_null(got);
    free(bytes);
    free(path);
}

static void test_fd_write(void **state)
{
    char *path = in_scratch(state, "written");
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    clm_err err = {""};

    assert_true(fd >= 0);
    assert_int_equal(clm_fd_write(fd, path, "one", 3, &err), CLM_OK);
    assert_int_equal(clm_fd_write(fd, path, "", 0, &err), CLM_OK);
    close(fd);
    expect_content(path, "one", 3);
    assert_int_equal(clm_fd_write(fd, "its name", "two", 3, &err), CLM_E_IO);
    assert_non_null(strstr(err.text, "its name: "));
    free(path);
}

static void test_replace(void **state)
{
    char *dir = in_scratch(state, "replace"), *path = clm_path_join(dir, "f");
    clm_map old;
    clm_err err = {""};

    assert_int_equal(clm_dir_create(dir, &err), CLM_OK);
    assert_int_equal(clm_file_replace(path, "one", 3, &err), CLM_OK);
    expect_content(path, "one", 3);
    assert_int_equal(clm_map_open(path, &old, &err), CLM_OK);
    assert_int_equal(clm_file_replace(path, "a\0longer", 8, &err), CLM_OK);
    expect_content(path, "a\0longer", 8);
    /* Replaced, not overwritten: who had the old file open still has all of it. */
    assert_int_equal(old.size, 3);
    assert_memory_equal(old.data, "one", 3);
    clm_map_close(&old);
    assert_int_equal(clm_file_replace(path, "", 0, &err), CLM_OK);
    expect_content(path, "", 0);
    assert_int_equal(count_entries(dir), 1);
    free(path);
    free(dir);
}

static void test_replace_fails(void **state)
{
    char *dir = in_scratch(state, "fails"), *inner = clm_path_join(dir, "taken");
    char *kept = clm_path_join(inner, "kept"), *missing = in_scratch(state, "nowhere/f");
    char *below = clm_path_join(kept, "f");
    clm_err err = {""};
    size_t before = count_entries(*state);

    assert_int_equal(clm_file_replace(missing, "x", 1, &err), CLM_E_IO);
    assert_non_null(strstr(err.text, missing));
    assert_false(clm_file_exists(missing));
    assert_int_equal(count_entries(*state), before);

    assert_int_equal(clm_dir_create(inner, &err), CLM_OK);
    assert_int_equal(clm_file_replace(kept, "old", 3, &err), CLM_OK);
    /* The target is a folder with something in it: the rename, the last step, fails. */
    assert_int_equal(clm_file_replace(inner, "new", 3, &err), CLM_E_IO);
    assert_non_null(strstr(err.text, inner));
    expect_content(kept, "old", 3);
    assert_int_equal(count_entries(dir), 1);
    /* The target's folder is a file. */
    assert_int_equal(clm_file_replace(below, "new", 3, &err), CLM_E_IO);
    expect_content(kept, "old", 3);
    assert_int_equal(count_entries(inner), 1);
    free(dir);
    free(inner);
    free(kept);
    free(missing);
    free(below);
}

static mode_t mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(lstat(path, &info), 0);
    return info.st_mode;
}

/* Where a user wants it: modes and links as everywhere, and never half a file. */
static void test_write(void **state)
{
    char *dir = in_scratch(state, "write"), *path = clm_path_join(dir, "f");
    char *link = clm_path_join(dir, "link"), *nothing = clm_path_join(dir, "nothing");
    const mode_t mask = umask(027);
    clm_err err = {""};

    assert_int_equal(clm_dir_create(dir, &err), CLM_OK);
    assert_int_equal(clm_file_write(path, "one", 3, &err), CLM_OK);
    expect_content(path, "one", 3);
    assert_int_equal(mode_of(path), S_IFREG | 0640);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(symlink("f", link), 0);
    assert_int_equal(clm_file_write(link, "two", 3, &err), CLM_OK);
    assert_true(S_ISLNK(mode_of(link)));
    expect_content(path, "two", 3);
    assert_int_equal(mode_of(path), S_IFREG | 0604);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("nothing", link), 0);
    assert_int_equal(clm_file_write(link, "three", 5, &err), CLM_OK);
    assert_true(S_ISLNK(mode_of(link)));
    expect_content(nothing, "three", 5);
    assert_int_equal(clm_file_write(dir, "x", 1, &err), CLM_E_IO);
    assert_int_equal(count_entries(dir), 3);
    umask(mask);
    free(dir);
    free(path);
    free(link);
    free(nothing);
}

static void test_write_fifo(void **state)
{
    char *path = in_scratch(state, "fifo"), got[8];
    clm_err err = {""};
    int fd;

    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(clm_file_write(path, "one", 3, &err), CLM_OK);
    assert_true(S_ISFIFO(mode_of(path)));
    assert_int_equal(read(fd, got, sizeof got), 3);
    assert_memory_equal(got, "one", 3);
    close(fd);
    free(path);
}

/* An existing file stays when its folder takes no new one. */
static void test_replace_read_only(void **state)
{
    char *dir, *path;
    clm_status st;

    if (geteuid() == 0) {
        print_message("runs as root, who may write into any folder\n");
        skip();
    }
    dir = in_scratch(state, "readonly");
    path = clm_path_join(dir, "f");
    assert_int_equal(clm_dir_create(dir, NULL), CLM_OK);
    assert_int_equal(clm_file_replace(path, "old", 3, NULL), CLM_OK);
    assert_int_equal(chmod(dir, 0500), 0);
    st = clm_file_replace(path, "new", 3, NULL);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(st, CLM_E_IO);
    expect_content(path, "old", 3);
    assert_int_equal(count_entries(dir), 1);
    free(path);
    free(dir);
}

static void test_dir_create(void **state)
{
    char *path = in_scratch(state, "d/e/f"), *slashes = in_scratch(state, "d//e/g/");
    char *file = in_scratch(state, "plain"), *below = in_scratch(state, "plain/x/y");
    struct stat info;
    clm_err err = {""};

    assert_false(clm_file_exists(path));
    assert_int_equal(clm_dir_create(path, &err), CLM_OK);
    assert_true(clm_file_is_dir(path));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0077, 0); /* nobody else's */
    assert_int_equal(clm_dir_create(path, &err), CLM_OK);
    assert_int_equal(clm_dir_create(slashes, &err), CLM_OK);
    assert_true(clm_file_is_dir(slashes));

    write_plain(file, "x", 1);
    assert_true(clm_file_exists(file));
    assert_false(clm_file_is_dir(file));
    assert_int_equal(clm_dir_create(below, &err), CLM_E_IO);
    assert_non_null(strstr(err.text, file));
    assert_int_equal(clm_dir_create(file, &err), CLM_E_IO);
    assert_int_equal(clm_dir_create("", &err), CLM_E_IO);
    expect_content(file, "x", 1);
    free(path);
    free(slashes);
    free(file);
    free(below);
}

static void expect_text(char *got, const char *expected)
{
    if (expected == NULL) {
        assert_null(got);
    } else {
        assert_non_null(got);
        assert_string_equal(got, expected);
    }
    free(got);
}

static void test_paths(void **state)
{
    (void)state;
    expect_text(clm_path_dir("f"), ".");
    expect_text(clm_path_dir("a/f"), "a");
    expect_text(clm_path_dir("/f"), "/");
    expect_text(clm_path_dir("/a/b/f"), "/a/b");
    expect_text(clm_path_dir("../f"), "..");
    expect_text(clm_path_dir("a/"), "a");
    expect_text(clm_path_join("a", "b"), "a/b");
    expect_text(clm_path_join("/a", "b/c"), "/a/b/c");
    expect_text(clm_path_join(".", "../b"), "./../b");
    expect_text(clm_path_join("a", "/b"), "/b");
}

static void test_xdg(void **state)
{
    (void)state;
    setenv("HOME", "/h", 1);
    setenv("XDG_CACHE_HOME", "/c", 1);
    setenv("XDG_DATA_HOME", "/d", 1);
    expect_text(clm_dir_cache("kernels"), "/c/clm/kernels");
    expect_text(clm_dir_data("tuning"), "/d/clm/tuning");
    setenv("XDG_CACHE_HOME", "relative", 1); /* the specification: ignore it */
    setenv("XDG_DATA_HOME", "", 1);
    expect_text(clm_dir_cache("kernels"), "/h/.cache/clm/kernels");
    expect_text(clm_dir_data("tuning"), "/h/.local/share/clm/tuning");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("XDG_DATA_HOME");
    expect_text(clm_dir_cache("k"), "/h/.cache/clm/k");
    expect_text(clm_dir_data("t"), "/h/.local/share/clm/t");
    unsetenv("HOME");
    expect_text(clm_dir_cache("k"), NULL);
    expect_text(clm_dir_data("t"), NULL);
    setenv("XDG_CACHE_HOME", "/c", 1);
    expect_text(clm_dir_cache("k"), "/c/clm/k");
}

/* What was dropped is there again when it is read; ranges outside the file are left alone. */
static void test_drop(void **state)
{
    enum { SIZE = 3 * 4096 + 5 };
    char *data = malloc(SIZE), *path = in_scratch(state, "drop");
    clm_map map;
    clm_err err = {""};

    assert_non_null(data);
    for (size_t i = 0; i < SIZE; i++) data[i] = (char)(i * 7 % 251);
    assert_int_equal(clm_file_replace(path, data, SIZE, &err), CLM_OK);
    assert_int_equal(clm_map_open(path, &map, &err), CLM_OK);
    assert_true(memcmp(map.data, data, SIZE) == 0);
    clm_map_drop_range(&map, 0, SIZE);
    assert_true(memcmp(map.data, data, SIZE) == 0);
    clm_map_drop_range(&map, 4100, 5000);
    assert_true(memcmp(map.data, data, SIZE) == 0);
    clm_map_drop_range(&map, SIZE, 1);
    clm_map_drop_range(&map, 10, SIZE_MAX - 5);
    assert_true(memcmp(map.data, data, SIZE) == 0);
    clm_map_close(&map);
    free(path);
    free(data);
}

static void identify(const char *folder, char hex[33])
{
    clm_hash *h;
    clm_err err;

    assert_int_equal(clm_hash_create(&h, &err), CLM_OK);
    if (clm_file_identify(folder, h, &err) != CLM_OK) fail_msg("%s", err.text);
    clm_hash_hex(h, hex);
    clm_hash_destroy(h);
}

/* A model is another one when a file of it is, the code that comes with it included; notes beside it do not count. */
static void test_identify(void **state)
{
    static const struct {
        const char *name;
        bool counts;
    } files[] = {{"model.safetensors", true}, {"config.json", true}, {"modeling_baichuan.py", true},
                 {"tokenizer.model", true},   {"weights.bin", true}, {"README.md", false}};
    char *folder = clm_path_join(*state, "identified"), before[33], after[33];
    clm_err err;

    assert_int_equal(clm_dir_create(folder, &err), CLM_OK);
    identify(folder, before);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = clm_path_join(folder, files[i].name);

        assert_int_equal(clm_file_replace(path, "1", 1, &err), CLM_OK);
        identify(folder, after);
        assert_int_equal(strcmp(before, after) != 0, files[i].counts);
        memcpy(before, after, sizeof before);
        assert_int_equal(clm_file_replace(path, "12", 2, &err), CLM_OK);
        identify(folder, after);
        assert_int_equal(strcmp(before, after) != 0, files[i].counts);
        memcpy(before, after, sizeof before);
        free(path);
    }
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_map_of_a_file_that_shrinks),
        cmocka_unit_test(test_read_limit),
        cmocka_unit_test(test_fd_write),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_replace_fails),
        cmocka_unit_test(test_replace_read_only),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_fifo),
        cmocka_unit_test(test_identify),
        cmocka_unit_test(test_dir_create),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_xdg),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
