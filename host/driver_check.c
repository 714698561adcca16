/* host/driver_check.c: see host/driver_check.h. */
#include "host/driver_check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/child.h"
#include "host/file.h"

#define VENDORS "/etc/OpenCL/vendors"

/* Seconds for listing devices. */
#define LIST_LIMIT 60.0

static const char again[] = "install the driver that belongs to it again, or remove the file";

static void tell(const clm_driver_listener *l, const char *advice, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const clm_driver_listener *l, const char *advice, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    l->found(l->user, text, advice);
}

/* ---- Drivers --------------------------------------------------------------------------------- */

typedef struct drivers {
    const clm_driver_listener *l;
    char *const *lister;
} drivers;

/* The lister has loaded it and has come back, so that loading it here is safe. */
static void say_why_empty(const drivers *d, const char *from, const char *library)
{
    void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
    const char *why = handle == NULL ? dlerror() : NULL;

    if (handle == NULL)
        tell(d->l, again, "%s names a driver that does not load: %s", from,
             why != NULL ? why : library);
    else if (dlsym(handle, "clIcdGetPlatformIDsKHR") == NULL &&
             dlsym(handle, "clGetExtensionFunctionAddress") == NULL)
        tell(d->l, again, "%s names %s, which is no OpenCL driver", from, library);
    else
        tell(d->l, "if the device is there, see whether you may open it, else remove the file",
             "%s: the driver %s finds no device", from, library);
}

/* Lists devices with this driver alone: the loaders agree on folders only. */
static clm_child_end list_alone(const drivers *d, const char *library, int *code)
{
    const char *base = getenv("TMPDIR");
    char folder[512], file[544];
    clm_child_end end = CLM_CHILD_NOT_BEGUN;

    snprintf(folder, sizeof folder, "%.480s/clm-doctor-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder) == NULL) return end;
    snprintf(file, sizeof file, "%s/driver.icd", folder);
    if (clm_file_replace(file, library, strlen(library), NULL) == CLM_OK)
        end = clm_child_run(d->lister, "OCL_ICD_VENDORS", folder, LIST_LIMIT, d->l->stop, code);
    unlink(file);
    rmdir(folder);
    return end;
}

/* `from`: the file that names the library, or the variable. */
static void try_driver(const drivers *d, const char *from, const char *library)
{
    int code;

    switch (list_alone(d, library, &code)) {
    case CLM_CHILD_EXITED:
        if (code == 0)
            tell(d->l, NULL, "%s: the driver %s has a device", from, library);
        else
            say_why_empty(d, from, library);
        break;
    case CLM_CHILD_CRASHED:
        tell(d->l, again, "%s: the driver %s takes programs down (%s)", from, library,
             strsignal(code));
        break;
    case CLM_CHILD_TIMEOUT:
        tell(d->l, again, "%s: the driver %s has no answer after %.0f s", from, library,
             LIST_LIMIT);
        break;
    case CLM_CHILD_NOT_BEGUN:
        tell(d->l, "make room in the folder for temporary files, or set TMPDIR",
             "%s: the driver %s cannot be tried: %s", from, library, strerror(errno));
        break;
    case CLM_CHILD_STOPPED:
        break;
    }
}

/* The first line of a file of the ICD loader is a library's name or path. */
static void check_file(const drivers *d, const char *path)
{
    char *text = NULL, *name;
    size_t size = 0;
    clm_err err;

    if (clm_file_read(path, 4096, &text, &size, &err) != CLM_OK) {
        tell(d->l,
             access(path, F_OK) != 0 ? "correct the variable that names it"
                                     : "make it readable for everybody (chmod a+r), or remove it",
             "%s", err.text);
        return;
    }
    name = text + strspn(text, " \t");
    name[strcspn(name, "\r\n")] = '\0';
    for (size_t n = strlen(name); n > 0 && strchr(" \t", name[n - 1]) != NULL; n--)
        name[n - 1] = '\0';
    if (name[0] == '\0')
        tell(d->l, "remove the file", "%s is empty: it should name a driver", path);
    else
        try_driver(d, path, name);
    free(text);
}

static int is_icd(const struct dirent *e)
{
    return clm_path_ends(e->d_name, ".icd");
}

static void check_folder(const drivers *d, const char *folder)
{
    struct dirent **files = NULL;
    const int n = scandir(folder, &files, is_icd, alphasort);

    if (n < 0)
        tell(d->l, "install a driver for your device",
             "%s, where drivers are named, cannot be read: %s", folder, strerror(errno));
    else if (n == 0)
        tell(d->l, "install a driver for your device", "%s names no driver", folder);
    for (int i = 0; i < n; i++) {
        char *path = clm_path_join(folder, files[i]->d_name);

        if (path != NULL) check_file(d, path);
        free(path);
        free(files[i]);
    }
    free(files);
}

/* As ocl-icd reads its variables: a folder, a file (one without a slash is in the usual folder), or a
 * library. Khronos' loader takes folders only. */
static void check_named(const drivers *d, const char *vendors)
{
    char *path;

    if (clm_file_is_dir(vendors)) {
        check_folder(d, vendors);
    } else if (clm_path_ends(vendors, ".icd")) {
        path = strchr(vendors, '/') != NULL ? strdup(vendors) : clm_path_join(VENDORS, vendors);
        if (path != NULL) check_file(d, path);
        free(path);
    } else {
        try_driver(d, "OCL_ICD_VENDORS", vendors);
    }
}

bool clm_drivers_check(const clm_driver_listener *l, char *const *lister)
{
    const drivers d = {l, lister};
    const char *vendors = getenv("OCL_ICD_VENDORS");
    clm_child_end end;
    int code;

    if (vendors == NULL || vendors[0] == '\0') vendors = getenv("OPENCL_VENDOR_PATH");
    check_named(&d, vendors != NULL && vendors[0] != '\0' ? vendors : VENDORS);
    end = clm_child_run(lister, NULL, NULL, LIST_LIMIT, l->stop, &code);
    return end == CLM_CHILD_EXITED;
}

/* ---- Device nodes ---------------------------------------------------------------------------- */

/* What lets the user open a node of this owner and mode. */
static void write_advice(const struct stat *node, char *out, size_t room)
{
    const struct group *group = getgrgid(node->st_gid);
    const bool by_group = node->st_gid != 0 && (node->st_mode & 0060) == 0060 && group != NULL;

    if (by_group)
        snprintf(out, room,
                 "add yourself to the group %s (sudo usermod -aG %s $USER), and log in again; a "
                 "container needs the device and the group passed to it",
                 group->gr_name, group->gr_name);
    else
        snprintf(out, room,
                 "its owner and mode keep you out: a udev rule, or the options of the container, "
                 "give it to a group");
}

static void check_node(const clm_driver_listener *l, const char *path)
{
    struct stat info;
    char advice[320];
    const int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        return;
    }
    if ((errno != EACCES && errno != EPERM) || stat(path, &info) != 0) return;
    write_advice(&info, advice, sizeof advice);
    tell(l, advice, "%s is there, but you may not open it", path);
}

void clm_device_nodes_check(const clm_driver_listener *l)
{
    glob_t nodes;

    if (glob("/dev/dri/renderD*", 0, NULL, &nodes) == 0) {
        for (size_t i = 0; i < nodes.gl_pathc; i++) check_node(l, nodes.gl_pathv[i]);
        globfree(&nodes);
    }
    check_node(l, "/dev/kfd");
}
