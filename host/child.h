/* host/child.h: programs that may crash or hang, in a process of their own.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_CHILD_H
#define CLM_HOST_CHILD_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

typedef enum clm_child_end {
    CLM_CHILD_EXITED,   /* by itself: *code is its exit code */
    CLM_CHILD_CRASHED,  /* by a signal: *code is its number */
    CLM_CHILD_TIMEOUT,  /* not in time, and killed */
    CLM_CHILD_STOPPED,  /* *stop became non-zero, and killed */
    CLM_CHILD_NOT_BEGUN /* it cannot be started, or ended with exit code 127 */
} clm_child_end;

/* A descriptor of this process, and its number in the child. */
typedef struct clm_child_fd {
    int here, there;
} clm_child_fd;

enum { CLM_CHILD_FDS = 4 };

/* Starts argv[0] (a path) with `environment` and, besides 0 to 2, which are /dev/null, `n` descriptors, at most
 * CLM_CHILD_FDS, with numbers from 3 to 15. It has a process group of its own, as Ctrl+C is the parent's, writes no core,
 * and is killed when the calling thread ends, however that happens. Returns its number, which is to be waited for, or
 * -1 with errno. */
pid_t clm_child_start(char *const *argv, char *const *environment, const clm_child_fd *fds,
                      size_t n);

/* Runs argv[0] for its exit status alone, with this environment, in which `variable` (NULL: none) is `value`. `stop`
 * may be NULL. */
clm_child_end clm_child_run(char *const *argv, const char *variable, const char *value,
                            double seconds, const volatile sig_atomic_t *stop, int *code);

#endif
