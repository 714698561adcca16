/* host/program.h: one embedded file of cl/, with what it includes, plus -D values becomes a built
 * program.
 *
 * Layer    host.
 * Threads  distinct programs may be created in parallel; a device's cache folder is safe for
 *          several processes (files are replaced atomically).
 *
 * Binaries are kept in the cache folder under the hash of everything that decides them: format
 * version, prelude and kernel text, defines, options, platform, device and driver. A damaged or
 * refused entry is deleted and rebuilt; the cache can never make a program fail. A device may be told to
 * keep none (clm_device_keep_programs). Of programs with inline assembly on PoCL only that they have run is kept.
 */
#ifndef CLM_HOST_PROGRAM_H
#define CLM_HOST_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include "host/device.h"

/* One -D name=value handed to the OpenCL compiler. */
typedef struct clm_define {
    const char *name;
    int value;
} clm_define;

typedef struct clm_program clm_program;

/* Builds cl/<name>.cl for `dev`, or loads it from the binary cache.
 *   defs, count  tunables and shape constants; order does not matter
 *   dev          kept by reference: must outlive the program
 * Returns CLM_OK, CLM_E_INTERNAL (no such kernel file), CLM_E_BUILD (the sentence holds the first
 * line of the build log), CLM_E_CL or CLM_E_NOMEM. */
clm_status clm_program_create(clm_device *dev, const char *name, const clm_define *defs,
                              size_t count, clm_program **out, clm_err *err);
/* The same with `text` (NUL-terminated, without prelude and includes) in place of a file of cl/;
 * in messages, those of compilers too, it is "kernel <name>". */
clm_status clm_program_create_text(clm_device *dev, const char *name, const char *text,
                                   const clm_define *defs, size_t count, clm_program **out,
                                   clm_err *err);
void clm_program_destroy(clm_program *prog);

/* Whether the binary came from the cache. */
bool clm_program_cached(const clm_program *prog);

/* A driver may finish a kernel when it first runs (PoCL compiles it for the size of the work-groups then).
 * Whether the program came from the cache as one whose kernels had run; and saying that they have, which
 * is kept with the binary. */
bool clm_program_warm(const clm_program *prog);
void clm_program_set_warm(clm_program *prog);

/* 32 hexadecimal digits for all text that cl/<name>.cl is compiled from, or for `text`: what was
 * measured with one text says nothing about another. */
clm_status clm_program_hash(const char *name, char out[33], clm_err *err);
clm_status clm_program_hash_text(const char *text, char out[33], clm_err *err);

/* Text of an embedded file of cl/ (stem, without .cl), or NULL. */
const char *clm_kernel_source(const char *name, size_t *size);

#endif
