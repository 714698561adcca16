/* host/child.c: see host/child.h. */
#include "host/child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"

extern char **environ;

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

/* Ctrl+C is the parent's: the child has a process group of its own. */
static bool spawn(char *const *argv, char *const *environment, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    bool ok;

    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    ok = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0) == 0 &&
         posix_spawn_file_actions_adddup2(&files, 0, 1) == 0 &&
         posix_spawn_file_actions_adddup2(&files, 0, 2) == 0 &&
         posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP) == 0 &&
         posix_spawn(pid, argv[0], &files, &how, argv, environment) == 0;
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return ok;
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
    return WIFSIGNALED(status) ? CLM_CHILD_CRASHED : CLM_CHILD_EXITED;
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
        if (spawn(argv, setting != NULL ? environment : environ, &pid))
            end = wait_for(pid, seconds, stop, code);
    }
    free(environment);
    free(setting);
    return end;
}
