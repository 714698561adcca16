/* host/program.c: see host/program.h. */
#include "host/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cl_util.h"
#include "host/hash.h"
#include "host/kernel_source.h"
#include "host/program_cache.h"

/* Raised when what the key covers changes. */
#define CACHE_VERSION "1"

struct clm_program {
    clm_device *dev;
    cl_program handle;
    char key[33];
    bool cached, warm;
    bool binary_is_safe; /* to ask for */
};

/* Everything that one build needs, on its way. */
typedef struct build {
    clm_device *dev;
    const char *name;
    char where[96]; /* what compilers call the text */
    char *text;     /* prelude and kernel with their includes */
    size_t size;
    char options[2048];
    char key[33];
} build;

static int compare_defines(const void *a, const void *b)
{
    return strcmp(((const clm_define *)a)->name, ((const clm_define *)b)->name);
}

/* The value of a define, or 0. */
static int define_of(const clm_define *defs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(defs[i].name, name) == 0) return defs[i].value;
    return 0;
}

/* Kernels are OpenCL C 1.2, the version that every device has, but compilers declare the functions of
 * cl_khr_integer_dot_product for later versions only. */
static const char *language(const build *b, const clm_define *defs, size_t count)
{
    if (define_of(defs, count, "DOT") == CLM_DOT_KHR)
        return clm_device_caps(b->dev)->cl_major >= 3 ? "-cl-std=CL3.0" : "-cl-std=CL2.0";
    return "-cl-std=CL1.2";
}

/* What multiplies by Intel's matrix units keeps its sums in registers, of which a thread has twice as many when they
 * are asked for. */
static const char *registers(const clm_define *defs, size_t count)
{
    const int mma = define_of(defs, count, "MMA");
    const bool intel = mma == CLM_MMA_DPAS8 || mma == CLM_MMA_DPAS16;

    return intel && !define_of(defs, count, "MMA_PLAIN") ? " -cl-intel-256-GRF-per-thread" : "";
}

/* Defines in the order of their names, so that equal sets give equal keys. No warnings (-w): some drivers write to the
 * terminal how many there were (PoCL 7), and users can do nothing about them; tools/test.sh wants none of clang. */
static clm_status write_options(build *b, const clm_define *defs, size_t count, clm_err *err)
{
    clm_define *sorted = calloc(count + 1, sizeof *sorted);
    size_t used;

    if (sorted == NULL) return clm_fail(err, CLM_E_NOMEM, "program %s: no memory", b->name);
    if (count > 0) memcpy(sorted, defs, count * sizeof *defs);
    qsort(sorted, count, sizeof *sorted, compare_defines);
    used = (size_t)snprintf(b->options, sizeof b->options, "%s -w%s", language(b, defs, count),
                            registers(defs, count));
    for (size_t i = 0; i < count && used < sizeof b->options; i++)
        used += (size_t)snprintf(b->options + used, sizeof b->options - used, " -D %s=%d",
                                 sorted[i].name, sorted[i].value);
    free(sorted);
    if (used >= sizeof b->options)
        return clm_fail(err, CLM_E_INTERNAL, "program %s: too many defines", b->name);
    return CLM_OK;
}

static clm_status write_key(build *b, clm_err *err)
{
    const clm_caps *caps = clm_device_caps(b->dev);
    clm_hash *hash;
    clm_status st = clm_hash_create(&hash, err);

    if (st != CLM_OK) return st;
    clm_hash_add_text(hash, CACHE_VERSION);
    clm_hash_add(hash, b->text, b->size);
    clm_hash_add_text(hash, b->options);
    clm_hash_add_text(hash, caps->platform_name);
    clm_hash_add_text(hash, caps->platform_version);
    clm_hash_add_text(hash, caps->name);
    clm_hash_add_text(hash, caps->version);
    clm_hash_add_text(hash, caps->driver);
    clm_hash_hex(hash, b->key);
    clm_hash_destroy(hash);
    return CLM_OK;
}

