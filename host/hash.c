/* host/hash.c: see host/hash.h. */
#include "host/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* for the size of the state */
#include <xxhash.h>

struct clm_hash {
    XXH3_state_t state; /* needs the alignment that XXH3_createState() gives */
};

clm_status clm_hash_create(clm_hash **out, clm_err *err)
{
    XXH3_state_t *state = XXH3_createState();

    *out = NULL;
    if (state == NULL || XXH3_128bits_reset(state) != XXH_OK) {
        XXH3_freeState(state);
        return clm_fail(err, CLM_E_NOMEM, "hash: no memory");
    }
    *out = (clm_hash *)state;
    return CLM_OK;
}

void clm_hash_destroy(clm_hash *h)
{
    if (h != NULL) XXH3_freeState(&h->state);
}

void clm_hash_add(clm_hash *h, const void *data, size_t size)
{
    uint64_t length = size;

    XXH3_128bits_update(&h->state, &length, sizeof length);
    XXH3_128bits_update(&h->state, data, size);
}

void clm_hash_add_text(clm_hash *h, const char *text)
{
    clm_hash_add(h, text, strlen(text));
}

void clm_hash_hex(const clm_hash *h, char out[33])
{
    XXH128_hash_t value = XXH3_128bits_digest(&h->state);

    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)value.high64, (uint64_t)value.low64);
}

struct clm_checksum {
    XXH3_state_t state;
};

clm_status clm_checksum_create(clm_checksum **out, clm_err *err)
{
    XXH3_state_t *state = XXH3_createState();

    *out = NULL;
    if (state == NULL || XXH3_64bits_reset(state) != XXH_OK) {
        XXH3_freeState(state);
        return clm_fail(err, CLM_E_NOMEM, "checksum: no memory");
    }
    *out = (clm_checksum *)state;
    return CLM_OK;
}

void clm_checksum_destroy(clm_checksum *c)
{
    if (c != NULL) XXH3_freeState(&c->state);
}

void clm_checksum_add(clm_checksum *c, const void *data, size_t size)
{
    XXH3_64bits_update(&c->state, data, size);
}

uint64_t clm_checksum_take(clm_checksum *c)
{
    const uint64_t sum = XXH3_64bits_digest(&c->state);

    XXH3_64bits_reset(&c->state);
    return sum;
}
