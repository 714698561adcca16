/* runtime/text/tokenizer.c: see tokenizer.h and, for the public functions, runtime/clm.h. */
#include "runtime/text/tokenizer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "host/file.h"
#include "runtime/text/bpe_model.h"
#include "runtime/text/sp_model.h"
#include "runtime/text/sp_shim.h"
#include "runtime/text/utf8.h"

/* The library needs about 60 bytes of memory for each byte of a text, and counts in int. */
enum { MAX_TEXT = 64 << 20 };

struct clm_tokenizer {
    clm_sp *sp; /* one of the two */
    clm_bpe *bpe;
    size_t n;
    int bos, eos, user, assistant;
    bool add_bos;
    bool *ends;          /* which ids end an answer */
    uint8_t *types;      /* clm_piece_type of each id */
    char *surface;       /* what the ids add to a text, one after the other */
    size_t *surface_off; /* n + 1 places in it */
};

void clm_tokenizer_destroy(clm_tokenizer *tok)
{
    if (tok == NULL) return;
    clm_sp_destroy(tok->sp);
    clm_bpe_destroy(tok->bpe);
    free(tok->ends);
    free(tok->types);
    free(tok->surface);
    free(tok->surface_off);
    free(tok);
}

/* ---- Creation -------------------------------------------------------------------------------- */

/* Writes what a piece adds to a text; never longer than the piece, except for the unknown one. */
static size_t put_surface(const clm_sp_model *m, const clm_sp_piece *p, char *out)
{
    static const char space[] = "\xe2\x96\x81"; /* U+2581 */
    size_t n = 0;

    switch (p->type) {
    case CLM_PIECE_CONTROL:
        return 0;
    case CLM_PIECE_UNKNOWN:
        if (m->unk_surface.size > 0) memcpy(out, m->unk_surface.data, m->unk_surface.size);
        return m->unk_surface.size;
    case CLM_PIECE_BYTE:
        out[0] = (char)clm_sp_piece_byte(p->text);
        return 1;
    default:
        break;
    }
    for (size_t i = 0; i < p->text.size;) {
        if (p->text.size - i >= 3 && memcmp(p->text.data + i, space, 3) == 0) {
            out[n++] = ' ';
            i += 3;
        } else {
            out[n++] = p->text.data[i++];
        }
    }
    return n;
}

/* Makes room for `n` ids that add `room` bytes together. */
static clm_status create_table(size_t n, size_t room, clm_tokenizer **out, clm_err *err)
{
    clm_tokenizer *tok = calloc(1, sizeof *tok);

    *out = tok;
    if (tok == NULL) return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    tok->n = n;
    tok->bos = tok->eos = -1;
    tok->ends = calloc(n, sizeof *tok->ends);
    tok->types = malloc(n);
    tok->surface_off = calloc(n + 1, sizeof *tok->surface_off);
    tok->surface = malloc(room + 1);
    if (tok->ends == NULL || tok->types == NULL || tok->surface_off == NULL || tok->surface == NULL)
        return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    return CLM_OK;
}

static void mark_end(clm_tokenizer *tok, int id)
{
    if (id >= 0 && (size_t)id < tok->n) tok->ends[id] = true;
}

/* Takes over what `m` says; `m` is not kept. */
static clm_status create_from_model(const clm_sp_model *m, clm_tokenizer **out, clm_err *err)
{
    clm_tokenizer *tok = NULL;
    uint8_t *message = NULL;
    size_t bytes, room = 0, used = 0; /* no overflow: bounded by the size of a loaded model */
    clm_status st;

    *out = NULL;
    for (size_t i = 0; i < m->n_pieces; i++)
        room +=
            m->pieces[i].type == CLM_PIECE_UNKNOWN ? m->unk_surface.size : m->pieces[i].text.size;
    st = create_table(m->n_pieces, room, &tok, err);
    if (st != CLM_OK) goto out;
    for (size_t i = 0; i < tok->n; i++) {
        tok->types[i] = (uint8_t)m->pieces[i].type;
        used += put_surface(m, &m->pieces[i], tok->surface + used);
        tok->surface_off[i + 1] = used;
    }
    st = clm_sp_model_write(m, &message, &bytes, err);
    if (st != CLM_OK) goto out;
    st = clm_sp_create(message, bytes, &tok->sp, err);
    if (st != CLM_OK) goto out;
    tok->bos = clm_sp_find(tok->sp, m->bos_piece.data, m->bos_piece.size);
    tok->eos = clm_sp_find(tok->sp, m->eos_piece.data, m->eos_piece.size);
    *out = tok;
    tok = NULL;
out:
    free(message);
    clm_tokenizer_destroy(tok);
    return st;
}

