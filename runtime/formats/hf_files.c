/* hf_files.c: finds and maps the weight files of a Hugging Face folder; see hf_model.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/hf_model.h"

enum { MAX_SHARDS = 1024 };

static clm_status no_memory(const clm__hf *hf, clm_err *err)
{
    return clm_fail(err, CLM_E_NOMEM, "%s: no memory", hf->mf->path);
}

/* Whether the path is that of `name` in some folder. */
static bool is_path_of(const char *path, const char *name)
{
    const size_t n = strlen(path), e = strlen(name);

    return clm_path_ends(path, name) && path[n - e - 1] == '/';
}

/* Maps one weight file and appends its tensors. */
static clm_status read_one(clm__hf *hf, const char *name, clm_err *err)
{
    clm_model_file *mf = hf->mf;
    const char *path = clm__hf_path(hf, name);
    clm_map *grown = realloc(mf->maps, (mf->n_maps + 1) * sizeof *grown);
    clm_status st;

    if (grown != NULL) mf->maps = grown;
    if (path == NULL || grown == NULL) return no_memory(hf, err);
    clm_map *map = &mf->maps[mf->n_maps];
    st = clm_map_open(path, map, err);
    if (st != CLM_OK) return st == CLM_E_IO ? CLM_E_MODEL : st;
    mf->n_maps++;
    if (clm_path_ends(name, ".safetensors"))
        return clm__safetensors_read(path, map->data, map->size, &mf->stored, err);
    return clm__torch_read(path, map->data, map->size, &mf->stored, err);
}

/* ---- Shards -------------------------------------------------------------------------------- */

/* A plain file name with a known ending: an index must not lead out of its folder. */
static bool sound_name(const char *name)
{
    return name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < 200 &&
           (clm_path_ends(name, ".bin") || clm_path_ends(name, ".safetensors"));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct files that the index names, in order. */
static clm_status list_shards(const clm__hf *hf, const clm_json *index, json_t *map,
                              const char ***shards, size_t *count, clm_err *err)
{
    const size_t n = json_object_size(map);
    const char **names = malloc((n + 1) * sizeof *names);
    const char *key;
    json_t *value;
    size_t used = 0, distinct = 0;

    *shards = names;
    if (names == NULL) return no_memory(hf, err);
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);

        if (name == NULL || !sound_name(name)) {
            return clm_fail(
                err, CLM_E_MODEL,
                "%s: the file of tensor '%.80s' is '%.80s', which is no name of a weight "
                "file in this folder",
                index->path, key, name != NULL ? name : "(no text)");
        }
        names[used++] = name;
    }
    if (used > 0) qsort((void *)names, used, sizeof *names, by_text);
    for (size_t i = 0; i < used; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0) names[distinct++] = names[i];
    *count = distinct;
    if (distinct == 0 || distinct > MAX_SHARDS) {
        return clm_fail(err, CLM_E_MODEL, "%s: names %zu files; 1 to %d are supported", index->path,
                        distinct, MAX_SHARDS);
    }
    return CLM_OK;
}

/* Every tensor must be where the index says. */
static clm_status check_places(const clm__hf *hf, const clm_json *index, json_t *map, clm_err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach(map, key, value)
    {
        const clm_stored *t = clm__stored_find(&hf->mf->stored, key);
        const char *shard = json_string_value(value);

        if (t == NULL || !is_path_of(t->file, shard)) {
            return clm_fail(err, CLM_E_MODEL, "%s: tensor '%.80s' is not in %s, as it should be",
                            index->path, key, shard);
        }
    }
    return CLM_OK;
}

static clm_status read_index(clm__hf *hf, const char *name, clm_err *err)
{
    const char *path = clm__hf_path(hf, name), **shards = NULL;
    size_t count = 0;
    clm_json index = {0};
    clm_status st;

    if (path == NULL) return no_memory(hf, err);
    st = clm__json_load(path, CLM__HF_MAX_INDEX, false, NULL, &index, err);
    if (st != CLM_OK) return st;
    json_t *map = json_object_get(index.root, "weight_map");
    if (!json_is_object(map))
        st = clm_fail(err, CLM_E_MODEL, "%s: 'weight_map' is missing or no object", path);
    if (st == CLM_OK) st = list_shards(hf, &index, map, &shards, &count, err);
    for (size_t i = 0; i < count && st == CLM_OK; i++) st = read_one(hf, shards[i], err);
    if (st == CLM_OK) st = clm__stored_sort(&hf->mf->stored, err);
    if (st == CLM_OK) st = check_places(hf, &index, map, err);
    free((void *)shards);
    clm__json_clear(&index);
    return st;
}

/* ---- Which files --------------------------------------------------------------------------- */

static bool is_there(clm__hf *hf, const char *name)
{
    const char *path = clm__hf_path(hf, name);

    return path != NULL && clm_file_exists(path);
}

/* The only file with this ending; malloc'd, NULL when there is none or several. */
static char *only_one(const clm__hf *hf, const char *ending)
{
    char *name = NULL;
    size_t count = 0;

    if (clm_dir_find(hf->mf->path, ending, &count, &name, NULL) != CLM_OK) return NULL;
    if (count == 1) return name;
    free(name);
    return NULL;
}

/* The files of transformers come first, in its order; quantisers give theirs names of their own,
 * which are taken when there is no doubt. */
clm_status clm__hf_read_files(clm__hf *hf, clm_err *err)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};
    static const char *const endings[] = {".index.json", ".safetensors", ".bin"};
    char *name = NULL;
    clm_status st;

    for (size_t i = 0; i < sizeof names / sizeof *names && name == NULL; i++) {
        if (!is_there(hf, names[i])) continue;
        name = strdup(names[i]);
        if (name == NULL) return no_memory(hf, err);
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings && name == NULL; i++)
        name = only_one(hf, endings[i]);
    if (name == NULL) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: has no weights (model.safetensors or pytorch_model.bin, one file or "
                        "several with an index)",
                        hf->mf->path);
    }
    st = clm_path_ends(name, ".json") ? read_index(hf, name, err) : read_one(hf, name, err);
    snprintf(hf->mf->format, sizeof hf->mf->format, "Hugging Face, %s",
             hf->mf->stored.count > 0 && clm_path_ends(hf->mf->stored.items[0].file, ".bin")
                 ? "torch"
                 : "safetensors");
    free(name);
    return st == CLM_OK ? clm__stored_sort(&hf->mf->stored, err) : st;
}
