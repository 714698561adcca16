/* host/map_fault.c: see host/map_fault.h. */
#include "host/map_fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "host/utf8.h"

enum { MAPS = 256 };

/* `data` is stored last and cleared first, since the handler asks nobody. */
static struct watched {
    _Atomic(const uint8_t *) data;
    size_t size;
    char path[512];
} maps[MAPS];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int exit_code;

static struct watched *find(const uint8_t *data)
{
    for (size_t i = 0; i < MAPS; i++)
        if (atomic_load(&maps[i].data) == data) return &maps[i];
    return NULL;
}

void clm__map_watch(const uint8_t *data, size_t size, const char *path)
{
    struct watched *free_one;

    pthread_mutex_lock(&mutex);
    free_one = find(NULL);
    if (free_one != NULL) {
        free_one->size = size;
        clm_utf8_clean(free_one->path, sizeof free_one->path, path, strlen(path));
        atomic_store(&free_one->data, data);
    }
    pthread_mutex_unlock(&mutex);
}

void clm__map_unwatch(const uint8_t *data)
{
    struct watched *map;

    pthread_mutex_lock(&mutex);
    map = find(data);
    if (map != NULL) atomic_store(&map->data, NULL);
    pthread_mutex_unlock(&mutex);
}

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return; /* nobody listens */
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    const uintptr_t at = (uintptr_t)info->si_addr;

    (void)context;
    for (size_t i = 0; i < MAPS; i++) {
        const uintptr_t data = (uintptr_t)atomic_load(&maps[i].data);

        if (data == 0 || at < data || at - data >= maps[i].size) continue;
        say("clm: ");
        say(maps[i].path);
        say(": cannot be read any more: it was cut short, or its disk failed, while clm used it\n");
        _exit(exit_code);
    }
    signal(number, SIG_DFL); /* the read is tried again, and ends the program */
}

void clm_map_faults_end_program(int code)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};

    exit_code = code;
    action.sa_sigaction = on_fault;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
