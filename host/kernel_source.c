/* host/kernel_source.c: see host/kernel_source.h. */
#include "host/kernel_source.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/embedded.h"
#include "host/program.h"

enum { MAX_FILES = 16, MAX_DEPTH = 4 };

/* Text that grows, and the files that are in it. */
typedef struct expansion {
    FILE *out;
    const char *seen[MAX_FILES];
    size_t n_seen;
    clm_err *err;
} expansion;

static const clm_embedded *find(const char *name, size_t size)
{
    for (const clm_embedded *e = clm__embedded_kernels; e->name != NULL; e++)
        if (strlen(e->name) == size && memcmp(e->name, name, size) == 0) return e;
    return NULL;
}

const char *clm_kernel_source(const char *name, size_t *size)
{
    const clm_embedded *e = find(name, strlen(name));

    if (e == NULL) return NULL;
    if (size != NULL) *size = e->size;
    return e->text;
}

/* Whether the line is `#include "x.cl"`; then `*name` is x, of `*n` characters. */
static bool is_include(const char *line, const char **name, size_t *n)
{
    static const char word[] = "#include \"";
    const char *end;

    if (strncmp(line, word, sizeof word - 1) != 0) return false;
    *name = line + sizeof word - 1;
    end = strstr(*name, ".cl\"");
    if (end == NULL || memchr(*name, '\n', (size_t)(end - *name)) != NULL) return false;
    *n = (size_t)(end - *name);
    return true;
}

static clm_status append(expansion *x, const char *name, size_t n, int depth)
{
    const clm_embedded *file = find(name, n);
    unsigned number = 1;

    if (file == NULL)
        return clm_fail(x->err, CLM_E_INTERNAL, "there is no kernel file cl/%.*s.cl", (int)n, name);
    for (size_t i = 0; i < x->n_seen; i++)
        if (x->seen[i] == file->name) return CLM_OK;
    if (depth > MAX_DEPTH || x->n_seen == MAX_FILES)
        return clm_fail(x->err, CLM_E_INTERNAL, "cl/%s.cl: too many includes", file->name);
    x->seen[x->n_seen++] = file->name;
    fprintf(x->out, "\n#line 1 \"%s.cl\"\n", file->name);
    for (const char *line = file->text; *line != '\0'; number++) {
        const char *end = strchr(line, '\n'), *included;
        size_t length = end != NULL ? (size_t)(end - line) + 1 : strlen(line), m;

        if (is_include(line, &included, &m)) {
            clm_status st = append(x, included, m, depth + 1);
            if (st != CLM_OK) return st;
            fprintf(x->out, "\n#line %u \"%s.cl\"\n", number + 1, file->name);
        } else {
            fwrite(line, 1, length, x->out);
        }
        line += length;
    }
    return CLM_OK;
}

clm_status clm__kernel_source_expand(const char *name, char **text, size_t *size, clm_err *err)
{
    expansion x = {.err = err};
    clm_status st;

    *text = NULL;
    x.out = open_memstream(text, size);
    if (x.out == NULL) return clm_fail(err, CLM_E_NOMEM, "kernel %s: no memory", name);
    st = append(&x, "prelude", strlen("prelude"), 0);
    if (st == CLM_OK) st = append(&x, name, strlen(name), 0);
    if (fclose(x.out) != 0 && st == CLM_OK)
        st = clm_fail(err, CLM_E_NOMEM, "kernel %s: no memory", name);
    if (st != CLM_OK) {
        free(*text);
        *text = NULL;
    }
    return st;
}