/* Files of this kind often name one end only, or that of a text instead of that of a turn. */
static bool means_end(const clm_piece *p)
{
    static const char *const texts[] = {"<|im_end|>",   "<|eot_id|>",    "<|eom_id|>",
                                        "<|end|>",      "<|endoftext|>", "<|end_of_text|>",
                                        "<end_of_turn>"};

    if (p->type != CLM_PIECE_CONTROL) return false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(p->text, texts[i]) == 0) return true;
    return false;
}

static clm_status create_bpe(const clm_vocab *vocab, clm_tokenizer **out, clm_err *err)
{
    clm_tokenizer *tok = NULL;
    clm_bpe *bpe = NULL;
    size_t room = 0, used = 0;
    clm_status st = clm_bpe_create(vocab, &bpe, err);

    *out = NULL;
    if (st != CLM_OK) return st;
    for (size_t i = 0; i < vocab->n_pieces; i++) room += vocab->pieces[i].size;
    st = create_table(vocab->n_pieces, room, &tok, err);
    if (st != CLM_OK) goto out;
    for (size_t i = 0; i < tok->n; i++) {
        const clm_piece *p = &vocab->pieces[i];

        tok->types[i] = (uint8_t)p->type;
        tok->ends[i] = means_end(p);
        if (p->type == CLM_PIECE_NORMAL) {
            used += clm_bpe_piece_bytes(p->text, p->size, tok->surface + used);
        } else if (p->type == CLM_PIECE_USER_DEFINED) { /* stands in the text as it is written */
            memcpy(tok->surface + used, p->text, p->size);
            used += p->size;
        }
        tok->surface_off[i + 1] = used;
    }
    tok->bpe = bpe;
    bpe = NULL;
    *out = tok;
    tok = NULL;
out:
    clm_bpe_destroy(bpe);
    clm_tokenizer_destroy(tok);
    return st;
}

static clm_status create_sp(const clm_vocab *vocab, clm_tokenizer **out, clm_err *err)
{
    clm_sp_model *m = NULL;
    clm_status st = vocab->sp_model != NULL
                        ? clm_sp_model_read(vocab->sp_model, vocab->sp_model_bytes, &m, err)
                        : clm_sp_model_from_vocab(vocab, &m, err);

    *out = NULL;
    if (st == CLM_OK) st = create_from_model(m, out, err);
    clm_sp_model_destroy(m);
    return st;
}

static int id_or_none(int id, size_t n)
{
    return id >= 0 && (size_t)id < n ? id : -1;
}

clm_status clm_tokenizer_create(const clm_vocab *vocab, clm_tokenizer **out, clm_err *err)
{
    const bool own_file = vocab->sp_model != NULL;
    clm_tokenizer *tok = NULL;
    clm_status st;

    *out = NULL;
    if (!own_file && vocab->model_name == NULL)
        return clm_fail(err, CLM_E_MODEL, "the file does not say what kind of vocabulary it has");
    if (own_file || strcmp(vocab->model_name, "llama") == 0)
        st = create_sp(vocab, &tok, err);
    else if (strcmp(vocab->model_name, "gpt2") == 0)
        st = create_bpe(vocab, &tok, err);
    else
        st = clm_fail(err, CLM_E_MODEL,
                      "a vocabulary of the kind \"%s\" is not supported; \"llama\" (SentencePiece "
                      "BPE) and \"gpt2\" (byte-level BPE) are",
                      vocab->model_name);
    if (st != CLM_OK) return st;
    /* A GGUF file states its ids; a tokenizer.model has its own and the files beside it may differ. */
    if (!own_file || vocab->bos >= 0) tok->bos = id_or_none(vocab->bos, tok->n);
    if (!own_file || vocab->eos >= 0) tok->eos = id_or_none(vocab->eos, tok->n);
    tok->add_bos = vocab->add_bos && tok->bos >= 0;
    mark_end(tok, tok->eos);
    for (size_t i = 0; i < vocab->n_ends; i++) mark_end(tok, vocab->ends[i]);
    tok->user = vocab->user;
    tok->assistant = vocab->assistant;
    *out = tok;
    return CLM_OK;
}

