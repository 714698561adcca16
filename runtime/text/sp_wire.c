/* runtime/text/sp_wire.c: the protocol buffers wire format of a SentencePiece ModelProto; see
 * sp_model.h.
 */
#include "runtime/text/sp_model.h"

#include <stdlib.h>
#include <string.h>

typedef enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5
} wire_type;

/* Field numbers of the messages that are read. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_TYPE = 3,
    TRAINER_WHITESPACE_SUFFIX = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNK_SURFACE = 44,
    TRAINER_BOS_PIECE = 46,
    TRAINER_EOS_PIECE = 47
};
enum { NORM_CHARSMAP = 2, NORM_DUMMY_PREFIX = 3, NORM_REMOVE_EXTRA = 4, NORM_ESCAPE = 5 };

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

typedef struct field {
    uint32_t number;
    wire_type type;
    uint64_t value;   /* VARINT, FIXED32, FIXED64 */
    clm_sp_text text; /* BYTES */
} field;

static bool read_varint(cursor *c, uint64_t *value)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b;
        if (c->at == c->end) return false;
        b = *c->at++;
        if (shift == 63 && b > 1) return false;
        v |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0) {
            *value = v;
            return true;
        }
    }
    return false;
}

static bool read_fixed(cursor *c, size_t size, uint64_t *value)
{
    if ((size_t)(c->end - c->at) < size) return false;
    *value = 0;
    for (size_t i = 0; i < size; i++) *value |= (uint64_t)c->at[i] << (8 * i);
    c->at += size;
    return true;
}

/* Reads the next field; the caller has made sure that there is something left. */
static clm_status read_field(cursor *c, field *f, clm_err *err)
{
    uint64_t key, size;

    memset(f, 0, sizeof *f);
    if (!read_varint(c, &key)) goto cut;
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return clm_fail(err, CLM_E_MODEL,
                        "not a SentencePiece model: a field without a valid number");
    f->number = (uint32_t)(key >> 3);
    f->type = (wire_type)(key & 7);
    switch (f->type) {
    case WIRE_VARINT:
        if (!read_varint(c, &f->value)) goto cut;
        return CLM_OK;
    case WIRE_FIXED64:
        if (!read_fixed(c, 8, &f->value)) goto cut;
        return CLM_OK;
    case WIRE_FIXED32:
        if (!read_fixed(c, 4, &f->value)) goto cut;
        return CLM_OK;
    case WIRE_BYTES:
        if (!read_varint(c, &size) || size > (uint64_t)(c->end - c->at)) goto cut;
        f->text.data = (const char *)c->at;
        f->text.size = (size_t)size;
        c->at += size;
        return CLM_OK;
    }
    /* Groups (3, 4) have long been deprecated and no such file has them. */
    return clm_fail(err, CLM_E_MODEL, "not a SentencePiece model: field %u has the wire type %u",
                    (unsigned)f->number, (unsigned)(key & 7));
cut:
    return clm_fail(err, CLM_E_MODEL,
                    "the SentencePiece model is damaged or cut: a field reaches beyond its end");
}

static cursor cursor_of(clm_sp_text text)
{
    cursor c = {(const uint8_t *)text.data, (const uint8_t *)text.data + text.size};
    return c;
}

static clm_status want(const field *f, wire_type type, clm_err *err)
{
    if (f->type == type) return CLM_OK;
    return clm_fail(
        err, CLM_E_MODEL,
        "the SentencePiece model is damaged: field %u has the wire type %d instead of %d",
        (unsigned)f->number, (int)f->type, (int)type);
}

static clm_status read_bool(const field *f, bool *out, clm_err *err)
{
    clm_status st = want(f, WIRE_VARINT, err);
    if (st == CLM_OK) *out = f->value != 0;
    return st;
}

static clm_status read_text(const field *f, clm_sp_text *out, clm_err *err)
{
    clm_status st = want(f, WIRE_BYTES, err);
    if (st == CLM_OK) *out = f->text;
    return st;
}

static clm_status read_piece(clm_sp_text message, size_t id, clm_sp_piece *p, clm_err *err)
{
    cursor c = cursor_of(message);

    p->text.data = "";
    p->text.size = 0;
    p->score = 0.0f;
    p->type = CLM_PIECE_NORMAL;
    while (c.at != c.end) {
        field f;
        clm_status st = read_field(&c, &f, err);
        uint32_t bits;

        if (st != CLM_OK) return st;
        switch (f.number) {
        case PIECE_TEXT:
            st = read_text(&f, &p->text, err);
            break;
        case PIECE_SCORE:
            st = want(&f, WIRE_FIXED32, err);
            bits = (uint32_t)f.value;
            memcpy(&p->score, &bits, sizeof bits);
            break;
        case PIECE_TYPE:
            st = want(&f, WIRE_VARINT, err);
            if (st == CLM_OK && (f.value < CLM_PIECE_NORMAL || f.value > CLM_PIECE_BYTE))
                st = clm_fail(err, CLM_E_MODEL, "piece %zu has the unknown type %llu", id,
                              (unsigned long long)f.value);
            if (st == CLM_OK) p->type = (clm_piece_type)f.value;
            break;
        default:
            break;
        }
        if (st != CLM_OK) return st;
    }
    return CLM_OK;
}

