/* host/pocl_cache.c: see host/pocl_cache.h. */
#include "host/pocl_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Where PoCL would keep it, if that is this user's; malloc'd, else NULL. */
static char *usual_folder(void)
{
    const char *cache = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    char *path;

    if (cache == NULL && home == NULL) return NULL;
    if (asprintf(&path, "%s%s/pocl/kcache", cache != NULL ? cache : home,
                 cache != NULL ? "" : "/.cache") < 0)
        return NULL;
    return path;
}

/* Whether files can be made in the folder, or in the nearest one above it that exists. Changes `path`. */
static bool can_be_written(char *path)
{
    struct stat info;
    char *slash;

    while (stat(path, &info) != 0) {
        if (errno != ENOENT || (slash = strrchr(path, '/')) == NULL || slash == path) return false;
        *slash = '\0';
    }
    return S_ISDIR(info.st_mode) && access(path, W_OK | X_OK) == 0;
}

/* Others could put programs of theirs into a folder that they may write. */
static bool is_ours(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
           (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void clm_pocl_cache_prepare(void)
{
    const char *tmp = variable("TMPDIR");
    char *usual, *own = NULL;

    if (variable("POCL_CACHE_DIR") != NULL) return;
    usual = usual_folder();
    if ((usual == NULL || !can_be_written(usual)) &&
        asprintf(&own, "%s/clm-pocl-%lu", tmp != NULL ? tmp : "/tmp", (unsigned long)geteuid()) < 0)
        own = NULL;
    if (own != NULL && (mkdir(own, 0700) == 0 || errno == EEXIST) && is_ours(own))
        setenv("POCL_CACHE_DIR", own, 1);
    free(own);
    free(usual);
}
