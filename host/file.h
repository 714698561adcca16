/* host/file.h: files as the program needs them: mapped, read whole, replaced atomically; and the
 * folders of the XDG base directory specification.
 *
 * Layer    host.
 * Threads  no shared state.
 */
#ifndef CLM_HOST_FILE_H
#define CLM_HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/hash.h"
#include "host/status.h"

/* A file mapped read-only. */
typedef struct clm_map {
    const uint8_t *data; /* NULL when size is 0 */
    size_t size;
} clm_map;

/* Maps `path`. An empty file gives {NULL, 0}. Returns CLM_OK or CLM_E_IO (text names the path). */
clm_status clm_map_open(const char *path, clm_map *out, clm_err *err);
void clm_map_close(clm_map *map);
/* Gives back the memory that reading `size` bytes from `offset` on has taken; reading on fetches it from
 * the file again. May be called while other threads read. */
void clm_map_drop_range(const clm_map *map, size_t offset, size_t size);
/* The same for all of it. */
void clm_map_drop(const clm_map *map);

/* Reads a whole file of at most `limit` bytes into malloc'd memory, with a NUL appended that
 * `*size` does not count. Returns CLM_OK, CLM_E_IO, CLM_E_LIMIT or CLM_E_NOMEM. */
clm_status clm_file_read(const char *path, size_t limit, char **data, size_t *size, clm_err *err);

/* Writes all of `size` bytes to an open file that messages call `name`, going on after signals and short
 * writes. Returns CLM_OK or CLM_E_IO. */
clm_status clm_fd_write(int fd, const char *name, const void *data, size_t size, clm_err *err);

/* Replaces `path` by `size` bytes: temporary file in the same folder, fsync, rename. A crash
 * leaves the old file or the new one, never a part. Returns CLM_OK, CLM_E_IO or CLM_E_NOMEM. */
clm_status clm_file_replace(const char *path, const void *data, size_t size, clm_err *err);

/* Writes a file that a user named. One that is there, behind links as well, is replaced as above and keeps its
 * mode; a new one gets the mode that the umask leaves. What is no regular file (a FIFO, /dev/stdout) is
 * written to. Returns CLM_OK, CLM_E_IO or CLM_E_NOMEM. */
clm_status clm_file_write(const char *path, const void *data, size_t size, clm_err *err);

bool clm_file_exists(const char *path);
/* Behind links. */
bool clm_file_is_regular(const char *path);
bool clm_file_is_dir(const char *path);
/* Whether both names, behind links, are the same file. */
bool clm_file_is_same(const char *a, const char *b);

/* Adds to `h` what tells whether the file `path`, or any file of a model directly in the folder
 * `path`, was changed: absolute path, names, sizes, times of modification. Of a folder's files only
 * those count that models consist of (.bin, .safetensors, .json, .model; .py, whose code says what the others do not).
 * Returns CLM_OK, CLM_E_IO or CLM_E_NOMEM. */
clm_status clm_file_identify(const char *path, clm_hash *h, clm_err *err);

/* Removes a file; one that does not exist is not an error. */
clm_status clm_file_remove(const char *path, clm_err *err);

/* Calls `see` with the name of each entry of folder `path`, in no order. Returns CLM_OK or CLM_E_IO. */
clm_status clm_dir_each(const char *path, void (*see)(void *user, const char *name), void *user,
                        clm_err *err);

/* Counts the entries of folder `path` whose names end in `ending`. `*name` is one of them, malloc'd,
 * or NULL when there is none. Returns CLM_OK, CLM_E_IO or CLM_E_NOMEM. */
clm_status clm_dir_find(const char *path, const char *ending, size_t *count, char **name,
                        clm_err *err);

/* Sets a file's time of modification to now; removes the regular files of folder `path` that were not
 * modified for `days`. What cannot be done is left as it is: for caches. */
void clm_file_touch(const char *path);
void clm_dir_prune(const char *path, unsigned days);

/* Creates `path` and its missing parents with mode 0700. */
clm_status clm_dir_create(const char *path, clm_err *err);

/* Whether a path or name ends so, and is longer. */
bool clm_path_ends(const char *path, const char *ending);
/* Folder of the file's path, malloc'd ("." when there is no slash); NULL: no memory. */
char *clm_path_dir(const char *path);
/* "a/b" of "a" and "b", or a copy of `b` when it is absolute; malloc'd; NULL: no memory. */
char *clm_path_join(const char *a, const char *b);

/* $XDG_CACHE_HOME/clm/<sub>, or ~/.cache/clm/<sub>; $XDG_DATA_HOME likewise. Malloc'd, not
 * created. NULL when neither variable nor HOME is set, or without memory: no cache is not an error. */
char *clm_dir_cache(const char *sub);
char *clm_dir_data(const char *sub);

#endif
