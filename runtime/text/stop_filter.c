/* runtime/text/stop_filter.c: see runtime/text/stop_filter.h. */
#include "runtime/text/stop_filter.h"

#include <stdlib.h>
#include <string.h>

#include "host/grow.h"

struct clm_stop_filter {
    char **stops;
    size_t n;
    char *held; /* text not shown yet */
    size_t used, room;
    size_t shown; /* bytes at the front of `held` that the last call handed out */
};

clm_status clm_stop_filter_create(const char *const *stops, size_t n, clm_stop_filter **out,
                                  clm_err *err)
{
    clm_stop_filter *f = calloc(1, sizeof *f);

    *out = NULL;
    if (f != NULL) f->stops = calloc(n + 1, sizeof *f->stops);
    if (f == NULL || f->stops == NULL) goto nomem;
    for (size_t i = 0; i < n; i++) {
        if (stops[i][0] == '\0') continue;
        f->stops[f->n] = strdup(stops[i]);
        if (f->stops[f->n] == NULL) goto nomem;
        f->n++;
    }
    *out = f;
    return CLM_OK;
nomem:
    clm_stop_filter_destroy(f);
    return clm_fail(err, CLM_E_NOMEM, "stop strings: no memory");
}

void clm_stop_filter_destroy(clm_stop_filter *f)
{
    if (f == NULL) return;
    for (size_t i = 0; i < f->n; i++) free(f->stops[i]);
    free(f->stops);
    free(f->held);
    free(f);
}

static clm_status append(clm_stop_filter *f, const char *text, size_t n, clm_err *err)
{
    char *grown;

    memmove(f->held, f->held + f->shown, f->used - f->shown);
    f->used -= f->shown;
    f->shown = 0;
    grown = clm_grow(f->held, &f->room, f->used + n + 1, 1);
    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "stop strings: no memory");
    f->held = grown;
    memcpy(f->held + f->used, text, n);
    f->used += n;
    return CLM_OK;
}

/* The first place where a stop string is whole, or (not `whole`) where the text's end is the
 * beginning of one; false, and the end of the text, when there is none. */
static bool find(const clm_stop_filter *f, bool whole, size_t *place)
{
    for (size_t at = 0; at < f->used; at++) {
        size_t left = f->used - at;
        for (size_t i = 0; i < f->n; i++) {
            size_t length = strlen(f->stops[i]), common = left < length ? left : length;
            if (whole && common < length) continue;
            if (memcmp(f->held + at, f->stops[i], common) != 0) continue;
            *place = at;
            return true;
        }
    }
    *place = f->used;
    return false;
}

clm_status clm_stop_filter_feed(clm_stop_filter *f, const char *text, size_t n, const char **out,
                                size_t *size, bool *found, clm_err *err)
{
    clm_status st = CLM_OK;

    *out = "";
    *size = 0;
    *found = false;
    if (n > 0 || f->shown > 0) {
        if (f->held == NULL) f->held = malloc(f->room = 256);
        if (f->held == NULL) return clm_fail(err, CLM_E_NOMEM, "stop strings: no memory");
        st = append(f, text, n, err);
        if (st != CLM_OK) return st;
    }
    /* A whole stop string ends the text, also where the beginning of a longer one came before it. */
    *found = find(f, true, &f->shown);
    if (*found)
        f->used = f->shown;
    else
        find(f, false, &f->shown);
    *out = f->held != NULL ? f->held : "";
    *size = f->shown;
    return CLM_OK;
}

void clm_stop_filter_flush(clm_stop_filter *f, const char **out, size_t *size)
{
    *out = f->held != NULL ? f->held + f->shown : "";
    *size = f->used - f->shown;
    f->used = f->shown = 0;
}
