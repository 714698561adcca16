/* host/child.h: a program run for its exit status alone, with a time limit: for what may crash or hang.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_CHILD_H
#define CLM_HOST_CHILD_H

#include <signal.h>

typedef enum clm_child_end {
    CLM_CHILD_EXITED,   /* by itself: *code is its exit code */
    CLM_CHILD_CRASHED,  /* by a signal: *code is its number */
    CLM_CHILD_TIMEOUT,  /* not in time, and killed */
    CLM_CHILD_STOPPED,  /* *stop became non-zero, and killed */
    CLM_CHILD_NOT_BEGUN /* it cannot be started */
} clm_child_end;

/* Runs argv[0] (a path) with this environment, in which `variable` (NULL: none) is `value`; its output goes
 * away. `stop` may be NULL. */
clm_child_end clm_child_run(char *const *argv, const char *variable, const char *value,
                            double seconds, const volatile sig_atomic_t *stop, int *code);

#endif