static clm_status read_kind(const field *f, clm_sp_kind *out, clm_err *err)
{
    static const char *const names[] = {"", "unigram", "BPE", "word", "character"};
    clm_status st = want(f, WIRE_VARINT, err);

    if (st != CLM_OK) return st;
    if (f->value == CLM_SP_UNIGRAM || f->value == CLM_SP_BPE) {
        *out = (clm_sp_kind)f->value;
        return CLM_OK;
    }
    if (f->value == 3 || f->value == 4)
        return clm_fail(err, CLM_E_MODEL, "%s models are not supported, only BPE and unigram",
                        names[f->value]);
    return clm_fail(err, CLM_E_MODEL, "the model type %llu does not exist",
                    (unsigned long long)f->value);
}

static clm_status read_trainer(clm_sp_text message, clm_sp_model *m, clm_err *err)
{
    cursor c = cursor_of(message);

    while (c.at != c.end) {
        field f;
        clm_status st = read_field(&c, &f, err);

        if (st != CLM_OK) return st;
        switch (f.number) {
        case TRAINER_TYPE:
            st = read_kind(&f, &m->kind, err);
            break;
        case TRAINER_WHITESPACE_SUFFIX:
            st = read_bool(&f, &m->whitespace_as_suffix, err);
            break;
        case TRAINER_BYTE_FALLBACK:
            st = read_bool(&f, &m->byte_fallback, err);
            break;
        case TRAINER_UNK_SURFACE:
            st = read_text(&f, &m->unk_surface, err);
            break;
        case TRAINER_BOS_PIECE:
            st = read_text(&f, &m->bos_piece, err);
            break;
        case TRAINER_EOS_PIECE:
            st = read_text(&f, &m->eos_piece, err);
            break;
        default:
            break;
        }
        if (st != CLM_OK) return st;
    }
    return CLM_OK;
}

static clm_status read_normalizer(clm_sp_text message, clm_sp_model *m, clm_err *err)
{
    cursor c = cursor_of(message);

    while (c.at != c.end) {
        field f;
        clm_status st = read_field(&c, &f, err);

        if (st != CLM_OK) return st;
        switch (f.number) {
        case NORM_CHARSMAP:
            st = read_text(&f, &m->charsmap, err);
            break;
        case NORM_DUMMY_PREFIX:
            st = read_bool(&f, &m->add_dummy_prefix, err);
            break;
        case NORM_REMOVE_EXTRA:
            st = read_bool(&f, &m->remove_extra_whitespaces, err);
            break;
        case NORM_ESCAPE:
            st = read_bool(&f, &m->escape_whitespaces, err);
            break;
        default:
            break;
        }
        if (st != CLM_OK) return st;
    }
    return CLM_OK;
}

/* A map that is applied after decoding would have to be applied while streaming as well; no
 * language model has one. */
static clm_status read_denormalizer(clm_sp_text message, clm_err *err)
{
    clm_sp_model other;
    clm_status st;

    memset(&other, 0, sizeof other);
    st = read_normalizer(message, &other, err);
    if (st == CLM_OK && other.charsmap.size > 0)
        st = clm_fail(err, CLM_E_MODEL,
                      "a map for decoded text (denormalizer_spec) is not supported");
    return st;
}

/* Walks the top level; counts the pieces or, when `m` has room for them, reads everything. */
static clm_status read_model(cursor c, clm_sp_model *m, size_t *count, clm_err *err)
{
    *count = 0;
    while (c.at != c.end) {
        field f;
        clm_status st = read_field(&c, &f, err);

        if (st != CLM_OK) return st;
        if (f.number == 4 || f.number > MODEL_DENORMALIZER) continue;
        st = want(&f, WIRE_BYTES, err);
        if (st == CLM_OK && f.number == MODEL_PIECES) {
            if (m->pieces != NULL) st = read_piece(f.text, *count, &m->pieces[*count], err);
            ++*count;
        } else if (st == CLM_OK && m->pieces != NULL) {
            if (f.number == MODEL_TRAINER) st = read_trainer(f.text, m, err);
            if (f.number == MODEL_NORMALIZER) st = read_normalizer(f.text, m, err);
            if (f.number == MODEL_DENORMALIZER) st = read_denormalizer(f.text, err);
        }
        if (st != CLM_OK) return st;
    }
    return CLM_OK;
}

