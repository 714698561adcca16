/* host/log.h: where messages go. A sink is passed down, there is no global logger.
 *
 * Layer    host.
 * Threads  a sink may be called from any thread; sinks supplied by tools/ lock if they must.
 */
#ifndef CLM_HOST_LOG_H
#define CLM_HOST_LOG_H

#include <stddef.h>

typedef enum clm_log_level {
    CLM_LOG_ERROR,
    CLM_LOG_WARN,
    CLM_LOG_INFO,
    CLM_LOG_DEBUG
} clm_log_level;

/* What a long operation reports to its caller; every member may be NULL.
 *   message   one line without a newline
 *   progress  step `done` of `total` of the named stage; done == total ends the stage */
typedef struct clm_observer {
    void *user;
    void (*message)(void *user, clm_log_level level, const char *text);
    void (*progress)(void *user, const char *stage, size_t done, size_t total);
} clm_observer;

/* Formats and hands on a message; `obs` may be NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void clm_log(const clm_observer *obs, clm_log_level level, const char *format, ...);

/* Reports progress; `obs` may be NULL. */
void clm_progress(const clm_observer *obs, const char *stage, size_t done, size_t total);

#endif