/* Tables of embeddings are padded to a multiple of 64 or so for speed. */
enum { MAX_PADDING = 256 };

clm_status clm_tokenizer_of_model(const clm_model_file *mf, clm_tokenizer **out, clm_err *err)
{
    const clm_vocab *vocab = clm_model_file_vocab(mf);
    const char *path = vocab->sp_path != NULL ? vocab->sp_path : clm_model_file_path(mf);
    const size_t rows = clm_model_file_hparams(mf)->vocab;
    clm_status st = clm_tokenizer_create(vocab, out, err);

    if (st != CLM_OK) return clm_fail_context(err, st, "%s", path);
    const size_t n = clm_tokenizer_size(*out);
    if (n > rows || rows - n > MAX_PADDING || rows - n > rows / 16) {
        clm_tokenizer_destroy(*out);
        *out = NULL;
        return clm_fail(err, CLM_E_MODEL, "%s: has %zu pieces for a model of %zu tokens", path, n,
                        rows);
    }
    return CLM_OK;
}

static clm_status load_gguf(const char *path, clm_tokenizer **out, clm_err *err)
{
    clm_model_file *mf;
    clm_status st = clm_model_file_open(path, &mf, err);

    if (st != CLM_OK) return st; /* it names the file */
    st = clm_tokenizer_create(clm_model_file_vocab(mf), out, err);
    if (st != CLM_OK) clm_fail_context(err, st, "%s", path);
    clm_model_file_close(mf);
    return st;
}

static clm_status load_file(const char *path, clm_tokenizer **out, clm_err *err)
{
    clm_sp_model *m = NULL;
    clm_map map;
    clm_status st = clm_map_open(path, &map, err);

    if (st != CLM_OK)
        return CLM_E_MODEL; /* whatever is wrong, it is the model file; the text says it */
    if (map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0) {
        st = load_gguf(path, out, err);
        goto out;
    }
    st = clm_sp_model_read(map.data, map.size, &m, err);
    if (st == CLM_OK) st = create_from_model(m, out, err);
    if (st == CLM_OK) mark_end(*out, (*out)->eos);
    if (st != CLM_OK) clm_fail_context(err, st, "%s", path);
out:
    clm_sp_model_destroy(m);
    clm_map_close(&map);
    return st;
}

