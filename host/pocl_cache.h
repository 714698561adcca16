/* host/pocl_cache.h: a folder for PoCL's own cache where its usual one cannot be written.
 *
 * Layer    host.
 * Threads  clm_pocl_cache_prepare() changes the environment: before other threads are begun.
 */
#ifndef CLM_HOST_POCL_CACHE_H
#define CLM_HOST_POCL_CACHE_H

#include <stddef.h>

/* PoCL has no device, or builds no kernel, where it cannot write its cache: $POCL_CACHE_DIR, else
 * $XDG_CACHE_HOME/pocl/kcache, else ~/.cache/pocl/kcache, else /tmp/pocl/kcache, which all users share (PoCL's
 * documentation, "Environment variables"). If POCL_CACHE_DIR is not set and nothing can be written there (a user without a
 * home, a file system that is read-only), or it is the last of them, sets it to clm-pocl-UID in $TMPDIR or /tmp, of this user alone. To be called before the first
 * call of OpenCL. */
void clm_pocl_cache_prepare(void);

#endif
