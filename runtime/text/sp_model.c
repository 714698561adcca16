/* runtime/text/sp_model.c: see sp_model.h. */
#include "runtime/text/sp_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/text/utf8.h"

/* A piece in the order of its text. */
typedef struct entry {
    clm_sp_text text;
    size_t id;
} entry;

static const char UNK_SURFACE[] = " \xe2\x81\x87 "; /* the library's default */

static clm_sp_text text_of(const char *s)
{
    clm_sp_text t = {s, strlen(s)};
    return t;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int clm_sp_piece_byte(clm_sp_text text)
{
    int high, low;

    if (text.size != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>') return -1;
    high = hex_digit(text.data[3]);
    low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void clm_sp_model_destroy(clm_sp_model *m)
{
    if (m == NULL) return;
    free(m->pieces);
    free(m->names);
    free(m);
}

/* ---- Checks --------------------------------------------------------------------------------- */

static int compare_entries(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    size_t shared = a->text.size < b->text.size ? a->text.size : b->text.size;
    int order = shared > 0 ? memcmp(a->text.data, b->text.data, shared) : 0;

    if (order != 0) return order;
    if (a->text.size != b->text.size) return a->text.size < b->text.size ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static clm_status sort_pieces(const clm_sp_model *m, entry **out, clm_err *err)
{
    entry *sorted = calloc(m->n_pieces, sizeof *sorted);

    *out = sorted;
    if (sorted == NULL) return clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
    for (size_t i = 0; i < m->n_pieces; i++) {
        sorted[i].text = m->pieces[i].text;
        sorted[i].id = i;
    }
    qsort(sorted, m->n_pieces, sizeof *sorted, compare_entries);
    return CLM_OK;
}

static bool same_text(const entry *a, const entry *b)
{
    return a->text.size == b->text.size && memcmp(a->text.data, b->text.data, a->text.size) == 0;
}

static bool is_prefix(clm_sp_text prefix, clm_sp_text whole)
{
    return prefix.size <= whole.size && memcmp(prefix.data, whole.data, prefix.size) == 0;
}

/* A text matches a user-defined piece and all its prefixes at once, and the library has room for
 * so many. In sorted order a piece follows its prefixes: `chain` is the stack of those that are a
 * prefix of the present one. Reorders `sorted`: the user-defined ones go to its front. */
static clm_status check_user_defined(const clm_sp_model *m, entry *sorted, clm_err *err)
{
    size_t n = 0, depth = 0;
    entry **chain;
    clm_status st = CLM_OK;

    for (size_t i = 0; i < m->n_pieces; i++)
        if (m->pieces[sorted[i].id].type == CLM_PIECE_USER_DEFINED) sorted[n++] = sorted[i];
    if (n == 0) return CLM_OK;
    chain = calloc(CLM_SP_MAX_USER_PREFIXES, sizeof *chain);
    if (chain == NULL) return clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
    for (size_t i = 0; i < n; i++) {
        while (depth > 0 && !is_prefix(chain[depth - 1]->text, sorted[i].text)) depth--;
        if (depth == CLM_SP_MAX_USER_PREFIXES) {
            st = clm_fail(err, CLM_E_MODEL,
                          "more than %d user-defined pieces begin alike (piece %zu)",
                          (int)CLM_SP_MAX_USER_PREFIXES, sorted[i].id);
            break;
        }
        chain[depth++] = &sorted[i];
    }
    free(chain);
    return st;
}

static clm_status check_piece(const clm_sp_model *m, size_t id, clm_err *err)
{
    const clm_sp_piece *p = &m->pieces[id];

    if (p->text.size == 0) return clm_fail(err, CLM_E_MODEL, "piece %zu is empty", id);
    if (p->text.size > CLM_SP_MAX_PIECE)
        return clm_fail(err, CLM_E_MODEL, "piece %zu has %zu bytes, more than the %d supported", id,
                        p->text.size, (int)CLM_SP_MAX_PIECE);
    if (!clm_utf8_valid(p->text.data, p->text.size))
        return clm_fail(err, CLM_E_MODEL, "piece %zu is not UTF-8", id);
    /* The library keeps these two in tries of C strings. */
    if ((p->type == CLM_PIECE_USER_DEFINED || m->kind == CLM_SP_UNIGRAM) &&
        memchr(p->text.data, '\0', p->text.size) != NULL)
        return clm_fail(err, CLM_E_MODEL, "piece %zu has a NUL", id);
    if (p->type == CLM_PIECE_NORMAL && !isfinite(p->score))
        return clm_fail(err, CLM_E_MODEL, "the score of piece %zu is not a finite number", id);
    if (p->type == CLM_PIECE_BYTE && clm_sp_piece_byte(p->text) < 0)
        return clm_fail(err, CLM_E_MODEL,
                        "piece %zu is a byte piece but its text \"%.*s\" names no byte", id,
                        p->text.size < 32 ? (int)p->text.size : 32, p->text.data);
    return CLM_OK;
}

static clm_status check_bytes(const clm_sp_model *m, clm_err *err)
{
    bool seen[256] = {false};
    size_t n = 0;

    for (size_t i = 0; i < m->n_pieces; i++) {
        int byte = m->pieces[i].type == CLM_PIECE_BYTE ? clm_sp_piece_byte(m->pieces[i].text) : -1;
        if (byte >= 0 && !seen[byte]) {
            seen[byte] = true;
            n++;
        }
    }
    if (n > 0 && !m->byte_fallback)
        return clm_fail(err, CLM_E_MODEL, "there are byte pieces although byte fallback is off");
    for (int byte = 0; byte < 256 && m->byte_fallback; byte++)
        if (!seen[byte])
            return clm_fail(
                err, CLM_E_MODEL,
                "byte fallback is on but %zu of 256 byte pieces are missing, the first is <0x%02X>",
                256 - n, (unsigned)byte);
    return CLM_OK;
}

static clm_status check_unknown(const clm_sp_model *m, clm_err *err)
{
    size_t n = 0, n_normal = 0;

    for (size_t i = 0; i < m->n_pieces; i++) {
        n += m->pieces[i].type == CLM_PIECE_UNKNOWN;
        n_normal += m->pieces[i].type == CLM_PIECE_NORMAL;
    }
    if (n == 0) return clm_fail(err, CLM_E_MODEL, "the vocabulary has no unknown piece");
    if (n > 1) return clm_fail(err, CLM_E_MODEL, "the vocabulary has %zu unknown pieces", n);
    /* The unigram algorithm of the library takes the extremes of their scores. */
    if (n_normal == 0 && m->kind == CLM_SP_UNIGRAM)
        return clm_fail(err, CLM_E_MODEL, "the vocabulary has no normal piece");
    return CLM_OK;
}

static clm_status check_model(const clm_sp_model *m, clm_err *err)
{
    entry *sorted = NULL;
    clm_status st = CLM_OK;

    for (size_t i = 0; i < m->n_pieces && st == CLM_OK; i++) st = check_piece(m, i, err);
    if (st == CLM_OK) st = check_bytes(m, err);
    if (st == CLM_OK) st = check_unknown(m, err);
    if (st == CLM_OK && m->charsmap.size > 0) st = clm_sp_charsmap_check(m->charsmap, err);
    if (st == CLM_OK && (m->unk_surface.size > CLM_SP_MAX_PIECE ||
                         !clm_utf8_valid(m->unk_surface.data, m->unk_surface.size)))
        st = clm_fail(err, CLM_E_MODEL, "the text for unknown pieces is not UTF-8 or too long");
    if (st == CLM_OK) st = sort_pieces(m, &sorted, err);
    for (size_t i = 1; i < m->n_pieces && st == CLM_OK; i++)
        if (same_text(&sorted[i - 1], &sorted[i]))
            st = clm_fail(err, CLM_E_MODEL, "pieces %zu and %zu have the same text",
                          sorted[i - 1].id, sorted[i].id);
    if (st == CLM_OK) st = check_user_defined(m, sorted, err);
    free(sorted);
    return st;
}

/* Scores that nothing uses may be anything in a file; the library should not see a NaN. */
static void clean_scores(clm_sp_model *m)
{
    for (size_t i = 0; i < m->n_pieces; i++)
        if (!isfinite(m->pieces[i].score) && m->pieces[i].type != CLM_PIECE_NORMAL)
            m->pieces[i].score = 0.0f;
}

/* ---- A file --------------------------------------------------------------------------------- */

static clm_sp_model *create_with_defaults(void)
{
    clm_sp_model *m = calloc(1, sizeof *m);

    if (m == NULL) return NULL;
    m->kind = CLM_SP_UNIGRAM; /* the defaults of the message definition */
    m->add_dummy_prefix = true;
    m->remove_extra_whitespaces = true;
    m->escape_whitespaces = true;
    m->unk_surface = text_of(UNK_SURFACE);
    m->bos_piece = text_of("<s>");
    m->eos_piece = text_of("</s>");
    return m;
}

clm_status clm_sp_model_read(const uint8_t *data, size_t bytes, clm_sp_model **out, clm_err *err)
{
    static const char lfs[] = "version https://git-lfs";
    clm_sp_model *m = create_with_defaults();
    clm_status st;

    *out = NULL;
    if (m == NULL) return clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
    if (bytes >= sizeof lfs - 1 && memcmp(data, lfs, sizeof lfs - 1) == 0) {
        st = clm_fail(err, CLM_E_MODEL,
                      "only a Git LFS pointer, not the file itself (git lfs pull fetches it)");
        goto out;
    }
    st = clm_sp_wire_read(data, bytes, m, err);
    if (st != CLM_OK) goto out;
    clean_scores(m);
    st = check_model(m, err);
    if (st != CLM_OK) goto out;
    *out = m;
    m = NULL;
out:
    clm_sp_model_destroy(m);
    return st;
}

/* ---- A vocabulary --------------------------------------------------------------------------- */

/* Room for "<placeholder-1048575>". */
enum { NAME_ROOM = 32 };

static void make_placeholder(clm_sp_model *m, size_t id, size_t *n_names)
{
    char *name = m->names + NAME_ROOM * (*n_names)++;

    snprintf(name, NAME_ROOM, "<placeholder-%zu>", id);
    m->pieces[id].text = text_of(name);
    m->pieces[id].type = CLM_PIECE_CONTROL;
    m->pieces[id].score = 0.0f;
}

/* Whether losing the text of the piece loses nothing: no text becomes it. */
static bool is_spare(const clm_sp_piece *p)
{
    return p->type == CLM_PIECE_CONTROL || p->type == CLM_PIECE_UNUSED;
}

/* Of pieces with one text, one keeps it: the one that text can become, else the first. What is
 * still twofold afterwards is refused by check_model. `sorted` entries from..to-1 share a text. */
static void settle_duplicates(clm_sp_model *m, const entry *sorted, size_t from, size_t to,
                              size_t *n_names)
{
    size_t keep = from;

    for (size_t i = from; i < to; i++)
        if (!is_spare(&m->pieces[sorted[i].id])) {
            keep = i;
            break;
        }
    for (size_t i = from; i < to; i++)
        if (i != keep && is_spare(&m->pieces[sorted[i].id]))
            make_placeholder(m, sorted[i].id, n_names);
}

static clm_status settle_texts(clm_sp_model *m, clm_err *err)
{
    size_t n_names = 0, n_room = 0;
    entry *sorted;
    clm_status st = sort_pieces(m, &sorted, err);

    if (st != CLM_OK) return st;
    for (size_t i = 0; i < m->n_pieces; i++)
        n_room += sorted[i].text.size == 0 || (i > 0 && same_text(&sorted[i - 1], &sorted[i]));
    if (n_room == 0) goto out;
    m->names = calloc(n_room, NAME_ROOM);
    if (m->names == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
        goto out;
    }
    for (size_t from = 0, to; from < m->n_pieces; from = to) {
        for (to = from + 1; to < m->n_pieces && same_text(&sorted[from], &sorted[to]); to++)
            continue;
        if (sorted[from].text.size == 0)
            for (size_t i = from; i < to; i++) make_placeholder(m, sorted[i].id, &n_names);
        else
            settle_duplicates(m, sorted, from, to, &n_names);
    }
out:
    free(sorted);
    return st;
}

/* Leaves exactly one unknown piece, when the vocabulary has something that can be it. */
static void settle_unknown(clm_sp_model *m, int stated)
{
    size_t keep = m->n_pieces;

    for (size_t i = m->n_pieces; i-- > 0;)
        if (m->pieces[i].type == CLM_PIECE_UNKNOWN &&
            (keep == m->n_pieces || keep != (size_t)stated))
            keep = i;
    for (size_t i = 0; i < m->n_pieces; i++)
        if (m->pieces[i].type == CLM_PIECE_UNKNOWN && i != keep)
            m->pieces[i].type = CLM_PIECE_UNUSED;
    if (keep != m->n_pieces) return;
    if (stated >= 0 && (size_t)stated < m->n_pieces && m->pieces[stated].type != CLM_PIECE_BYTE) {
        m->pieces[stated].type = CLM_PIECE_UNKNOWN;
        return;
    }
    for (size_t i = 0; i < m->n_pieces; i++)
        if (m->pieces[i].text.size == 5 && memcmp(m->pieces[i].text.data, "<unk>", 5) == 0) {
            m->pieces[i].type = CLM_PIECE_UNKNOWN;
            return;
        }
}

clm_status clm_sp_model_from_vocab(const clm_vocab *vocab, clm_sp_model **out, clm_err *err)
{
    clm_sp_model *m = NULL;
    clm_status st;

    *out = NULL;
    if (vocab->pieces == NULL || vocab->n_pieces == 0)
        return clm_fail(err, CLM_E_MODEL, "the vocabulary is empty");
    if (vocab->n_pieces > CLM_MAX_VOCAB)
        return clm_fail(err, CLM_E_MODEL, "%zu pieces, more than the %d supported", vocab->n_pieces,
                        (int)CLM_MAX_VOCAB);
    m = create_with_defaults();
    if (m == NULL) return clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
    m->kind = CLM_SP_BPE;
    m->add_dummy_prefix = vocab->add_space_prefix;
    m->remove_extra_whitespaces = false;
    m->pieces = calloc(vocab->n_pieces, sizeof *m->pieces);
    if (m->pieces == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
        goto out;
    }
    m->n_pieces = vocab->n_pieces;
    for (size_t i = 0; i < m->n_pieces; i++) {
        const clm_piece *from = &vocab->pieces[i];
        m->pieces[i] = (clm_sp_piece){{from->text, from->size}, from->score, from->type};
        if (from->type < CLM_PIECE_NORMAL || from->type > CLM_PIECE_BYTE) {
            st =
                clm_fail(err, CLM_E_MODEL, "token %zu has the unknown type %d", i, (int)from->type);
            goto out;
        }
        if (from->type == CLM_PIECE_BYTE) m->byte_fallback = true;
    }
    settle_unknown(m, vocab->unk);
    st = settle_texts(m, err);
    if (st != CLM_OK) goto out;
    clean_scores(m);
    st = check_model(m, err);
    if (st != CLM_OK) goto out;
    *out = m;
    m = NULL;
out:
    clm_sp_model_destroy(m);
    return st;
}
