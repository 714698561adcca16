/* host/log.c: see host/log.h. */
#include "host/log.h"

#include <stdarg.h>
#include <stdio.h>

void clm_log(const clm_observer *obs, clm_log_level level, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (obs == NULL || obs->message == NULL) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    obs->message(obs->user, level, text);
}

void clm_progress(const clm_observer *obs, const char *stage, size_t done, size_t total)
{
    if (obs != NULL && obs->progress != NULL) obs->progress(obs->user, stage, done, total);
}
