/* host/status.h: the one list of errors, and the text that goes with one.
 *
 * Layer    host; includes nothing of ours.
 * Threads  no state: a clm_err belongs to its caller.
 *
 * Every function that can fail returns a clm_status and takes a clm_err, which may be NULL.
 * Results go through `out` parameters, set to NULL or 0 on failure.
 */
#ifndef CLM_HOST_STATUS_H
#define CLM_HOST_STATUS_H

/* X(name, exit code of the program, short text) */
#define CLM_STATUS_LIST(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(E_NOMEM, 1, "out of memory")                                                                 \
    X(E_IO, 1, "input or output failed")                                                           \
    X(E_CL, 1, "an OpenCL call failed")                                                            \
    X(E_BUILD, 1, "an OpenCL program did not build")                                               \
    X(E_LIMIT, 1, "a limit is exceeded")                                                           \
    X(E_INTERNAL, 1, "internal error")                                                             \
    X(E_USAGE, 2, "wrong usage")                                                                   \
    X(E_CONFIG, 2, "wrong configuration")                                                          \
    X(E_MODEL, 3, "unusable model file")                                                           \
    X(E_NODEVICE, 4, "no usable device")                                                           \
    X(E_DEVMEM, 5, "out of device memory")                                                         \
    X(E_SELFTEST, 6, "self-test failed")                                                           \
    X(E_INTERRUPTED, 130, "interrupted")

typedef enum clm_status {
#define X(name, code, text) CLM_##name,
    CLM_STATUS_LIST(X)
#undef X
} clm_status;

/* Details of the last failure: one sentence without a newline, UTF-8, always terminated. */
typedef struct clm_err {
    char text[640];
} clm_err;

/* Short text of `st`; never NULL. */
const char *clm_status_text(clm_status st);

/* Exit code of the program for `st` (docs/design.md, "Exit codes"). */
int clm_status_exit_code(clm_status st);

/* Writes the formatted sentence into `err` (if not NULL) and returns `st`, so that a failing
 * function can say `return clm_fail(err, CLM_E_IO, "%s: ...", path)`. Text from outside (file
 * names, keys) is made printable: control bytes and broken UTF-8 become '?'. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
clm_status
clm_fail(clm_err *err, clm_status st, const char *format, ...);

/* Puts "prefix: " in front of the text already in `err`; returns `st`. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
clm_status
clm_fail_context(clm_err *err, clm_status st, const char *format, ...);

#endif
