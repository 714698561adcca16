/* runtime/text/sp_charsmap.c: checks a precompiled normalisation map; see sp_model.h.
 *
 * Format   u32 little-endian: bytes of the trie; the trie: a double array of u32 units; then the
 *          replacement strings, each closed by NUL.
 * Unit     bits 0..7 label (a unit with bit 31 set has none), bit 8: has a value, bit 9: the
 *          offset in bits 10.. is to be taken times 256. The children of unit u lie at
 *          u ^ offset ^ byte and carry that byte as label; its value lies at u ^ offset: where
 *          the replacement starts in the strings.
 * Source   the layout of SentencePiece's precompiled_charsmap and of the Darts-clone library.
 */
#include "runtime/text/sp_model.h"

#include <stdlib.h>
#include <string.h>
#include "runtime/text/utf8.h"

typedef struct trie {
    const uint8_t *units;
    size_t n_units;
    const char *strings;
    size_t strings_bytes;
} trie;

/* What is known of a unit during the walk. */
typedef struct visit {
    uint32_t parent; /* of the present path */
    uint16_t next;   /* child to look at next, 0..256 */
    uint8_t state;   /* 0 not seen, 1 on the present path, 2 done */
    uint8_t matches; /* most values on a path from here downwards */
} visit;

static uint32_t unit_at(const trie *t, size_t u)
{
    const uint8_t *p = t->units + 4 * u;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t unit_label(uint32_t unit)
{
    return unit & 0x800000ffu;
}
static bool unit_has_value(uint32_t unit)
{
    return (unit >> 8 & 1) != 0;
}

static size_t unit_base(size_t u, uint32_t unit)
{
    return u ^ (size_t)((uint32_t)(unit >> 10) << ((unit & (1u << 9)) >> 6));
}

/* Every replacement ends inside the strings, at a NUL, is not absurdly long and is UTF-8. */
static clm_status check_strings(const trie *t, clm_err *err)
{
    size_t start = 0;

    if (t->strings_bytes == 0 || t->strings[t->strings_bytes - 1] != '\0')
        return clm_fail(err, CLM_E_MODEL,
                        "the normalisation map has a replacement that does not end");
    while (start < t->strings_bytes) {
        size_t length = strlen(t->strings + start);
        if (length > CLM_SP_MAX_REPLACEMENT)
            return clm_fail(err, CLM_E_MODEL,
                            "the normalisation map has a replacement of %zu bytes", length);
        if (!clm_utf8_valid(t->strings + start, length))
            return clm_fail(err, CLM_E_MODEL,
                            "the normalisation map has a replacement that is not UTF-8");
        start += length + 1;
    }
    return CLM_OK;
}

/* Checks what the library touches when it arrives at unit `u`: any child and the value. */
static clm_status check_unit(const trie *t, size_t u, clm_err *err)
{
    uint32_t unit = unit_at(t, u);
    size_t base = unit_base(u, unit);
    uint32_t value;

    if ((base | 0xff) >= t->n_units)
        return clm_fail(err, CLM_E_MODEL, "the trie of the normalisation map leads outside itself");
    if (!unit_has_value(unit)) return CLM_OK;
    value = unit_at(t, base) & 0x7fffffffu;
    if (value >= t->strings_bytes || ((unsigned char)t->strings[value] & 0xc0) == 0x80)
        return clm_fail(err, CLM_E_MODEL,
                        "the normalisation map points to a replacement that does not exist");
    return CLM_OK;
}

/* The next child of `u` that carries the right label; false when there are no more. */
static bool next_child(const trie *t, size_t u, visit *v, size_t *child)
{
    size_t base = unit_base(u, unit_at(t, u));

    while (v->next < 256) {
        uint32_t label = v->next++;
        *child = base ^ label;
        if (unit_label(unit_at(t, *child)) == label) return true;
    }
    return false;
}

/* Depth first through all units that some text can reach. Units may be shared (the trie is
 * minimised) but a path never comes back to one of its own. */
static clm_status walk(const trie *t, visit *visits, clm_err *err)
{
    clm_status st = check_unit(t, 0, err);
    size_t u = 0;

    if (st != CLM_OK) return st;
    visits[0].state = 1;
    for (;;) {
        visit *v = &visits[u];
        size_t child;

        if (next_child(t, u, v, &child)) {
            if (visits[child].state == 1)
                return clm_fail(err, CLM_E_MODEL,
                                "the trie of the normalisation map runs in a circle");
            if (visits[child].state == 0) {
                st = check_unit(t, child, err);
                if (st != CLM_OK) return st;
                visits[child].state = 1;
                visits[child].parent = (uint32_t)u;
                u = child;
                continue;
            }
        } else {
            v->state = 2;
            v->matches = (uint8_t)(v->matches + (unit_has_value(unit_at(t, u)) && u != 0));
            if (v->matches > CLM_SP_MAX_CHARSMAP_MATCHES)
                return clm_fail(err, CLM_E_MODEL,
                                "the normalisation map has too many entries that begin alike");
            if (u == 0) return CLM_OK;
            child = u;
            u = v->parent;
            v = &visits[u];
        }
        if (visits[child].matches > v->matches) v->matches = visits[child].matches;
    }
}

clm_status clm_sp_charsmap_check(clm_sp_text map, clm_err *err)
{
    const uint8_t *bytes = (const uint8_t *)map.data;
    clm_status st;
    size_t trie_bytes;
    visit *visits;
    trie t;

    if (map.size > CLM_SP_MAX_CHARSMAP_BYTES)
        return clm_fail(err, CLM_E_MODEL, "a normalisation map of %zu bytes is not plausible",
                        map.size);
    if (map.size <= 4) return clm_fail(err, CLM_E_MODEL, "the normalisation map is cut");
    trie_bytes =
        (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
    if (trie_bytes > map.size - 4)
        return clm_fail(err, CLM_E_MODEL,
                        "the normalisation map declares a trie larger than itself");
    if (trie_bytes == 0 || trie_bytes % 4 != 0)
        return clm_fail(err, CLM_E_MODEL, "the normalisation map declares a trie of %zu bytes",
                        trie_bytes);
    t.units = bytes + 4;
    t.n_units = trie_bytes / 4;
    t.strings = map.data + 4 + trie_bytes;
    t.strings_bytes = map.size - 4 - trie_bytes;
    st = check_strings(&t, err);
    if (st != CLM_OK) return st;
    visits = calloc(t.n_units, sizeof *visits);
    if (visits == NULL) return clm_fail(err, CLM_E_NOMEM, "normalisation map: no memory");
    st = walk(&t, visits, err);
    free(visits);
    return st;
}
