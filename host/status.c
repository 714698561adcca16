/* host/status.c: texts of errors. See host/status.h. */
#include "host/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

/* Length of the well-formed UTF-8 character at `s`, 0 when there is none. `s` is terminated, so
 * looking at the next byte only after the one before it was a continuation stays inside. */
static size_t character_length(const unsigned char *s)
{
    size_t n;
    unsigned char low = 0x80, high = 0xBF;

    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        n = 2;
    else if ((s[0] & 0xF0) == 0xE0)
        n = 3;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        n = 4;
    else
        return 0;
    if (s[0] == 0xE0) low = 0xA0;
    if (s[0] == 0xED) high = 0x9F;
    if (s[0] == 0xF0) low = 0x90;
    if (s[0] == 0xF4) high = 0x8F;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xBF) return 0;
    return n;
}

/* Makes text from outside safe to print: control bytes and broken UTF-8 become '?'. */
static void make_printable(char *text)
{
    unsigned char *s = (unsigned char *)text;

    while (*s != '\0') {
        size_t n = character_length(s);
        bool control = *s < 0x20 || *s == 0x7F || (s[0] == 0xC2 && n == 2 && s[1] < 0xA0);
        if (n == 0 || control) {
            if (n == 2) memmove(s + 1, s + 2, strlen((char *)s + 2) + 1);
            *s++ = '?';
        } else {
            s += n;
        }
    }
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
    make_printable(err->text);
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
