/* tests/quantize/scratch.h: a folder for the files of one test, and files by name in it. */
#ifndef CLM_TESTS_QUANTIZE_SCRATCH_H
#define CLM_TESTS_QUANTIZE_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/file.h"

static int scratch_create(void **state)
{
    const char *base = getenv("TMPDIR");
    char *path = NULL;

    if (asprintf(&path, "%s/clm-quantize-XXXXXX", base != NULL ? base : "/tmp") < 0) return -1;
    if (mkdtemp(path) == NULL) return -1;
    *state = path;
    return 0;
}

static int scratch_remove(void **state)
{
    DIR *dir = opendir(*state);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char *inner = clm_path_join(*state, entry->d_name);
        unlink(inner); /* "." and ".." stay */
        free(inner);
    }
    if (dir != NULL) closedir(dir);
    rmdir(*state);
    free(*state);
    return 0;
}

/* Malloc'd. */
static char *scratch_path(void **state, const char *name)
{
    return clm_path_join(*state, name);
}

/* A file as a whole; malloc'd. */
static char *scratch_read(const char *path, size_t *size)
{
    char *data = NULL;
    clm_err err = {""};

    if (clm_file_read(path, 1 << 28, &data, size, &err) != CLM_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return data;
}

#endif
