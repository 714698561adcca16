/* runtime/text/bpe_model.c: a byte-level BPE vocabulary, checked and indexed. See bpe_model.h. */
#include "runtime/text/bpe_model.h"

#include <stdlib.h>
#include <string.h>
#include "host/utf8.h"
#include "runtime/text/bpe_impl.h"
#include "runtime/text/utf8.h"

/* Each is searched for in the whole text. Real vocabularies have 1,000 at most. */
enum { MAX_SPECIAL = 4096, MAX_MERGES = 1 << 22 };

void clm_bpe_destroy(clm_bpe *bpe)
{
    if (bpe == NULL) return;
    clm_bpe_split_destroy(bpe->split);
    free(bpe->text);
    free(bpe->sorted);
    free(bpe->merges);
    free(bpe->first);
    free(bpe->special);
    free(bpe);
}

/* ---- Bytes as characters ------------------------------------------------------------------------ */

/* Bytes that are printable in Latin-1 stand for themselves; the other 68 are U+0100 and following,
 * in their order: 00 to 20, 7f to a0, ad. */
size_t clm__bpe_put_byte(unsigned char b, char out[2])
{
    unsigned code = b;

    if (b <= 0x20)
        code = 0x100u + b;
    else if (b >= 0x7f && b <= 0xa0)
        code = 0x121u + b - 0x7f;
    else if (b == 0xad)
        code = 0x143;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    return 2;
}

/* The byte of a character, -1 when it stands for none. */
static int byte_of(uint32_t code)
{
    if (code >= 0x100 && code <= 0x120) return (int)(code - 0x100);
    if (code >= 0x121 && code <= 0x142) return (int)(code - 0x121 + 0x7f);
    if (code == 0x143) return 0xad;
    if ((code > 0x20 && code < 0x7f) || (code > 0xa0 && code <= 0xff && code != 0xad))
        return (int)code;
    return -1;
}

size_t clm_bpe_piece_bytes(const char *text, size_t size, char *out)
{
    size_t n = 0;
    uint32_t code;

    for (size_t at = 0; at < size;) {
        int length = clm_utf8_next((const unsigned char *)text + at, size - at, &code);
        int byte = length > 0 ? byte_of(code) : -1;

        if (length <= 0) length = 1;
        if (byte >= 0)
            out[n++] = (char)byte;
        else
            for (int i = 0; i < length; i++) out[n++] = text[at + (size_t)i];
        at += (size_t)length;
    }
    return n;
}

/* ---- Pieces ------------------------------------------------------------------------------------- */

static int compare_texts(const void *left, const void *right)
{
    const clm__bpe_piece *a = left, *b = right;
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);

    if (order != 0) return order;
    return a->size < b->size ? -1 : a->size > b->size;
}

int clm_bpe_find(const clm_bpe *bpe, const char *piece, size_t size)
{
    const clm__bpe_piece key = {piece, size, -1};
    const clm__bpe_piece *found = NULL;

    if (bpe->n_sorted > 0)
        found = bsearch(&key, bpe->sorted, bpe->n_sorted, sizeof key, compare_texts);
    return found != NULL ? found->id : -1;
}

static clm_status check_piece(const clm_piece *p, size_t id, clm_err *err)
{
    if (p->type == CLM_PIECE_BYTE)
        return clm_fail(err, CLM_E_MODEL,
                        "token %zu is a byte piece, which a byte-level vocabulary does not have",
                        id);
    if (p->type < CLM_PIECE_NORMAL || p->type > CLM_PIECE_UNUSED)
        return clm_fail(err, CLM_E_MODEL, "token %zu has the unknown type %d", id, (int)p->type);
    if (!clm_utf8_valid(p->text, p->size))
        return clm_fail(err, CLM_E_MODEL, "piece %zu is not UTF-8", id);
    return CLM_OK;
}

