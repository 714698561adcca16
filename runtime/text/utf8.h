/* runtime/text/utf8.h: bytes that arrive in pieces become whole characters.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_TEXT_UTF8_H
#define CLM_RUNTIME_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Holds back an unfinished character between calls. Zero-initialise. */
typedef struct clm_utf8_stream {
    unsigned char pending[4];
    size_t n_pending;
} clm_utf8_stream;

/* Takes `size` bytes and writes whole characters to `out` (room for 3 * (size + 3) bytes);
 * a byte that can belong to no character becomes U+FFFD. Returns the bytes written. */
size_t clm_utf8_feed(clm_utf8_stream *s, const char *bytes, size_t size, char *out);
/* Ends the text: what is still pending becomes U+FFFD (room for 12 bytes). */
size_t clm_utf8_flush(clm_utf8_stream *s, char *out);

/* Whether `text` is valid UTF-8 (no overlong forms, no surrogates). */
bool clm_utf8_valid(const char *text, size_t size);

#endif
