/* host/utf8.h: the one decoder of UTF-8 (RFC 3629), for messages, YAML, vocabularies and streaming.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_UTF8_H
#define CLM_HOST_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the character that begins at `s`, where `size` > 0 bytes are readable. Returns its length
 * and sets `*code` (may be NULL); 0 when the first byte can begin none, given what follows
 * (overlong forms, surrogates and values beyond U+10FFFF included); -1 when the bytes are the
 * beginning of a character but not yet all of it. */
int clm_utf8_next(const unsigned char *s, size_t size, uint32_t *code);

/* Copies a text from outside (a driver's, a file's) of `size` bytes, up to a NUL at most, so that it is safe
 * to print: control characters and broken UTF-8 become '?'. What does not fit into `room` bytes, NUL
 * included, is cut at a character's border. `out` may be `text`. */
void clm_utf8_clean(char *out, size_t room, const char *text, size_t size);

#endif
