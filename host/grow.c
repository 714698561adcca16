/* host/grow.c: see host/grow.h. */
#include "host/grow.h"

#include <stdint.h>
#include <stdlib.h>

enum { LEAST_BYTES = 64 };

void *clm_grow(void *array, size_t *room, size_t need, size_t item)
{
    size_t more = *room <= SIZE_MAX / 2 ? 2 * *room : need;
    void *grown;

    if (array != NULL && need <= *room) return array;
    if (more < need) more = need;
    if (more < LEAST_BYTES / item + 1) more = LEAST_BYTES / item + 1;
    if (more > SIZE_MAX / item) return NULL;
    grown = realloc(array, more * item);
    if (grown != NULL) *room = more;
    return grown;
}
