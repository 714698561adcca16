/* host/program_cache.c: see host/program_cache.h. */
#include "host/program_cache.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/file.h"
#include "host/hash.h"

/* All text, so that the header of an entry can be read with `head -c`. */
#define MAGIC "CLMKRN2\n"

typedef struct entry_header {
    char magic[8];
    char key[32];
    char hash[32];
    uint64_t size;
    uint64_t warm; /* 0 or 1 */
} entry_header;

/* Entries that no start has used for so long are of another version, driver or model. */
enum { MAX_BINARY = 256 << 20, MAX_DAYS = 60 };

static char *entry_path(const char *key)
{
    char name[40];
    char *dir = clm_dir_cache("kernels"), *path = NULL;

    snprintf(name, sizeof name, "%s.bin", key);
    if (dir != NULL) path = clm_path_join(dir, name);
    free(dir);
    return path;
}

static int content_hash(const void *data, size_t size, char out[33])
{
    clm_hash *hash;

    if (clm_hash_create(&hash, NULL) != CLM_OK) return -1;
    clm_hash_add(hash, data, size);
    clm_hash_hex(hash, out);
    clm_hash_destroy(hash);
    return 0;
}

/* Whether `data` is an entry of `key`, whole. */
static bool is_sound(const char *data, size_t size, const char *key, const entry_header *header)
{
    char hash[33];

    return memcmp(header->magic, MAGIC, sizeof header->magic) == 0 &&
           memcmp(header->key, key, sizeof header->key) == 0 && header->warm <= 1 &&
           header->size == size - sizeof *header &&
           content_hash(data + sizeof *header, size - sizeof *header, hash) == 0 &&
           memcmp(header->hash, hash, sizeof header->hash) == 0;
}

unsigned char *clm__program_cache_load(const char *key, size_t *size, bool *warm,
                                       const clm_observer *obs)
{
    char *path = entry_path(key), *data = NULL;
    size_t total = 0;
    entry_header header;

    *size = 0;
    *warm = false;
    if (path == NULL || !clm_file_exists(path)) goto out;
    if (clm_file_read(path, MAX_BINARY, &data, &total, NULL) != CLM_OK) goto out;
    if (total >= sizeof header) memcpy(&header, data, sizeof header);
    if (total >= sizeof header && is_sound(data, total, key, &header)) {
        *size = total - sizeof header;
        *warm = header.warm != 0;
        memmove(data, data + sizeof header, *size);
        clm_file_touch(path);
        goto out;
    }
    clm_log(obs, CLM_LOG_INFO, "kernel cache: %s is damaged, it will be made anew", path);
    unlink(path);
    free(data);
    data = NULL;
out:
    free(path);
    return (unsigned char *)data;
}

void clm__program_cache_store(const char *key, const unsigned char *binary, size_t size, bool warm,
                              const clm_observer *obs)
{
    char *dir = clm_dir_cache("kernels"), *path = entry_path(key), hash[33];
    unsigned char *data = NULL;
    entry_header header;
    clm_err err = {""};

    if (dir == NULL || path == NULL || size > MAX_BINARY - sizeof header) goto out;
    data = malloc(sizeof header + size);
    if (data == NULL || content_hash(binary, size, hash) != 0) goto out;
    memset(&header, 0, sizeof header);
    memcpy(header.magic, MAGIC, sizeof header.magic);
    memcpy(header.key, key, 32);
    memcpy(header.hash, hash, 32);
    header.size = size;
    header.warm = warm;
    memcpy(data, &header, sizeof header);
    memcpy(data + sizeof header, binary, size);
    if (clm_dir_create(dir, &err) != CLM_OK ||
        clm_file_replace(path, data, sizeof header + size, &err) != CLM_OK)
        clm_log(obs, CLM_LOG_DEBUG, "kernel cache: %s", err.text);
    clm_dir_prune(dir, MAX_DAYS);
out:
    free(data);
    free(path);
    free(dir);
}

void clm__program_cache_drop(const char *key, const clm_observer *obs)
{
    char *path = entry_path(key);

    if (path == NULL) return;
    clm_log(obs, CLM_LOG_INFO, "kernel cache: the driver refuses %s, it will be made anew", path);
    unlink(path);
    free(path);
}
