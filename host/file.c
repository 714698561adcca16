/* host/file.c: see host/file.h. */
#include "host/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/map_fault.h"

clm_status clm_map_open(const char *path, clm_map *out, clm_err *err)
{
    clm_status st = CLM_OK;
    struct stat info;
    void *data;
    int fd;

    out->data = NULL;
    out->size = 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        st = clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        st = clm_fail(err, CLM_E_IO, "%s: not a regular file", path);
        goto out;
    }
    if (info.st_size == 0) goto out;
    data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        st = clm_fail(err, CLM_E_IO, "%s: cannot be mapped: %s", path, strerror(errno));
        goto out;
    }
    out->data = data;
    out->size = (size_t)info.st_size;
    clm__map_watch(out->data, out->size, path);
out:
    close(fd);
    return st;
}

void clm_map_close(clm_map *map)
{
    if (map == NULL || map->data == NULL) return;
    clm__map_unwatch(map->data);
    munmap((void *)map->data, map->size);
    map->data = NULL;
    map->size = 0;
}

void clm_map_drop_range(const clm_map *map, size_t offset, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), first = offset / page * page;

    if (offset < map->size && size <= map->size - offset)
        madvise((void *)(map->data + first), offset + size - first, MADV_DONTNEED);
}

void clm_map_drop(const clm_map *map)
{
    if (map->size > 0) clm_map_drop_range(map, 0, map->size);
}

clm_status clm_file_read(const char *path, size_t limit, char **data, size_t *size, clm_err *err)
{
    clm_status st = CLM_OK;
    size_t used = 0, room = 4096;
    char *text = NULL;
    FILE *file;

    *data = NULL;
    *size = 0;
    file = fopen(path, "rbe");
    if (file == NULL) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    for (;;) {
        char *grown = realloc(text, room + 1);
        if (grown == NULL) {
            st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
            goto out;
        }
        text = grown;
        used += fread(text + used, 1, room - used, file);
        if (ferror(file)) {
            st = clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
            goto out;
        }
        if (used > limit) {
            st = clm_fail(err, CLM_E_LIMIT, "%s: larger than the %zu bytes allowed", path, limit);
            goto out;
        }
        if (used < room) break;
        room *= 2;
    }
    text[used] = '\0';
    *data = text;
    *size = used;
    text = NULL;
out:
    free(text);
    fclose(file);
    return st;
}

clm_status clm_fd_write(int fd, const char *name, const void *data, size_t size, clm_err *err)
{
    const char *at = data;

    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return clm_fail(err, CLM_E_IO, "%s: %s", name,
                            n < 0 ? strerror(errno) : "nothing more can be written");
        at += n;
        size -= (size_t)n;
    }
    return CLM_OK;
}

