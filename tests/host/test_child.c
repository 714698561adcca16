/* test_child.c: programs in a process of their own: how they end, what they are given, and that they do not outlive
 * their parent.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host/child.h"

static clm_child_end run_shell(const char *script, double seconds, int *code)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};

    return clm_child_run(argv, "CLM_TEST_CHILD", "it's set", seconds, NULL, code);
}

static void test_ends(void **state)
{
    char *nothing[] = {(char *)"/nonexistent/program", NULL};
    volatile sig_atomic_t stop = 1;
    char *slow[] = {(char *)"/bin/sleep", (char *)"100", NULL};
    int code;

    (void)state;
    assert_int_equal(run_shell("exit 3", 60, &code), CLM_CHILD_EXITED);
    assert_int_equal(code, 3);
    assert_int_equal(run_shell("kill -ABRT $$", 60, &code), CLM_CHILD_CRASHED);
    assert_int_equal(code, SIGABRT);
    assert_int_equal(run_shell("sleep 100", 0.2, &code), CLM_CHILD_TIMEOUT);
    assert_int_equal(clm_child_run(slow, NULL, NULL, 60, &stop, &code), CLM_CHILD_STOPPED);
    assert_int_equal(clm_child_run(nothing, NULL, NULL, 60, NULL, &code), CLM_CHILD_NOT_BEGUN);
}

static void test_environment(void **state)
{
    int code;

    (void)state;
    setenv("CLM_TEST_CHILD", "the parent's", 1);
    setenv("CLM_TEST_OTHER", "kept", 1);
    assert_int_equal(
        run_shell("[ \"$CLM_TEST_CHILD $CLM_TEST_OTHER\" = \"it's set kept\" ]", 60, &code),
        CLM_CHILD_EXITED);
    assert_int_equal(code, 0);
    assert_string_equal(getenv("CLM_TEST_CHILD"), "the parent's");
}

static void test_descriptors(void **state)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c",
                    (char *)"read -r line <&4 && echo \"got $line\" >&3 && echo lost", NULL};
    int to[2], from[2], status;
    char text[64] = "";
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    pid = clm_child_start(argv, environ, (clm_child_fd[]){{from[1], 3}, {to[0], 4}}, 2);
    assert_true(pid > 0);
    close(to[0]);
    close(from[1]);
    assert_int_equal(write(to[1], "words\n", 6), 6);
    assert_int_equal(read(from[0], text, sizeof text - 1), 10);
    assert_string_equal(text, "got words\n");
    assert_int_equal(read(from[0], text, 1), 0); /* what is written to 1 goes away */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(to[1]);
    close(from[0]);
}

/* Whether the process is there and no zombie that nobody has waited for yet. */
static bool lives(pid_t pid)
{
    char path[64], state = 'Z';
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (f == NULL) return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
    fclose(f);
    return state != 'Z';
}

static void test_ends_with_its_parent(void **state)
{
    char *argv[] = {(char *)"/bin/sleep", (char *)"100", NULL};
    int tell[2];
    pid_t parent, pid = 0;

    (void)state;
    assert_int_equal(pipe(tell), 0);
    parent = fork();
    if (parent == 0) {
        pid = clm_child_start(argv, environ, NULL, 0);
        _exit(write(tell[1], &pid, sizeof pid) != sizeof pid || pause() == 0);
    }
    assert_int_equal(read(tell[0], &pid, sizeof pid), sizeof pid);
    assert_true(pid > 0);
    assert_true(lives(pid));
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    for (int i = 0; i < 500 && lives(pid); i++) usleep(10000);
    assert_false(lives(pid));
    close(tell[0]);
    close(tell[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_ends_with_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
