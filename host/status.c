/* host/status.c: texts of errors. See host/status.h. */
#include "host/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/utf8.h"

const char *clm_status_text(clm_status st)
{
    switch (st) {
#define X(name, code, text)                                                                        \
    case CLM_##name:                                                                               \
        return text;
        CLM_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

int clm_status_exit_code(clm_status st)
{
    switch (st) {
#define X(name, code, text)                                                                        \
    case CLM_##name:                                                                               \
        return code;
        CLM_STATUS_LIST(X)
#undef X
    }
    return 1;
}

/* vsnprintf into err->text; a text that does not fit ends in "...". */
static void write_text(clm_err *err, const char *format, va_list args)
{
    int n = vsnprintf(err->text, sizeof err->text, format, args);

    if (n < 0) {
        snprintf(err->text, sizeof err->text, "message could not be formatted");
    } else if ((size_t)n >= sizeof err->text) {
        size_t end = sizeof err->text - 4; /* not in the middle of a character */
        while (end > 0 && ((unsigned char)err->text[end] & 0xC0) == 0x80) end--;
        memcpy(err->text + end, "...", 4);
    }
    clm_utf8_clean(err->text, sizeof err->text, err->text, sizeof err->text);
}

clm_status clm_fail(clm_err *err, clm_status st, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        write_text(err, format, args);
        va_end(args);
    }
    return st;
}

clm_status clm_fail_context(clm_err *err, clm_status st, const char *format, ...)
{
    if (err != NULL) {
        clm_err prefix, old = *err;
        va_list args;
        va_start(args, format);
        write_text(&prefix, format, args);
        va_end(args);
        clm_fail(err, st, "%s: %s", prefix.text, old.text);
    }
    return st;
}