/* First line of the log that says something, for the one sentence of an error. */
static clm_status fail_build(const build *b, cl_program handle, cl_int rc, clm_err *err)
{
    cl_device_id id = clm__device_id(b->dev);
    char *log = NULL, *line;
    size_t size = 0;

    if (clGetProgramBuildInfo(handle, id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) == CL_SUCCESS &&
        size > 1)
        log = calloc(1, size + 1);
    if (log != NULL) clGetProgramBuildInfo(handle, id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    if (log != NULL)
        clm_log(clm_device_observer(b->dev), CLM_LOG_DEBUG, "%s: build log:\n%s", b->where, log);
    line = log != NULL ? strstr(log, "error") : NULL;
    while (line != NULL && line > log && line[-1] != '\n') line--;
    if (line == NULL) line = log;
    if (line != NULL) line[strcspn(line, "\n")] = '\0';
    clm_fail(err, CLM_E_BUILD, "%s does not build on %s (%s): %s", b->where,
             clm_device_caps(b->dev)->name, clm__cl_error_name(rc),
             line != NULL && *line != '\0' ? line : "the driver gives no reason");
    free(log);
    return CLM_E_BUILD;
}

/* NULL when there is no binary, or the driver does not take it: then the entry is dropped. `warm` is kept without one too. */
static cl_program load_cached(const build *b, bool *warm)
{
    const clm_observer *obs = clm_device_observer(b->dev);
    cl_device_id id = clm__device_id(b->dev);
    cl_int rc, status = CL_SUCCESS;
    cl_program handle;
    size_t size;
    unsigned char *binary = clm__program_cache_load(b->key, &size, warm, obs);

    if (binary == NULL || size == 0) {
        free(binary);
        return NULL;
    }
    handle = clCreateProgramWithBinary(clm__device_context(b->dev), 1, &id, &size,
                                       (const unsigned char **)&binary, &status, &rc);
    free(binary);
    if (rc == CL_SUCCESS && status == CL_SUCCESS)
        rc = clBuildProgram(handle, 1, &id, b->options, NULL, NULL);
    if (rc == CL_SUCCESS && status == CL_SUCCESS) return handle;
    if (handle != NULL) clReleaseProgram(handle);
    clm__program_cache_drop(b->key, obs);
    *warm = false;
    return NULL;
}

static void store_binary(const clm_program *prog)
{
    const cl_program handle = prog->handle;
    size_t size = 0;
    unsigned char *binary;

    if (!clm__device_keeps_programs(prog->dev)) return;
    if (!prog->binary_is_safe) {
        clm__program_cache_store(prog->key, (const unsigned char *)"", 0, prog->warm,
                                 clm_device_observer(prog->dev));
        return;
    }
    if (clGetProgramInfo(handle, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS ||
        size == 0)
        return;
    binary = malloc(size);
    if (binary == NULL) return;
    if (clGetProgramInfo(handle, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS)
        clm__program_cache_store(prog->key, binary, size, prog->warm,
                                 clm_device_observer(prog->dev));
    free(binary);
}

static clm_status compile(const build *b, cl_program *out, clm_err *err)
{
    cl_device_id id = clm__device_id(b->dev);
    const char *text = b->text;
    cl_program handle;
    cl_int rc;

    handle = clCreateProgramWithSource(clm__device_context(b->dev), 1, &text, &b->size, &rc);
    if (rc != CL_SUCCESS) return clm__fail_cl(err, "clCreateProgramWithSource", rc);
    rc = clBuildProgram(handle, 1, &id, b->options, NULL, NULL);
    if (rc != CL_SUCCESS) {
        clm_status st = fail_build(b, handle, rc, err);
        clReleaseProgram(handle);
        return st;
    }
    *out = handle;
    return CLM_OK;
}

/* For a binary PoCL compiles kernels a second time, for any size of work-groups. With inline assembly 6.0 ends the
 * process then: the loops over work-items take the assembly for a call of a function that they look for and do not
 * find (4.0 brought that code). PoCL's own cache has to do, which costs a start some 20 ms a program; ours keeps
 * whether the kernels have run. */
static bool binary_is_safe(const build *b)
{
    return strstr(clm_device_caps(b->dev)->platform_version, "PoCL ") == NULL ||
           strstr(b->text, "__asm__") == NULL;
}

/* The program of b->text, from the cache or compiled. */
static clm_status create(build *b, const clm_define *defs, size_t count, clm_program **out,
                         clm_err *err)
{
    clm_program *prog = NULL;
    clm_status st = write_options(b, defs, count, err);

    if (st == CLM_OK) st = write_key(b, err);
    if (st != CLM_OK) return st;
    prog = calloc(1, sizeof *prog);
    if (prog == NULL) return clm_fail(err, CLM_E_NOMEM, "program %s: no memory", b->name);
    prog->dev = b->dev;
    memcpy(prog->key, b->key, sizeof prog->key);
    prog->binary_is_safe = binary_is_safe(b);
    prog->handle = load_cached(b, &prog->warm);
    prog->cached = prog->handle != NULL;
    if (prog->handle == NULL) {
        st = compile(b, &prog->handle, err);
        if (st != CLM_OK) goto out;
        if (prog->binary_is_safe) store_binary(prog);
    }
    *out = prog;
    prog = NULL;
out:
    clm_program_destroy(prog);
    return st;
}

clm_status clm_program_create(clm_device *dev, const char *name, const clm_define *defs,
                              size_t count, clm_program **out, clm_err *err)
{
    build b = {.dev = dev, .name = name};
    clm_status st = clm__kernel_source_expand(name, &b.text, &b.size, err);

    *out = NULL;
    snprintf(b.where, sizeof b.where, "%s.cl", name);
    if (st == CLM_OK) st = create(&b, defs, count, out, err);
    free(b.text);
    return st;
}

clm_status clm_program_create_text(clm_device *dev, const char *name, const char *text,
                                   const clm_define *defs, size_t count, clm_program **out,
                                   clm_err *err)
{
    build b = {.dev = dev, .name = name};
    clm_status st;
    int size;

    *out = NULL;
    snprintf(b.where, sizeof b.where, "kernel %s", name);
    /* Or compilers name the temporary file that the driver hands them. */
    size = asprintf(&b.text, "#line 1 \"%s\"\n%s", b.where, text);
    if (size < 0) return clm_fail(err, CLM_E_NOMEM, "program %s: no memory", name);
    b.size = (size_t)size;
    st = create(&b, defs, count, out, err);
    free(b.text);
    return st;
}

static clm_status hash_text(const char *text, size_t size, char out[33], clm_err *err)
{
    clm_hash *hash;
    clm_status st = clm_hash_create(&hash, err);

    out[0] = '\0';
    if (st != CLM_OK) return st;
    clm_hash_add(hash, text, size);
    clm_hash_hex(hash, out);
    clm_hash_destroy(hash);
    return CLM_OK;
}

clm_status clm_program_hash(const char *name, char out[33], clm_err *err)
{
    char *text = NULL;
    size_t size = 0;
    clm_status st = clm__kernel_source_expand(name, &text, &size, err);

    out[0] = '\0';
    if (st == CLM_OK) st = hash_text(text, size, out, err);
    free(text);
    return st;
}

clm_status clm_program_hash_text(const char *text, char out[33], clm_err *err)
{
    return hash_text(text, strlen(text), out, err);
}

void clm_program_destroy(clm_program *prog)
{
    if (prog == NULL) return;
    if (prog->handle != NULL) clReleaseProgram(prog->handle);
    free(prog);
}

bool clm_program_cached(const clm_program *prog)
{
    return prog->cached;
}
bool clm_program_warm(const clm_program *prog)
{
    return prog->warm;
}
void clm_program_set_warm(clm_program *prog)
{
    if (prog->warm) return;
    prog->warm = true;
    store_binary(prog);
}
cl_program clm__program_handle(const clm_program *prog)
{
    return prog->handle;
}
clm_device *clm__program_device(const clm_program *prog)
{
    return prog->dev;
}
