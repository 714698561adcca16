/* runtime/text/utf8.c: see utf8.h. One rule with SentencePiece's decoding: each byte that belongs
 * to no character becomes one U+FFFD.
 */
#include "runtime/text/utf8.h"

#include <string.h>

/* Looks at the character that begins at `s`. Returns its length; 0 when the byte there can begin
 * none, given what follows; -1 when `size` bytes are its beginning but not yet all of it. */
static int char_length(const unsigned char *s, size_t size)
{
    unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
    size_t length;

    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0) low = 0xa0;  /* shorter forms exist */
    if (s[0] == 0xed) high = 0x9f; /* surrogates */
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f; /* beyond U+10FFFF */
    for (size_t i = 1; i < length; i++) {
        if (i == size) return -1;
        if (s[i] < low || s[i] > high) return 0;
        low = 0x80;
        high = 0xbf;
    }
    return (int)length;
}

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
        int length = char_length(s->pending, s->n_pending);
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
        int length = char_length((const unsigned char *)text + at, size - at);
        if (length <= 0) return false;
        at += (size_t)length;
    }
    return true;
}
