/* host/utf8.c: see host/utf8.h. */
#include "host/utf8.h"

#include <stdbool.h>
#include <string.h>

int clm_utf8_next(const unsigned char *s, size_t size, uint32_t *code)
{
    unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
    uint32_t value = s[0];
    size_t length = 1;

    if (s[0] >= 0x80) {
        if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
        length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
        value &= 0x7fu >> length;
        if (s[0] == 0xe0) low = 0xa0;  /* shorter forms exist */
        if (s[0] == 0xed) high = 0x9f; /* surrogates */
        if (s[0] == 0xf0) low = 0x90;
        if (s[0] == 0xf4) high = 0x8f; /* beyond U+10FFFF */
    }
    for (size_t i = 1; i < length; i++) {
        if (i == size) return -1;
        if (s[i] < low || s[i] > high) return 0;
        value = value << 6 | (s[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    if (code != NULL) *code = value;
    return (int)length;
}

void clm_utf8_clean(char *out, size_t room, const char *text, size_t size)
{
    const size_t end = strnlen(text, size);
    size_t used = 0;

    for (size_t at = 0; at < end;) {
        uint32_t c = 0;
        const int n = clm_utf8_next((const unsigned char *)text + at, end - at, &c);
        const bool good = n > 0 && c >= 0x20 && (c < 0x7f || c >= 0xa0);
        const size_t width = good ? (size_t)n : 1;

        if (used + width >= room) break;
        if (good)
            memmove(out + used, text + at, width);
        else
            out[used] = '?';
        used += width;
        at += n > 0 ? (size_t)n : 1;
    }
    if (room > 0) out[used] = '\0';
}
