/* torch_file.c: a file of torch.save (1.6 and later): a zip archive NAME/data.pkl, NAME/data/0 ...
 * whose entries are stored, not compressed, so that tensors are used where they lie in the mapped
 * file. libzip reads the directory; it is handed the mapping through a source of our own, which
 * also tells where in the file an entry's bytes are. See stored.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zip.h>

#include "host/file.h"
#include "runtime/formats/pickle.h"

/* The mapping as libzip sees it. */
typedef struct view {
    const uint8_t *data;
    size_t size, at;
    size_t last_read; /* where the last bytes were taken from */
    zip_error_t error;
} view;

typedef struct archive {
    const char *path;
    view file;
    zip_t *zip;
    char prefix[256]; /* "NAME/" */
    clm_err *err;
} archive;

/* ---- A source for libzip ------------------------------------------------------------------- */

static zip_int64_t view_seek(view *v, void *data, zip_uint64_t bytes)
{
    zip_int64_t at = zip_source_seek_compute_offset(v->at, v->size, data, bytes, &v->error);

    if (at < 0) return -1;
    v->at = (size_t)at;
    return 0;
}

static zip_int64_t view_read(view *v, void *data, zip_uint64_t bytes)
{
    const size_t left = v->size - v->at, n = bytes < left ? (size_t)bytes : left;

    v->last_read = v->at;
    if (n > 0) memcpy(data, v->data + v->at, n);
    v->at += n;
    return (zip_int64_t)n;
}

static zip_int64_t view_stat(view *v, void *data, zip_uint64_t bytes)
{
    zip_stat_t *stat = data;

    if (bytes < sizeof *stat) {
        zip_error_set(&v->error, ZIP_ER_INVAL, 0);
        return -1;
    }
    zip_stat_init(stat);
    stat->valid = ZIP_STAT_SIZE;
    stat->size = v->size;
    return sizeof *stat;
}

static zip_int64_t view_command(void *user, void *data, zip_uint64_t bytes,
                                zip_source_cmd_t command)
{
    view *v = user;

    switch (command) {
    case ZIP_SOURCE_OPEN:
        v->at = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return view_read(v, data, bytes);
    case ZIP_SOURCE_SEEK:
        return view_seek(v, data, bytes);
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)v->at;
    case ZIP_SOURCE_STAT:
        return view_stat(v, data, bytes);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&v->error, data, bytes);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE: /* the view belongs to the archive */
        return 0;
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
            ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
    default:
        zip_error_set(&v->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

static clm_status open_archive(archive *a)
{
    zip_error_t error;
    zip_source_t *source;

    zip_error_init(&error);
    zip_error_init(&a->file.error);
    source = zip_source_function_create(view_command, &a->file, &error);
    if (source != NULL) a->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (a->zip == NULL) {
        clm_fail(a->err, CLM_E_MODEL, "%s: no sound torch file (a zip archive): %s", a->path,
                 zip_error_strerror(&error));
        zip_source_free(source);
    }
    zip_error_fini(&error);
    return a->zip != NULL ? CLM_OK : CLM_E_MODEL;
}

/* ---- Entries ------------------------------------------------------------------------------- */

static clm_status fail_entry(const archive *a, const zip_stat_t *stat, const char *defect)
{
    return clm_fail(a->err, CLM_E_MODEL, "%s: entry '%.100s' %s", a->path, stat->name, defect);
}

/* Where the bytes of an entry lie: libzip takes the first of them from there. */
static clm_status locate(archive *a, const zip_stat_t *stat, const uint8_t **data)
{
    zip_file_t *file = zip_fopen_index(a->zip, stat->index, 0);
    uint8_t first = 0;
    zip_int64_t n = file != NULL ? zip_fread(file, &first, 1) : -1;
    const size_t at = a->file.last_read;

    if (file != NULL) zip_fclose(file);
    if (n != 1) return fail_entry(a, stat, "cannot be read: the archive is damaged");
    if (at > a->file.size || stat->size > a->file.size - at || a->file.data[at] != first)
        return fail_entry(a, stat, "reaches beyond the end of the file");
    *data = a->file.data + at;
    return CLM_OK;
}

static clm_status entry_bytes(archive *a, zip_uint64_t index, const uint8_t **data, size_t *bytes)
{
    static const uint8_t nothing[1];
    zip_stat_t stat;
    const zip_uint64_t needed =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;

    if (zip_stat_index(a->zip, index, 0, &stat) != 0 || (stat.valid & needed) != needed)
        return clm_fail(a->err, CLM_E_MODEL, "%s: an entry of the archive is damaged", a->path);
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE)
        return fail_entry(a, &stat, "is encrypted");
    if (stat.comp_method != ZIP_CM_STORE)
        return fail_entry(a, &stat, "is compressed, which torch.save never does: refused");
    if (stat.comp_size != stat.size || stat.size > a->file.size)
        return fail_entry(a, &stat, "declares a size that cannot be");
    *bytes = (size_t)stat.size;
    *data = nothing;
    return stat.size > 0 ? locate(a, &stat, data) : CLM_OK;
}

