/* host/driver_check.c: see host/driver_check.h. */
#include "host/driver_check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"

#define VENDORS "/etc/OpenCL/vendors"

/* Who is told. */
typedef struct listener {
    clm_driver_finding_fn fn;
    void *user;
} listener;

static void tell(const listener *l, const char *advice, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const listener *l, const char *advice, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    l->fn(l->user, text, advice);
}

/* ---- Drivers --------------------------------------------------------------------------------- */

/* `from`: the file that names the library. */
static void check_library(const listener *l, const char *from, const char *library)
{
    const char *why;

    if (dlopen(library, RTLD_LAZY | RTLD_LOCAL) != NULL) {
        tell(l, NULL, "%s: %s loads", from, library);
        return;
    }
    why = dlerror();
    tell(l, "install the driver that belongs to it again, or remove the file",
         "%s names a driver that does not load: %s", from, why != NULL ? why : library);
}

/* The first line of a file of the ICD loader is a library's name or path. */
static void check_file(const listener *l, const char *path)
{
    char *text = NULL, *name;
    size_t size = 0;
    clm_err err;

    if (clm_file_read(path, 4096, &text, &size, &err) != CLM_OK) {
        tell(l, "make it readable for everybody (chmod a+r), or remove it", "%s", err.text);
        return;
    }
    name = text + strspn(text, " \t");
    name[strcspn(name, "\r\n")] = '\0';
    for (size_t n = strlen(name); n > 0 && strchr(" \t", name[n - 1]) != NULL; n--)
        name[n - 1] = '\0';
    if (name[0] == '\0')
        tell(l, "remove the file", "%s is empty: it should name a driver", path);
    else
        check_library(l, path, name);
    free(text);
}

static int is_icd(const struct dirent *e)
{
    const size_t n = strlen(e->d_name);

    return n > 4 && strcmp(e->d_name + n - 4, ".icd") == 0;
}

static void check_folder(const listener *l, const char *folder)
{
    struct dirent **files = NULL;
    const int n = scandir(folder, &files, is_icd, alphasort);

    if (n < 0)
        tell(l, "install a driver for your device (README.md, docs of your distribution)",
             "%s, where drivers are named, cannot be read: %s", folder, strerror(errno));
    else if (n == 0)
        tell(l, "install a driver for your device", "%s names no driver", folder);
    for (int i = 0; i < n; i++) {
        char *path = clm_path_join(folder, files[i]->d_name);

        if (path != NULL) check_file(l, path);
        free(path);
        free(files[i]);
    }
    free(files);
}

void clm_drivers_check(clm_driver_finding_fn fn, void *user)
{
    const listener l = {fn, user};
    const char *vendors = getenv("OCL_ICD_VENDORS");
    const size_t n = vendors != NULL ? strlen(vendors) : 0;

    if (n == 0)
        check_folder(&l, VENDORS);
    else if (clm_file_is_dir(vendors))
        check_folder(&l, vendors);
    else if (n > 4 && strcmp(vendors + n - 4, ".icd") == 0)
        check_file(&l, vendors);
    else
        check_library(&l, "OCL_ICD_VENDORS", vendors);
}

/* ---- Device nodes ---------------------------------------------------------------------------- */

static void check_node(const listener *l, const char *path)
{
    const struct group *group;
    struct stat info;
    char advice[256];

    if (access(path, R_OK | W_OK) == 0 || stat(path, &info) != 0) return;
    group = getgrgid(info.st_gid);
    snprintf(advice, sizeof advice,
             "add yourself to the group %s (sudo usermod -aG %s $USER), and log in again",
             group != NULL ? group->gr_name : "render", group != NULL ? group->gr_name : "render");
    tell(l, advice, "%s is there, but you may not open it", path);
}

void clm_device_nodes_check(clm_driver_finding_fn fn, void *user)
{
    const listener l = {fn, user};
    glob_t nodes;

    if (glob("/dev/dri/renderD*", 0, NULL, &nodes) == 0) {
        for (size_t i = 0; i < nodes.gl_pathc; i++) check_node(&l, nodes.gl_pathv[i]);
        globfree(&nodes);
    }
    check_node(&l, "/dev/kfd");
}
