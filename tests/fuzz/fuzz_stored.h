/* tests/fuzz/fuzz_stored.h: a reader of weight files on any content: what it accepts must lie inside.
 */
#ifndef CLM_TESTS_FUZZ_FUZZ_STORED_H
#define CLM_TESTS_FUZZ_FUZZ_STORED_H

#include <stdlib.h>
#include <string.h>

#include "runtime/formats/stored.h"

typedef clm_status fuzz_reader(const char *path, const uint8_t *data, size_t size,
                               clm_stored_list *list, clm_err *err);

/* Reads a copy of its own size, so that a byte too far is noticed. */
static inline void fuzz_stored(fuzz_reader *read, const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    clm_stored_list list = {0};
    clm_err err;
    volatile uint8_t sum = 0;

    if (copy == NULL) abort();
    if (size > 0) memcpy(copy, data, size);
    if (read("fuzz", copy, size, &list, &err) == CLM_OK) {
        clm__stored_sort(&list, &err);
        for (size_t i = 0; i < list.count; i++) {
            const clm_stored *t = &list.items[i];

            for (size_t j = 0; j < t->bytes; j++) sum = (uint8_t)(sum + t->data[j]);
        }
    } else if (strncmp(err.text, "fuzz: ", 6) != 0) {
        abort(); /* a message names the file */
    }
    clm__stored_clear(&list);
    free(copy);
}

#endif
