/* host/out_file.c: see host/out_file.h. */
#include "host/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"

struct clm_out_file {
    char *path;
    int fd;
};

static clm_status fail_io(const clm_out_file *f, clm_err *err)
{
    return clm_fail(err, CLM_E_IO, "%s: %s", f->path, strerror(errno));
}

/* Opens and locks. The file may have been renamed between the two: then it is not ours. */
static clm_status open_locked(clm_out_file *f, struct stat *info, clm_err *err)
{
    struct stat named;

    f->fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (f->fd < 0 || fstat(f->fd, info) != 0) return fail_io(f, err);
    if (!S_ISREG(info->st_mode)) return clm_fail(err, CLM_E_IO, "%s: not a regular file", f->path);
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return clm_fail(err, CLM_E_IO, "%s: is being written by another process", f->path);
        return fail_io(f, err);
    }
    if (stat(f->path, &named) != 0 || named.st_ino != info->st_ino || named.st_dev != info->st_dev)
        return clm_fail(err, CLM_E_IO, "%s: another process has just finished it", f->path);
    return CLM_OK;
}

static clm_status reserve(clm_out_file *f, uint64_t size, clm_err *err)
{
    if (fallocate(f->fd, 0, 0, (off_t)size) == 0) return CLM_OK;
    if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)
        return clm_fail(err, CLM_E_IO, "%s: there is no room for %.1f MB: %s", f->path,
                        (double)size / 1e6, strerror(errno));
    if (ftruncate(f->fd, (off_t)size) != 0)
        return fail_io(f, err); /* cannot reserve, only extend */
    return CLM_OK;
}

clm_status clm_out_file_open(const char *path, uint64_t size, bool *kept, clm_out_file **out,
                             clm_err *err)
{
    clm_status st;
    struct stat info;
    clm_out_file *f = calloc(1, sizeof *f);

    *out = NULL;
    *kept = false;
    if (f != NULL) f->fd = -1;
    if (f == NULL || (f->path = strdup(path)) == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
        goto out;
    }
    st = open_locked(f, &info, err);
    if (st != CLM_OK) goto out;
    *kept = size > 0 && (uint64_t)info.st_size == size;
    if (!*kept && ftruncate(f->fd, 0) != 0) {
        st = fail_io(f, err);
        goto out;
    }
    st = reserve(f, size, err);
    if (st != CLM_OK) {
        if (!*kept) unlink(path); /* it holds nothing */
        goto out;
    }
    *out = f;
    f = NULL;
out:
    clm_out_file_close(f);
    return st;
}

clm_status clm_out_file_write(clm_out_file *f, uint64_t offset, const void *data, size_t size,
                              clm_err *err)
{
    const char *bytes = data;

    while (size > 0) {
        ssize_t n = pwrite(f->fd, bytes, size, (off_t)offset);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail_io(f, err);
        bytes += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return CLM_OK;
}

clm_status clm_out_file_read(clm_out_file *f, uint64_t offset, void *data, size_t size,
                             clm_err *err)
{
    char *bytes = data;

    while (size > 0) {
        ssize_t n = pread(f->fd, bytes, size, (off_t)offset);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_io(f, err);
        if (n == 0) return clm_fail(err, CLM_E_IO, "%s: ends too early", f->path);
        bytes += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return CLM_OK;
}

void clm_out_file_release(clm_out_file *f, uint64_t offset, uint64_t size)
{
    /* Nothing is waited for: the range is begun, and what earlier calls began is probably done. */
    sync_file_range(f->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
    posix_fadvise(f->fd, 0, (off_t)offset, POSIX_FADV_DONTNEED);
}

clm_status clm_out_file_commit(clm_out_file *f, const char *target, clm_err *err)
{
    clm_status st = CLM_OK;
    char *folder = clm_path_dir(target);
    int fd = -1;

    if (folder == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", target);
    if (fsync(f->fd) != 0) {
        st = fail_io(f, err);
        goto out;
    }
    if (rename(f->path, target) != 0) {
        st = clm_fail(err, CLM_E_IO, "%s: %s", target, strerror(errno));
        goto out;
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) fsync(fd); /* the name itself; some file systems cannot, and need not */
out:
    if (fd >= 0) close(fd);
    free(folder);
    return st;
}

void clm_out_file_close(clm_out_file *f)
{
    if (f == NULL) return;
    if (f->fd >= 0) close(f->fd);
    free(f->path);
    free(f);
}
