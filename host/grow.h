/* host/grow.h: arrays that grow.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_GROW_H
#define CLM_HOST_GROW_H

#include <stddef.h>

/* Room for `need` items of `item` bytes in `array`, which has room for *room (malloc'd, or NULL with 0). Returns the
 * array, which may have moved, with *room at least doubled if it was too small; NULL without memory or where the
 * bytes do not fit a size_t, and the array is then as it was. */
void *clm_grow(void *array, size_t *room, size_t need, size_t item);

#endif