static clm_status replace(const char *path, mode_t mode, const void *data, size_t size,
                          clm_err *err)
{
    clm_status st = CLM_OK;
    size_t length = strlen(path);
    char *temp = malloc(length + sizeof ".XXXXXX");
    int fd = -1;

    if (temp == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    memcpy(temp, path, length);
    memcpy(temp + length, ".XXXXXX", sizeof ".XXXXXX");
    fd = mkstemp(temp);
    if (fd < 0) {
        st = clm_fail(err, CLM_E_IO, "%s: %s", temp, strerror(errno));
        goto out;
    }
    if (mode != 0600) (void)fchmod(fd, mode); /* some file systems have one mode for all */
    st = clm_fd_write(fd, temp, data, size, err);
    if (st == CLM_OK && fsync(fd) != 0)
        st = clm_fail(err, CLM_E_IO, "%s: %s", temp, strerror(errno));
    if (st != CLM_OK) {
        unlink(temp);
        goto out;
    }
    if (rename(temp, path) != 0) {
        st = clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
        unlink(temp);
    }
out:
    if (fd >= 0) close(fd);
    free(temp);
    return st;
}

clm_status clm_file_replace(const char *path, const void *data, size_t size, clm_err *err)
{
    return replace(path, 0600, data, size, err);
}

/* What the umask leaves; it can be asked for by setting it only, so to something strict meanwhile. */
static mode_t new_file_mode(void)
{
    const mode_t mask = umask(077);

    umask(mask);
    return 0666 & ~mask;
}

static clm_status write_plainly(const char *path, const void *data, size_t size, clm_err *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
    clm_status st;

    if (fd < 0) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    st = clm_fd_write(fd, path, data, size, err);
    if (close(fd) != 0 && st == CLM_OK)
        st = clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    return st;
}

clm_status clm_file_write(const char *path, const void *data, size_t size, clm_err *err)
{
    struct stat info;
    char *whole;
    clm_status st;

    if (stat(path, &info) != 0) {
        if (lstat(path, &info) != 0) return replace(path, new_file_mode(), data, size, err);
        return write_plainly(path, data, size, err); /* a link to what is not there yet */
    }
    whole = S_ISREG(info.st_mode) ? realpath(path, NULL) : NULL;
    if (whole == NULL) return write_plainly(path, data, size, err);
    if (access(whole, W_OK) != 0)
        st = clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    else
        st = replace(whole, info.st_mode & 0777, data, size, err);
    free(whole);
    return st;
}

bool clm_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool clm_file_is_regular(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool clm_file_is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool clm_file_is_same(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

clm_status clm_file_remove(const char *path, clm_err *err)
{
    if (unlink(path) == 0 || errno == ENOENT) return CLM_OK;
    return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
}

/* Whether files of this name make up models. */
static int is_model_part(const struct dirent *entry)
{
    static const char *const endings[] = {".bin", ".safetensors", ".json", ".model", ".py"};
    const char *ending = strrchr(entry->d_name, '.');

    for (size_t i = 0; ending != NULL && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(ending, endings[i]) == 0) return 1;
    return 0;
}

static clm_status identify_one(int folder, const char *name, clm_hash *h, clm_err *err)
{
    struct stat info;

    if (fstatat(folder, name, &info, 0) != 0)
        return clm_fail(err, CLM_E_IO, "%s: %s", name, strerror(errno));
    const int64_t facts[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};

    clm_hash_add_text(h, name);
    clm_hash_add(h, facts, sizeof facts);
    return CLM_OK;
}

clm_status clm_file_identify(const char *path, clm_hash *h, clm_err *err)
{
    clm_status st = CLM_OK;
    struct dirent **names = NULL;
    char *whole = realpath(path, NULL);
    int folder = -1, n = 0;

    if (whole == NULL) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    clm_hash_add_text(h, whole);
    if (!clm_file_is_dir(whole)) {
        st = identify_one(AT_FDCWD, whole, h, err);
        goto out;
    }
    folder = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    n = folder < 0 ? -1 : scandir(whole, &names, is_model_part, alphasort);
    if (n < 0) st = clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    for (int i = 0; i < n && st == CLM_OK; i++) st = identify_one(folder, names[i]->d_name, h, err);
out:
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
    if (folder >= 0) close(folder);
    free(whole);
    return st;
}

clm_status clm_dir_each(const char *path, void (*see)(void *user, const char *name), void *user,
                        clm_err *err)
{
    DIR *dir = opendir(path);

    if (dir == NULL) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        see(user, entry->d_name);
    closedir(dir);
    return CLM_OK;
}

typedef struct found {
    const char *ending;
    size_t count;
    char *first;
    bool no_memory;
} found;

static void see_ending(void *user, const char *name)
{
    found *f = user;

    if (!clm_path_ends(name, f->ending) || ++f->count > 1) return;
    f->first = strdup(name);
    f->no_memory = f->first == NULL;
}

clm_status clm_dir_find(const char *path, const char *ending, size_t *count, char **name,
                        clm_err *err)
{
    found f = {.ending = ending};
    clm_status st = clm_dir_each(path, see_ending, &f, err);

    if (st == CLM_OK && f.no_memory) st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    *count = f.count;
    *name = f.first;
    return st;
}

void clm_file_touch(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);
}

void clm_dir_prune(const char *path, unsigned days)
{
    const time_t oldest = time(NULL) - (time_t)days * 24 * 60 * 60;
    DIR *dir = opendir(path);

    if (dir == NULL) return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat info;

        if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode) && info.st_mtime < oldest)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

clm_status clm_dir_create(const char *path, clm_err *err)
{
    clm_status st = CLM_OK;
    char *copy = strdup(path);

    if (copy == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    for (char *p = copy + (copy[0] != '\0'); st == CLM_OK; p++) {
        if (*p != '/' && *p != '\0') continue;
        char end = *p;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            st = clm_fail(err, CLM_E_IO, "%s: %s", copy, strerror(errno));
        *p = end;
        if (end == '\0') break;
    }
    free(copy);
    if (st == CLM_OK && !clm_file_is_dir(path))
        st = clm_fail(err, CLM_E_IO, "%s: not a folder", path);
    return st;
}

bool clm_path_ends(const char *path, const char *ending)
{
    const size_t n = strlen(path), e = strlen(ending);

    return n > e && strcmp(path + n - e, ending) == 0;
}

char *clm_path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) return strdup(".");
    if (slash == path) return strdup("/");
    return strndup(path, (size_t)(slash - path));
}

char *clm_path_join(const char *a, const char *b)
{
    char *path = NULL;

    if (b[0] == '/') return strdup(b);
    if (asprintf(&path, "%s/%s", a, b) < 0) return NULL;
    return path;
}

/* $variable/clm/sub, else $HOME/fallback/clm/sub. */
static char *xdg_dir(const char *variable, const char *fallback, const char *sub)
{
    const char *base = getenv(variable);
    const char *home = getenv("HOME");
    char *path = NULL;
    int n = -1;

    /* The specification says that a relative path is to be ignored. */
    if (base != NULL && base[0] == '/')
        n = asprintf(&path, "%s/clm/%s", base, sub);
    else if (home != NULL && home[0] == '/')
        n = asprintf(&path, "%s/%s/clm/%s", home, fallback, sub);
    return n < 0 ? NULL : path;
}

char *clm_dir_cache(const char *sub)
{
    return xdg_dir("XDG_CACHE_HOME", ".cache", sub);
}

char *clm_dir_data(const char *sub)
{
    return xdg_dir("XDG_DATA_HOME", ".local/share", sub);
}