/* "NAME/data.pkl": exactly one. */
static clm_status find_pickle(archive *a, zip_uint64_t *index)
{
    static const char ending[] = "/data.pkl";
    const zip_int64_t count = zip_get_num_entries(a->zip, 0);
    bool found = false;

    for (zip_int64_t i = 0; i < count; i++) {
        const char *name = zip_get_name(a->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        size_t prefix;

        if (name == NULL || !clm_path_ends(name, ending)) continue;
        prefix = strlen(name) - strlen(ending);
        if (found) return clm_fail(a->err, CLM_E_MODEL, "%s: has two entries data.pkl", a->path);
        if (prefix + 1 >= sizeof a->prefix)
            return clm_fail(a->err, CLM_E_MODEL, "%s: the name of an entry is too long", a->path);
        memcpy(a->prefix, name, prefix + 1);
        a->prefix[prefix + 1] = '\0';
        *index = (zip_uint64_t)i;
        found = true;
    }
    if (!found)
        return clm_fail(a->err, CLM_E_MODEL, "%s: an archive without data.pkl is no torch file",
                        a->path);
    return CLM_OK;
}

/* Files of big-endian machines say so. */
static clm_status check_order(archive *a)
{
    char name[sizeof a->prefix + 16];
    const uint8_t *data;
    size_t bytes;
    clm_status st;

    snprintf(name, sizeof name, "%sbyteorder", a->prefix);
    const zip_int64_t index = zip_name_locate(a->zip, name, ZIP_FL_ENC_RAW);
    if (index < 0) return CLM_OK; /* older files */
    st = entry_bytes(a, (zip_uint64_t)index, &data, &bytes);
    if (st == CLM_OK && (bytes != 6 || memcmp(data, "little", 6) != 0)) {
        st = clm_fail(a->err, CLM_E_MODEL, "%s: its numbers are not little-endian", a->path);
    }
    return st;
}

static clm_status find_storage(void *context, const char *key, size_t key_size,
                               const uint8_t **data, size_t *bytes, clm_err *err)
{
    archive *a = context;
    char name[sizeof a->prefix + 80];
    zip_int64_t index;

    snprintf(name, sizeof name, "%sdata/%.*s", a->prefix, (int)key_size, key);
    index = zip_name_locate(a->zip, name, ZIP_FL_ENC_RAW);
    if (index < 0) {
        return clm_fail(err, CLM_E_MODEL, "%s: entry '%s' is missing: the file is damaged", a->path,
                        name);
    }
    return entry_bytes(a, (zip_uint64_t)index, data, bytes);
}

/* ---- The reader ---------------------------------------------------------------------------- */

static clm_status check_kind(const char *path, const uint8_t *data, size_t size, clm_err *err)
{
    static const char lfs[] = "version https://git-lfs";

    if (size >= sizeof lfs - 1 && memcmp(data, lfs, sizeof lfs - 1) == 0) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: is a Git LFS pointer, not the weights: run `git lfs pull`", path);
    }
    if (size >= 2 && data[0] == 0x80 && data[1] == 2) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: was written by torch before 1.6 (no zip archive): load and save it "
                        "with a newer torch",
                        path);
    }
    if (size < 4 || memcmp(data, "PK", 2) != 0)
        return clm_fail(err, CLM_E_MODEL, "%s: is no torch file (a zip archive)", path);
    return CLM_OK;
}

clm_status clm__torch_read(const char *path, const uint8_t *data, size_t size,
                           clm_stored_list *list, clm_err *err)
{
    archive a = {.path = path, .file = {.data = data, .size = size}, .err = err};
    zip_uint64_t index = 0;
    const uint8_t *pickle = NULL;
    size_t bytes = 0;
    clm_status st = check_kind(path, data, size, err);

    if (st != CLM_OK) return st;
    st = open_archive(&a);
    if (st == CLM_OK) st = find_pickle(&a, &index);
    if (st == CLM_OK) st = check_order(&a);
    if (st == CLM_OK) st = entry_bytes(&a, index, &pickle, &bytes);
    if (st == CLM_OK) st = clm__pickle_read(path, pickle, bytes, find_storage, &a, list, err);
    if (a.zip != NULL) zip_discard(a.zip);
    zip_error_fini(&a.file.error);
    return st;
}