static clm_status copy_pieces(clm_bpe *bpe, const clm_vocab *vocab, clm_err *err)
{
    size_t bytes = 0, used = 0;

    for (size_t i = 0; i < vocab->n_pieces; i++) bytes += vocab->pieces[i].size;
    bpe->n = vocab->n_pieces;
    bpe->text = malloc(bytes + 1);
    bpe->sorted = malloc(bpe->n * sizeof *bpe->sorted);
    if (bpe->text == NULL || bpe->sorted == NULL)
        return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    for (size_t i = 0; i < bpe->n; i++) {
        const clm_piece *p = &vocab->pieces[i];
        clm_status st = check_piece(p, i, err);

        if (st != CLM_OK) return st;
        if (p->size == 0) continue;
        memcpy(bpe->text + used, p->text, p->size);
        bpe->sorted[bpe->n_sorted++] = (clm__bpe_piece){bpe->text + used, p->size, (int)i};
        used += p->size;
        if (p->size > bpe->longest) bpe->longest = p->size;
    }
    qsort(bpe->sorted, bpe->n_sorted, sizeof *bpe->sorted, compare_texts);
    for (size_t i = 1; i < bpe->n_sorted; i++)
        if (compare_texts(&bpe->sorted[i - 1], &bpe->sorted[i]) == 0)
            return clm_fail(err, CLM_E_MODEL, "tokens %d and %d have the same text",
                            bpe->sorted[i - 1].id, bpe->sorted[i].id);
    return CLM_OK;
}

static clm_status find_bytes(clm_bpe *bpe, clm_err *err)
{
    size_t n = 0;

    for (int b = 0; b < 256; b++) {
        char text[2];
        size_t size = clm__bpe_put_byte((unsigned char)b, text);

        bpe->byte_id[b] = clm_bpe_find(bpe, text, size);
        n += bpe->byte_id[b] >= 0;
    }
    if (n > 0) return CLM_OK;
    return clm_fail(err, CLM_E_MODEL, "the vocabulary has no piece for any byte");
}

