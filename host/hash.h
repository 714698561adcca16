/* host/hash.h: content hash for cache keys (XXH3, 128 bits: no defence against an attacker who
 * can write to the cache folder, who could as well replace the program).
 *
 * Layer    host.
 */
#ifndef CLM_HOST_HASH_H
#define CLM_HOST_HASH_H

#include <stddef.h>
#include <stdint.h>
#include "host/status.h"

typedef struct clm_hash clm_hash; /* running hash */

clm_status clm_hash_create(clm_hash **out, clm_err *err);
void clm_hash_destroy(clm_hash *h);

/* Adds a field. Length and bytes both count, so that ("ab","c") differs from ("a","bc"). */
void clm_hash_add(clm_hash *h, const void *data, size_t size);
void clm_hash_add_text(clm_hash *h, const char *text);

/* Writes 32 hexadecimal digits and a NUL. */
void clm_hash_hex(const clm_hash *h, char out[33]);

/* A plain 64-bit XXH3 of bytes that come in pieces, as other programs compute it (xxhsum -H3). */
typedef struct clm_checksum clm_checksum;

clm_status clm_checksum_create(clm_checksum **out, clm_err *err);
void clm_checksum_destroy(clm_checksum *c);
void clm_checksum_add(clm_checksum *c, const void *data, size_t size);
/* The sum of all that was added; begins anew. */
uint64_t clm_checksum_take(clm_checksum *c);

#endif
