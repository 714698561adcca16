/* runtime/tune_impl.h: how a worker process is started, for tune.c, tune_compare.c and doctor_device.c.
 *
 * Layer    runtime; for these.
 */
#ifndef CLM_RUNTIME_TUNE_IMPL_H
#define CLM_RUNTIME_TUNE_IMPL_H

#include <stddef.h>

/* The command line of a worker process: this program, once more. */
typedef struct clm__tune_command {
    char device[24];
    const char *argv[9]; /* ends with NULL */
} clm__tune_command;

/* `kernel` and `space`: of a user's kernel, else NULL; they are borrowed. */
void clm__tune_command_make(size_t device, const char *kernel, const char *space,
                            clm__tune_command *out);

#endif
