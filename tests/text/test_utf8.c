/* tests/text/test_utf8.c: whole characters out of bytes cut anywhere. The reference decides about
 * a character by computing its code point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/text/utf8.h"

/* Length of the valid character at `s`, or 0. */
static size_t reference_length(const unsigned char *s, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

    if (n == 0 || n > size) return 0;
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) return 0;
        c = c << 6 | (s[i] & 63u);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static size_t reference(const char *text, size_t size, char *out)
{
    size_t written = 0;

    for (size_t i = 0; i < size;) {
        size_t n = reference_length((const unsigned char *)text + i, size - i);
        memcpy(out + written, n > 0 ? text + i : "\xef\xbf\xbd", n > 0 ? n : 3);
        written += n > 0 ? n : 3;
        i += n > 0 ? n : 1;
    }
    return written;
}

static void check_split(const char *text, size_t size, size_t cut1, size_t cut2)
{
    clm_utf8_stream s = {{0}, 0};
    char got[512], want[512];
    size_t n = clm_utf8_feed(&s, text, cut1, got);

    assert_true(clm_utf8_valid(got, n));
    n += clm_utf8_feed(&s, text + cut1, cut2 - cut1, got + n);
    assert_true(clm_utf8_valid(got, n));
    n += clm_utf8_feed(&s, text + cut2, size - cut2, got + n);
    assert_true(s.n_pending < 4);
    n += clm_utf8_flush(&s, got + n);
    assert_int_equal(s.n_pending, 0);
    assert_int_equal(n, reference(text, size, want));
    assert_memory_equal(got, want, n);
}

static void test_every_split(void **state)
{
    static const char mixed[] =
        "a\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80\0z" /* valid */
        "\x80\xe4\xbd"
        "b\xf0\x9f\x98\xe4\xbd\xa0"                            /* cut */
        "\xc0\x80\xe0\x80\x80\xf0\x80\x80\x80"                 /* overlong */
        "\xed\xa0\x80\xf4\x90\x80\x80\xf5\xff\xfe\xef\xbf\xbf" /* out of range */
        "\xf0\x9f\x98";                                        /* cut at the end */
    size_t size = sizeof mixed - 1;

    (void)state;
    for (size_t a = 0; a <= size; a++)
        for (size_t b = a; b <= size; b++) check_split(mixed, size, a, b);
}

/* All three-byte strings over bytes at the edges of the encoding's ranges, one byte at a time. */
static void test_edges(void **state)
{
    static const unsigned char edges[] = {0,    0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                          0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                          0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    size_t n = sizeof edges;

    (void)state;
    for (size_t i = 0; i < n * n * n * n; i++) {
        char text[4] = {(char)edges[i % n], (char)edges[i / n % n], (char)edges[i / n / n % n],
                        (char)edges[i / n / n / n]};
        char got[64], want[64];
        clm_utf8_stream s = {{0}, 0};
        size_t used = 0, want_size = reference(text, 4, want);
        for (size_t k = 0; k < 4; k++) used += clm_utf8_feed(&s, text + k, 1, got + used);
        used += clm_utf8_flush(&s, got + used);
        if (used != want_size || memcmp(got, want, used) != 0)
            fail_msg("bytes %02x %02x %02x %02x", text[0] & 255, text[1] & 255, text[2] & 255,
                     text[3] & 255);
        assert_int_equal(clm_utf8_valid(text, 4), want_size == 4 && memcmp(want, text, 4) == 0);
    }
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(clm_utf8_valid("", 0));
    assert_true(clm_utf8_valid("a\0b", 3));
    assert_true(clm_utf8_valid("\xf4\x8f\xbf\xbf", 4));
    assert_false(clm_utf8_valid("\xf4\x8f\xbf\xbf", 3));
    assert_false(clm_utf8_valid("\xed\xbf\xbf", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