clm_status clm_tokenizer_load(const char *path, clm_tokenizer **out, clm_err *err)
{
    char *inside;
    clm_status st;

    *out = NULL;
    if (!clm_file_is_dir(path)) return load_file(path, out, err);
    inside = clm_path_join(path, "tokenizer.model");
    if (inside == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    if (clm_file_exists(inside))
        st = load_file(inside, out, err);
    else
        st = clm_fail(err, CLM_E_MODEL, "%s: the folder has no tokenizer.model", path);
    free(inside);
    return st;
}

/* ---- Use ------------------------------------------------------------------------------------- */

static clm_status check_text(size_t size, clm_err *err)
{
    if (size <= MAX_TEXT) return CLM_OK;
    return clm_fail(err, CLM_E_LIMIT, "a text of %zu bytes; at most %d can be tokenised at once",
                    size, (int)MAX_TEXT);
}

clm_status clm_tokenizer_encode(const clm_tokenizer *tok, const char *text, size_t size, int **ids,
                                size_t *count, clm_err *err)
{
    clm_status st = check_text(size, err);

    *ids = NULL;
    *count = 0;
    if (st != CLM_OK) return st;
    if (tok->bpe != NULL) return clm_bpe_encode(tok->bpe, text, size, false, ids, count, err);
    return clm_sp_encode(tok->sp, text, size, ids, count, err);
}

clm_status clm_tokenizer_encode_sequence(const clm_tokenizer *tok, const char *text, size_t size,
                                         int **ids, size_t *count, clm_err *err)
{
    clm_status st = clm_tokenizer_encode(tok, text, size, ids, count, err);
    int *grown;

    if (st != CLM_OK || !tok->add_bos || tok->bos < 0) return st;
    grown = realloc(*ids, (*count + 1) * sizeof **ids);
    if (grown == NULL) {
        free(*ids);
        *ids = NULL;
        *count = 0;
        return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    }
    memmove(grown + 1, grown, *count * sizeof *grown);
    grown[0] = tok->bos;
    *ids = grown;
    *count += 1;
    return CLM_OK;
}

clm_status clm_tokenizer_encode_special(const clm_tokenizer *tok, const char *text, size_t size,
                                        int **ids, size_t *count, clm_err *err)
{
    clm_status st = check_text(size, err);

    *ids = NULL;
    *count = 0;
    if (st != CLM_OK) return st;
    if (tok->bpe == NULL)
        return clm_fail(err, CLM_E_USAGE,
                        "control pieces of a SentencePiece vocabulary cannot be written in a text");
    return clm_bpe_encode(tok->bpe, text, size, true, ids, count, err);
}

/* The surfaces one after the other, as whole characters. */
static clm_status decode_bpe(const clm_tokenizer *tok, const int *ids, size_t count, char **text,
                             size_t *size, clm_err *err)
{
    clm_utf8_stream stream = {{0}, 0};
    size_t bytes = 0, n = 0;

    for (size_t i = 0; i < count; i++)
        bytes += tok->surface_off[ids[i] + 1] - tok->surface_off[ids[i]];
    if (bytes > MAX_TEXT)
        return clm_fail(err, CLM_E_LIMIT, "a text of %zu bytes; at most %d can be decoded at once",
                        bytes, (int)MAX_TEXT);
    *text = malloc(3 * (bytes + 3) + 13);
    if (*text == NULL) return clm_fail(err, CLM_E_NOMEM, "tokenizer: no memory");
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *piece = clm_tokenizer_piece(tok, ids[i], &length);

        n += clm_utf8_feed(&stream, piece, length, *text + n);
    }
    n += clm_utf8_flush(&stream, *text + n);
    (*text)[n] = '\0';
    *size = n;
    return CLM_OK;
}

clm_status clm_tokenizer_decode(const clm_tokenizer *tok, const int *ids, size_t count, char **text,
                                size_t *size, clm_err *err)
{
    *text = NULL;
    *size = 0;
    if (count > MAX_TEXT)
        return clm_fail(err, CLM_E_LIMIT, "%zu tokens; at most %d can be decoded at once", count,
                        (int)MAX_TEXT);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= tok->n)
            return clm_fail(err, CLM_E_USAGE, "token id %d is outside the vocabulary (0 to %zu)",
                            ids[i], tok->n - 1);
    if (tok->bpe != NULL) return decode_bpe(tok, ids, count, text, size, err);
    return clm_sp_decode(tok->sp, ids, count, text, size, err);
}

size_t clm_tokenizer_size(const clm_tokenizer *tok)
{
    return tok->n;
}
int clm_tokenizer_bos(const clm_tokenizer *tok)
{
    return tok->bos;
}
int clm_tokenizer_eos(const clm_tokenizer *tok)
{
    return tok->eos;
}
bool clm_tokenizer_add_bos(const clm_tokenizer *tok)
{
    return tok->add_bos;
}

bool clm_tokenizer_roles(const clm_tokenizer *tok, int *user, int *assistant)
{
    *user = tok->user;
    *assistant = tok->assistant;
    return tok->user > 0 && tok->assistant > 0;
}

bool clm_tokenizer_is_control(const clm_tokenizer *tok, int id)
{
    return id >= 0 && (size_t)id < tok->n && tok->types[id] == CLM_PIECE_CONTROL;
}

bool clm_tokenizer_is_end(const clm_tokenizer *tok, int id)
{
    return id >= 0 && (size_t)id < tok->n && tok->ends[id];
}

bool clm_tokenizer_pads(const clm_tokenizer *tok)
{
    return tok->sp != NULL;
}

int clm_tokenizer_find(const clm_tokenizer *tok, const char *piece)
{
    if (tok->bpe != NULL) return clm_bpe_find(tok->bpe, piece, strlen(piece));
    return clm_sp_find(tok->sp, piece, strlen(piece));
}

const char *clm_tokenizer_piece(const clm_tokenizer *tok, int id, size_t *size)
{
    *size = 0;
    if (id < 0 || (size_t)id >= tok->n) return "";
    *size = tok->surface_off[id + 1] - tok->surface_off[id];
    return tok->surface + tok->surface_off[id];
}