clm_status clm_sp_wire_read(const uint8_t *data, size_t bytes, clm_sp_model *m, clm_err *err)
{
    clm_sp_text whole = {(const char *)data, bytes};
    size_t count;
    clm_status st;

    if (bytes == 0) return clm_fail(err, CLM_E_MODEL, "the SentencePiece model is empty");
    if (bytes > CLM_SP_MAX_BYTES)
        return clm_fail(err, CLM_E_MODEL, "too large for a SentencePiece model");
    st = read_model(cursor_of(whole), m, &count, err);
    if (st != CLM_OK) return st;
    if (count == 0) return clm_fail(err, CLM_E_MODEL, "the SentencePiece model has no pieces");
    if (count > CLM_MAX_VOCAB)
        return clm_fail(err, CLM_E_MODEL, "%zu pieces, more than the %d supported", count,
                        (int)CLM_MAX_VOCAB);
    m->pieces = calloc(count, sizeof *m->pieces);
    if (m->pieces == NULL) return clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
    m->n_pieces = count;
    return read_model(cursor_of(whole), m, &count, err);
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* Counts when `data` is NULL, so that one description of the message serves size and content. */
typedef struct writer {
    uint8_t *data;
    size_t used;
} writer;

static void put_byte(writer *w, uint8_t b)
{
    if (w->data != NULL) w->data[w->used] = b;
    w->used++;
}

static void put_varint(writer *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) put_byte(w, (uint8_t)(v | 0x80));
    put_byte(w, (uint8_t)v);
}

static void put_key(writer *w, unsigned number, wire_type type)
{
    put_varint(w, number << 3 | (unsigned)type);
}

static void put_number(writer *w, unsigned number, uint64_t v)
{
    put_key(w, number, WIRE_VARINT);
    put_varint(w, v);
}

static void put_text(writer *w, unsigned number, clm_sp_text text)
{
    put_key(w, number, WIRE_BYTES);
    put_varint(w, text.size);
    if (w->data != NULL && text.size > 0) memcpy(w->data + w->used, text.data, text.size);
    w->used += text.size;
}

static void put_piece(writer *w, const clm_sp_piece *p)
{
    uint32_t bits;

    put_text(w, PIECE_TEXT, p->text);
    memcpy(&bits, &p->score, sizeof bits);
    put_key(w, PIECE_SCORE, WIRE_FIXED32);
    for (int i = 0; i < 4; i++) put_byte(w, (uint8_t)(bits >> (8 * i)));
    put_number(w, PIECE_TYPE, (uint64_t)p->type);
}

static void put_trainer(writer *w, const clm_sp_model *m)
{
    put_number(w, TRAINER_TYPE, (uint64_t)m->kind);
    put_number(w, TRAINER_WHITESPACE_SUFFIX, m->whitespace_as_suffix);
    put_number(w, TRAINER_BYTE_FALLBACK, m->byte_fallback);
    put_text(w, TRAINER_UNK_SURFACE, m->unk_surface);
}

static void put_normalizer(writer *w, const clm_sp_model *m)
{
    if (m->charsmap.size > 0) put_text(w, NORM_CHARSMAP, m->charsmap);
    put_number(w, NORM_DUMMY_PREFIX, m->add_dummy_prefix);
    put_number(w, NORM_REMOVE_EXTRA, m->remove_extra_whitespaces);
    put_number(w, NORM_ESCAPE, m->escape_whitespaces);
}

static void put_model(writer *w, const clm_sp_model *m)
{
    writer size;

    for (size_t i = 0; i < m->n_pieces; i++) {
        size = (writer){NULL, 0};
        put_piece(&size, &m->pieces[i]);
        put_key(w, MODEL_PIECES, WIRE_BYTES);
        put_varint(w, size.used);
        put_piece(w, &m->pieces[i]);
    }
    size = (writer){NULL, 0};
    put_trainer(&size, m);
    put_key(w, MODEL_TRAINER, WIRE_BYTES);
    put_varint(w, size.used);
    put_trainer(w, m);
    size = (writer){NULL, 0};
    put_normalizer(&size, m);
    put_key(w, MODEL_NORMALIZER, WIRE_BYTES);
    put_varint(w, size.used);
    put_normalizer(w, m);
}

clm_status clm_sp_model_write(const clm_sp_model *m, uint8_t **data, size_t *bytes, clm_err *err)
{
    writer w = {NULL, 0};

    *data = NULL;
    *bytes = 0;
    put_model(&w, m);
    w.data = malloc(w.used);
    if (w.data == NULL) return clm_fail(err, CLM_E_NOMEM, "SentencePiece model: no memory");
    w.used = 0;
    put_model(&w, m);
    *data = w.data;
    *bytes = w.used;
    return CLM_OK;
}
