/* runtime/text/bpe_encode.c: text to ids with a byte-level BPE vocabulary. See bpe_model.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "host/utf8.h"
#include "host/grow.h"
#include "runtime/text/bpe_impl.h"
#include "runtime/text/utf8.h"

enum { NONE = -1, GONE = -2 }; /* ids of a byte without a piece, and of what has been merged away */

/* One part of a word: at first a byte. */
typedef struct symbol {
    int id;
    int32_t prev, next; /* NONE at the ends */
} symbol;

/* Two neighbours that a merge names. */
typedef struct pair {
    uint32_t rank;
    int32_t left, right;
} pair;

/* A run of text, or (id >= 0) a special piece that was found in it. */
typedef struct fragment {
    const char *text;
    size_t size;
    int id;
} fragment;

/* An array that grows. */
typedef struct list {
    void *items;
    size_t n, room;
} list;

/* What a call works on. The lists serve one word after the other. */
typedef struct work {
    const clm_bpe *bpe;
    clm_err *err;
    char *word;   /* with room for the longest piece, when whole words are looked up */
    list symbols; /* symbol */
    list heap;    /* pair, the first is the smallest */
    list ids;     /* int */
} work;

/* Makes room for `need` items of `item` bytes; a text has 64 MiB at most. */
static clm_status reserve(list *l, size_t need, size_t item, clm_err *err)
{
    void *grown = clm_grow(l->items, &l->room, need, item);

    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    l->items = grown;
    return CLM_OK;
}

static clm_status add_id(work *w, int id)
{
    clm_status st = reserve(&w->ids, w->ids.n + 1, sizeof id, w->err);

    if (st == CLM_OK) ((int *)w->ids.items)[w->ids.n++] = id;
    return st;
}

/* ---- The queue of pairs ------------------------------------------------------------------------- */

static bool before(pair a, pair b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.left < b.left;
}

static clm_status push(work *w, int32_t left, int32_t right)
{
    const symbol *symbols = w->symbols.items;
    const clm__bpe_merge *m;
    size_t at = w->heap.n;
    pair *heap, fresh;
    clm_status st;

    if (left == NONE || right == NONE) return CLM_OK;
    m = clm__bpe_find_merge(w->bpe, symbols[left].id, symbols[right].id);
    if (m == NULL) return CLM_OK;
    st = reserve(&w->heap, w->heap.n + 1, sizeof *heap, w->err);
    if (st != CLM_OK) return st;
    heap = w->heap.items;
    fresh = (pair){m->rank, left, right};
    w->heap.n++;
    for (size_t up; at > 0 && before(fresh, heap[up = (at - 1) / 2]); at = up) heap[at] = heap[up];
    heap[at] = fresh;
    return CLM_OK;
}

static pair pop(work *w)
{
    pair *heap = w->heap.items;
    const size_t n = --w->heap.n;
    const pair top = heap[0], last = heap[n];
    size_t at = 0;

    for (size_t down; (down = 2 * at + 1) < n; at = down) {
        if (down + 1 < n && before(heap[down + 1], heap[down])) down++;
        if (!before(heap[down], last)) break;
        heap[at] = heap[down];
    }
    heap[at] = last;
    return top;
}

/* ---- A word ------------------------------------------------------------------------------------- */

/* Merges what the pair names, unless one of the two has become something else meanwhile. */
static clm_status merge(work *w, pair p)
{
    symbol *symbols = w->symbols.items, *left = &symbols[p.left], *right = &symbols[p.right];
    const clm__bpe_merge *m;
    clm_status st;

    if (left->id == GONE || left->next != p.right) return CLM_OK;
    m = clm__bpe_find_merge(w->bpe, left->id, right->id);
    if (m == NULL || m->rank != p.rank) return CLM_OK;
    left->id = m->result;
    left->next = right->next;
    right->id = GONE;
    if (left->next != NONE) symbols[left->next].prev = p.left;
    st = push(w, left->prev, p.left);
    return st == CLM_OK ? push(w, p.left, left->next) : st;
}

/* Whether the word is a piece as a whole, and has been added. */
static clm_status add_whole_word(work *w, const char *word, size_t size, bool *added)
{
    size_t n = 0;
    int id;

    *added = false;
    for (size_t i = 0; i < size; i++) {
        char text[2];
        size_t length = clm__bpe_put_byte((unsigned char)word[i], text);

        if (length > w->bpe->longest - n) return CLM_OK;
        memcpy(w->word + n, text, length);
        n += length;
    }
    id = clm_bpe_find(w->bpe, w->word, n);
    if (id < 0) return CLM_OK;
    *added = true;
    return add_id(w, id);
}

