/* host/program_cache.h: compiled programs on disk; private to host/.
 *
 * Layer    host. One file per key in $XDG_CACHE_HOME/clm/kernels: a header (magic, key, hash of the content,
 * length, whether its kernels have run) and the driver's binary, which may be empty. Reading trusts nothing: what is not whole is
 * deleted, and so is what was not used for 60 days when something new is stored.
 */
#ifndef CLM_HOST_PROGRAM_CACHE_H
#define CLM_HOST_PROGRAM_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include "host/log.h"
#include "host/status.h"

/* The binary stored under `key` (32 hexadecimal digits), malloc'd; NULL when there is none or it
 * is damaged (then it is deleted, and said at info level). */
unsigned char *clm__program_cache_load(const char *key, size_t *size, bool *warm,
                                       const clm_observer *obs);

/* Stores a binary; of size 0 where only `warm` is to be kept. Failures are said at debug level only: the cache is a convenience. */
void clm__program_cache_store(const char *key, const unsigned char *binary, size_t size, bool warm,
                              const clm_observer *obs);

/* Deletes an entry that the driver refused. */
void clm__program_cache_drop(const char *key, const clm_observer *obs);

#endif
