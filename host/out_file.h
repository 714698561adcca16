/* host/out_file.h: a large file that is written at its places, in any number of sittings, and gets
 * its name only when it is complete.
 *
 * Layer    host.
 * Threads  writing to distinct places may happen in parallel; everything else may not.
 */
#ifndef CLM_HOST_OUT_FILE_H
#define CLM_HOST_OUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"

typedef struct clm_out_file clm_out_file;

/* Opens `path` for reading and writing, locks it against other processes, and reserves `size` bytes
 * where the file system can, so that a full disk is found now. A file of exactly that size keeps
 * its bytes and sets `*kept`; any other is emptied.
 * Returns CLM_OK, CLM_E_IO (names the path; also when another process holds it) or CLM_E_NOMEM. */
clm_status clm_out_file_open(const char *path, uint64_t size, bool *kept, clm_out_file **out,
                             clm_err *err);

clm_status clm_out_file_write(clm_out_file *f, uint64_t offset, const void *data, size_t size,
                              clm_err *err);
clm_status clm_out_file_read(clm_out_file *f, uint64_t offset, void *data, size_t size,
                             clm_err *err);

/* Lets the system begin to write the range to disk, and forget what lies before it: a large file must
 * not displace from memory what others work with. A hint that may do nothing. */
void clm_out_file_release(clm_out_file *f, uint64_t offset, uint64_t size);

/* Puts the file on disk and then in the place of `target`, atomically. The file stays open under
 * its new name. Returns CLM_OK or CLM_E_IO. */
clm_status clm_out_file_commit(clm_out_file *f, const char *target, clm_err *err);

/* Closes; the file stays as it is. Accepts NULL. */
void clm_out_file_close(clm_out_file *f);

#endif