/* clm_bpe_word_fn */
static clm_status add_word(void *user, const char *word, size_t size)
{
    work *w = user;
    symbol *symbols;
    bool added = false;
    clm_status st = w->word != NULL ? add_whole_word(w, word, size, &added) : CLM_OK;

    if (st == CLM_OK && !added) st = reserve(&w->symbols, size, sizeof *symbols, w->err);
    if (st != CLM_OK || added) return st;
    symbols = w->symbols.items;
    for (size_t i = 0; i < size; i++)
        symbols[i] = (symbol){w->bpe->byte_id[(unsigned char)word[i]], (int32_t)i - 1,
                              i + 1 < size ? (int32_t)i + 1 : NONE};
    w->heap.n = 0;
    for (size_t i = 1; i < size && st == CLM_OK; i++) st = push(w, (int32_t)i - 1, (int32_t)i);
    while (w->heap.n > 0 && st == CLM_OK) st = merge(w, pop(w));
    for (int32_t i = 0; i != NONE && st == CLM_OK; i = symbols[i].next)
        if (symbols[i].id != NONE) st = add_id(w, symbols[i].id);
    return st;
}

/* ---- A text ------------------------------------------------------------------------------------- */

/* A run of text without special pieces. Bytes that belong to no character become U+FFFD. */
static clm_status add_text(work *w, const char *text, size_t size)
{
    char *clean;
    size_t n = 0;
    clm_status st;

    if (clm_utf8_valid(text, size))
        return clm_bpe_split_run(w->bpe->split, text, size, add_word, w, w->err);
    clean = malloc(3 * size);
    if (clean == NULL) return clm_fail(w->err, CLM_E_NOMEM, "tokenizer: no memory");
    for (size_t at = 0; at < size;) {
        int length = clm_utf8_next((const unsigned char *)text + at, size - at, NULL);

        memcpy(clean + n, length > 0 ? text + at : "\xef\xbf\xbd", length > 0 ? (size_t)length : 3);
        n += length > 0 ? (size_t)length : 3;
        at += length > 0 ? (size_t)length : 1;
    }
    st = clm_bpe_split_run(w->bpe->split, clean, n, add_word, w, w->err);
    free(clean);
    return st;
}

/* Cuts every run of text in `from` where `special` occurs; `to` gets the result. */
static clm_status cut(const clm__bpe_piece *special, const list *from, list *to, clm_err *err)
{
    const fragment *parts = from->items;

    to->n = 0;
    for (size_t i = 0; i < from->n; i++) {
        fragment rest = parts[i], *out;

        for (;;) {
            const char *found =
                rest.id < 0 ? memmem(rest.text, rest.size, special->text, special->size) : NULL;
            clm_status st = reserve(to, to->n + 3, sizeof *out, err);

            if (st != CLM_OK) return st;
            out = to->items;
            if (found == NULL) break;
            if (found > rest.text)
                out[to->n++] = (fragment){rest.text, (size_t)(found - rest.text), NONE};
            out[to->n++] = (fragment){found, special->size, special->id};
            rest.size -= (size_t)(found - rest.text) + special->size;
            rest.text = found + special->size;
        }
        if (rest.size > 0) out[to->n++] = rest;
    }
    return CLM_OK;
}

/* Finds special pieces in a text: the longest everywhere, then the next. */
static clm_status find_specials(const clm_bpe *bpe, const char *text, size_t size, bool hidden,
                                list *parts, clm_err *err)
{
    list other = {0};
    clm_status st = reserve(parts, 1, sizeof(fragment), err);

    if (st != CLM_OK) return st;
    ((fragment *)parts->items)[parts->n++] = (fragment){text, size, NONE};
    for (size_t i = 0; i < bpe->n_special && st == CLM_OK; i++) {
        const clm__bpe_special *s = &bpe->special[i];

        if ((s->hidden && !hidden) || memmem(text, size, s->piece.text, s->piece.size) == NULL)
            continue;
        st = cut(&s->piece, parts, &other, err);
        const list before_cut = *parts;
        *parts = other;
        other = before_cut;
    }
    free(other.items);
    return st;
}

clm_status clm_bpe_encode(const clm_bpe *bpe, const char *text, size_t size, bool special,
                          int **ids, size_t *count, clm_err *err)
{
    work w = {.bpe = bpe, .err = err};
    list found = {0};
    clm_status st;

    *ids = NULL;
    *count = 0;
    if (size == 0) return CLM_OK;
    if (clm_bpe_split_whole_words(bpe->split)) {
        w.word = malloc(bpe->longest);
        if (w.word == NULL) return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    }
    st = find_specials(bpe, text, size, special, &found, err);
    for (size_t i = 0; i < found.n && st == CLM_OK; i++) {
        const fragment *part = (const fragment *)found.items + i;
        st = part->id >= 0 ? add_id(&w, part->id) : add_text(&w, part->text, part->size);
    }
    if (st == CLM_OK && w.ids.n > 0) {
        *ids = w.ids.items;
        *count = w.ids.n;
        w.ids.items = NULL; /* handed over */
    }
    free(found.items);
    free(w.word);
    free(w.symbols.items);
    free(w.heap.items);
    free(w.ids.items);
    return st;
}
