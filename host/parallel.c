/* host/parallel.c: see host/parallel.h. */
#include "host/parallel.h"

#include <pthread.h>

#include "host/cpu.h"

enum { MAX_THREADS = 64 };

/* Everything below the mutex is guarded by it. */
typedef struct work {
    clm_parallel_fn fn;
    void *user;
    size_t n;
    pthread_mutex_t mutex;
    size_t next;
    clm_status st;
    clm_err err;
} work;

static void *run(void *user)
{
    work *w = user;

    pthread_mutex_lock(&w->mutex);
    while (w->next < w->n && w->st == CLM_OK) {
        const size_t index = w->next++;
        clm_err err = {""};
        clm_status st;

        pthread_mutex_unlock(&w->mutex);
        st = w->fn(w->user, index, &err);
        pthread_mutex_lock(&w->mutex);
        if (st == CLM_OK || w->st != CLM_OK) continue;
        w->st = st;
        w->err = err;
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

clm_status clm_parallel_for(size_t n, clm_parallel_fn fn, void *user, clm_err *err)
{
    work w = {.fn = fn, .user = user, .n = n, .st = CLM_OK};
    const size_t processors = clm_cpu_count();
    size_t wanted = n < processors ? n : processors, started = 0;
    pthread_t threads[MAX_THREADS];

    if (wanted > MAX_THREADS) wanted = MAX_THREADS;
    if (pthread_mutex_init(&w.mutex, NULL) != 0)
        return clm_fail(err, CLM_E_NOMEM, "no memory for threads");
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, run, &w) == 0) started++;
    run(&w);
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&w.mutex);
    if (w.st != CLM_OK && err != NULL) *err = w.err;
    return w.st;
}