static int compare_specials(const void *left, const void *right)
{
    const clm__bpe_piece *a = &((const clm__bpe_special *)left)->piece,
                         *b = &((const clm__bpe_special *)right)->piece;

    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static clm_status collect_specials(clm_bpe *bpe, const clm_vocab *vocab, clm_err *err)
{
    bpe->special = malloc(MAX_SPECIAL * sizeof *bpe->special);
    if (bpe->special == NULL) return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    for (size_t i = 0; i < bpe->n_sorted; i++) {
        clm_piece_type type = vocab->pieces[bpe->sorted[i].id].type;

        if (type == CLM_PIECE_NORMAL || type == CLM_PIECE_UNUSED) continue;
        if (bpe->n_special == MAX_SPECIAL)
            return clm_fail(err, CLM_E_MODEL,
                            "more than %d control and user-defined pieces are not supported",
                            (int)MAX_SPECIAL);
        bpe->special[bpe->n_special++] =
            (clm__bpe_special){bpe->sorted[i], type != CLM_PIECE_USER_DEFINED};
    }
    qsort(bpe->special, bpe->n_special, sizeof *bpe->special, compare_specials);
    return CLM_OK;
}

/* ---- Merges ------------------------------------------------------------------------------------- */

static int compare_merges(const void *left, const void *right)
{
    const clm__bpe_merge *a = left, *b = right;

    if (a->left != b->left) return a->left < b->left ? -1 : 1;
    if (a->right != b->right) return a->right < b->right ? -1 : 1;
    return a->rank < b->rank ? -1 : a->rank > b->rank;
}

/* "left right" to three ids; `room` has space for the longest piece. */
static clm_status read_merge(const clm_bpe *bpe, clm_merge text, size_t rank, char *room,
                             clm__bpe_merge *out, clm_err *err)
{
    const char *space = text.size > 1 ? memchr(text.data + 1, ' ', text.size - 1) : NULL;
    const size_t n_left = space != NULL ? (size_t)(space - text.data) : 0;
    const size_t n_right = space != NULL ? text.size - n_left - 1 : 0;

    if (n_right == 0)
        return clm_fail(err, CLM_E_MODEL, "merge %zu is not two pieces with a space between", rank);
    out->rank = (uint32_t)rank;
    out->left = clm_bpe_find(bpe, text.data, n_left);
    out->right = clm_bpe_find(bpe, space + 1, n_right);
    out->result = -1;
    if (n_left + n_right <= bpe->longest) {
        memcpy(room, text.data, n_left);
        memcpy(room + n_left, space + 1, n_right);
        out->result = clm_bpe_find(bpe, room, n_left + n_right);
    }
    if (out->left >= 0 && out->right >= 0 && out->result >= 0) return CLM_OK;
    return clm_fail(err, CLM_E_MODEL, "merge %zu, \"%.*s\", %s", rank,
                    text.size < 64 ? (int)text.size : 64, text.data,
                    out->left < 0 || out->right < 0 ? "names a piece that the vocabulary lacks"
                                                    : "makes a piece that the vocabulary lacks");
}

/* Sorts the merges, drops repeated ones, and notes where those of each piece begin. */
static void index_merges(clm_bpe *bpe)
{
    size_t kept = 0, id = 0;

    qsort(bpe->merges, bpe->n_merges, sizeof *bpe->merges, compare_merges);
    for (size_t i = 0; i < bpe->n_merges; i++) {
        const clm__bpe_merge *m = &bpe->merges[i];

        if (kept > 0 && bpe->merges[kept - 1].left == m->left &&
            bpe->merges[kept - 1].right == m->right)
            continue;
        while (id <= (size_t)m->left) bpe->first[id++] = kept;
        bpe->merges[kept++] = *m;
    }
    while (id <= bpe->n) bpe->first[id++] = kept;
    bpe->n_merges = kept;
}

static clm_status read_merges(clm_bpe *bpe, const clm_vocab *vocab, clm_err *err)
{
    char *room = malloc(bpe->longest + 1);
    clm_status st = CLM_OK;

    if (vocab->n_merges == 0 || vocab->n_merges > MAX_MERGES) {
        st = clm_fail(err, CLM_E_MODEL, "a vocabulary with %zu merges; 1 to %d are supported",
                      vocab->n_merges, (int)MAX_MERGES);
        goto out;
    }
    bpe->merges = malloc(vocab->n_merges * sizeof *bpe->merges);
    bpe->first = malloc((bpe->n + 1) * sizeof *bpe->first);
    if (room == NULL || bpe->merges == NULL || bpe->first == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
        goto out;
    }
    for (size_t i = 0; i < vocab->n_merges && st == CLM_OK; i++)
        st = read_merge(bpe, vocab->merges[i], i, room, &bpe->merges[i], err);
    if (st != CLM_OK) goto out;
    bpe->n_merges = vocab->n_merges;
    index_merges(bpe);
out:
    free(room);
    return st;
}

const clm__bpe_merge *clm__bpe_find_merge(const clm_bpe *bpe, int left, int right)
{
    size_t low, high;

    if (left < 0 || right < 0) return NULL;
    low = bpe->first[left];
    high = bpe->first[left + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (bpe->merges[middle].right < right)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == bpe->first[left + 1] || bpe->merges[low].right != right) return NULL;
    return &bpe->merges[low];
}

/* ---- Creation ----------------------------------------------------------------------------------- */

clm_status clm_bpe_create(const clm_vocab *vocab, clm_bpe **out, clm_err *err)
{
    clm_bpe *bpe = NULL;
    clm_status st;

    *out = NULL;
    if (vocab->pieces == NULL || vocab->n_pieces == 0)
        return clm_fail(err, CLM_E_MODEL, "the vocabulary is empty");
    if (vocab->n_pieces > CLM_MAX_VOCAB)
        return clm_fail(err, CLM_E_MODEL, "%zu pieces, more than the %d supported", vocab->n_pieces,
                        (int)CLM_MAX_VOCAB);
    bpe = calloc(1, sizeof *bpe);
    if (bpe == NULL) return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    st = clm_bpe_split_create(vocab->pre != NULL ? vocab->pre : "default", &bpe->split, err);
    if (st == CLM_OK) st = copy_pieces(bpe, vocab, err);
    if (st == CLM_OK) st = find_bytes(bpe, err);
    if (st == CLM_OK) st = collect_specials(bpe, vocab, err);
    if (st == CLM_OK) st = read_merges(bpe, vocab, err);
    if (st != CLM_OK) goto out;
    *out = bpe;
    bpe = NULL;
out:
    clm_bpe_destroy(bpe);
    return st;
}
