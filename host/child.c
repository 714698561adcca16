/* host/child.c: see host/child.h. */
#include "host/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"

enum { NOT_EXECUTED = 127 }; /* exit code, as that of shells */

/* The environment with `setting` ("NAME=value") in place of what NAME is; the array is malloc'd. */
static char **make_environment(char *setting)
{
    const size_t name = (size_t)(strchr(setting, '=') - setting) + 1;
    size_t n = 0, used = 0;
    char **all;

    while (environ[n] != NULL) n++;
    all = malloc((n + 2) * sizeof *all);
    if (all == NULL) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], setting, name) != 0) all[used++] = environ[i];
    all[used++] = setting;
    all[used] = NULL;
    return all;
}

/* In the child, between fork and exec: async-signal-safe calls only. Output of drivers goes away. */
static void become(char *const *argv, char *const *environment, const clm_child_fd *fds, size_t n,
                   pid_t parent)
{
    enum {
        ABOVE = 16
    }; /* the numbers that they go to, so that no dup2 closes what the next one needs */
    const int null = open("/dev/null", O_RDWR);
    const struct rlimit none = {0, 0};
    int moved[CLM_CHILD_FDS];
    bool ok = null >= 0;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(NOT_EXECUTED); /* died before the line above */
    signal(SIGPIPE, SIG_DFL);
    setrlimit(RLIMIT_CORE, &none); /* a crash is expected */
    for (size_t i = 0; i < n && ok; i++)
        ok = (moved[i] = fcntl(fds[i].here, F_DUPFD_CLOEXEC, ABOVE)) >= 0;
    for (int i = 0; i < 3 && ok; i++) ok = dup2(null, i) >= 0;
    for (size_t i = 0; i < n && ok; i++) ok = dup2(moved[i], fds[i].there) >= 0;
    if (ok) execve(argv[0], argv, environment);
    _exit(NOT_EXECUTED);
}

pid_t clm_child_start(char *const *argv, char *const *environment, const clm_child_fd *fds,
                      size_t n)
{
    const pid_t parent = getpid(), pid = fork();

    if (pid == 0) become(argv, environment, fds, n, parent);
    return pid;
}

static clm_child_end wait_for(pid_t pid, double seconds, const volatile sig_atomic_t *stop,
                              int *code)
{
    const double end = clm_clock_seconds() + seconds;
    clm_child_end why = CLM_CHILD_EXITED;
    int status = 0;

    for (;;) {
        const pid_t done = waitpid(pid, &status, why == CLM_CHILD_EXITED ? WNOHANG : 0);

        if (done == pid || (done < 0 && errno != EINTR)) break;
        if (done < 0) continue;
        if (stop != NULL && *stop)
            why = CLM_CHILD_STOPPED;
        else if (clm_clock_seconds() > end)
            why = CLM_CHILD_TIMEOUT;
        else
            usleep(10000);
        if (why != CLM_CHILD_EXITED) kill(pid, SIGKILL);
    }
    if (why != CLM_CHILD_EXITED) return why;
    *code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    if (WIFSIGNALED(status)) return CLM_CHILD_CRASHED;
    return *code == NOT_EXECUTED ? CLM_CHILD_NOT_BEGUN : CLM_CHILD_EXITED;
}

clm_child_end clm_child_run(char *const *argv, const char *variable, const char *value,
                            double seconds, const volatile sig_atomic_t *stop, int *code)
{
    char *setting = NULL, **environment = NULL;
    clm_child_end end = CLM_CHILD_NOT_BEGUN;
    pid_t pid;

    *code = 0;
    if (variable != NULL && asprintf(&setting, "%s=%s", variable, value) < 0) return end;
    if (setting != NULL) environment = make_environment(setting);
    if (setting == NULL || environment != NULL) {
        pid = clm_child_start(argv, setting != NULL ? environment : environ, NULL, 0);
        if (pid > 0) end = wait_for(pid, seconds, stop, code);
    }
    free(environment);
    free(setting);
    return end;
}
