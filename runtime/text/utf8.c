/* runtime/text/utf8.c: see utf8.h. One rule with SentencePiece's decoding: each byte that belongs
 * to no character becomes one U+FFFD.
 */
#include "runtime/text/utf8.h"

#include <string.h>

#include "host/utf8.h"

static size_t put_replacement(char *out)
{
    memcpy(out, "\xef\xbf\xbd", 3);
    return 3;
}

/* Moves `n` bytes out of the front of what is pending. */
static void drop_pending(clm_utf8_stream *s, size_t n)
{
    s->n_pending -= n;
    memmove(s->pending, s->pending + n, s->n_pending);
}

/* Writes what can be decided about the pending bytes; up to 3 stay. */
static size_t drain(clm_utf8_stream *s, char *out)
{
    size_t written = 0;

    while (s->n_pending > 0) {
        int length = clm_utf8_next(s->pending, s->n_pending, NULL);
        if (length < 0) break;
        if (length == 0) {
            written += put_replacement(out + written);
            drop_pending(s, 1);
        } else {
            memcpy(out + written, s->pending, (size_t)length);
            written += (size_t)length;
            drop_pending(s, (size_t)length);
        }
    }
    return written;
}

size_t clm_utf8_feed(clm_utf8_stream *s, const char *bytes, size_t size, char *out)
{
    size_t written = 0;

    for (size_t i = 0; i < size; i++) {
        s->pending[s->n_pending++] = (unsigned char)bytes[i];
        written += drain(s, out + written);
    }
    return written;
}

size_t clm_utf8_flush(clm_utf8_stream *s, char *out)
{
    size_t written = 0;

    for (; s->n_pending > 0; s->n_pending--) written += put_replacement(out + written);
    return written;
}

bool clm_utf8_valid(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        int length = clm_utf8_next((const unsigned char *)text + at, size - at, NULL);
        if (length <= 0) return false;
        at += (size_t)length;
    }
    return true;
}
