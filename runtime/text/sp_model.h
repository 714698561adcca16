/* runtime/text/sp_model.h: a SentencePiece model in memory: read, checked, and written again.
 *
 * Layer    runtime.
 * Threads  read-only after creation: may be shared.
 * Memory   a model read from bytes borrows them, one made of a vocabulary borrows its texts: both
 *          must outlive it. What clm_sp_model_write gives is independent.
 * Source   SentencePiece's sentencepiece_model.proto and the protocol buffers wire format.
 *
 * libsentencepiece 0.1.97 trusts what it is handed: a normalisation map that leads outside itself,
 * 65 user-defined pieces that are prefixes of one another, or a very long piece make it read or
 * recurse out of bounds. So it never sees a file: the file is read here, everything that the
 * library relies on is checked, and it is handed a message written anew from the checked values.
 */
#ifndef CLM_RUNTIME_TEXT_SP_MODEL_H
#define CLM_RUNTIME_TEXT_SP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"
#include "runtime/formats/model_file.h"

enum {
    CLM_SP_MAX_BYTES = 256 << 20,        /* of a whole model */
    CLM_SP_MAX_PIECE = 4096,             /* the library recurses once per byte of a piece */
    CLM_SP_MAX_USER_PREFIXES = 64,       /* its fixed array of matches of user-defined pieces */
    CLM_SP_MAX_CHARSMAP_BYTES = 8 << 20, /* real ones have 0.25 MB */
    CLM_SP_MAX_CHARSMAP_MATCHES = 32,    /* its fixed array of matches of the map */
    CLM_SP_MAX_REPLACEMENT = 1024        /* bytes that the map may make of one match */
};

/* Numbers of TrainerSpec.ModelType. */
typedef enum clm_sp_kind { CLM_SP_UNIGRAM = 1, CLM_SP_BPE = 2 } clm_sp_kind;

typedef struct clm_sp_text {
    const char *data; /* not NUL-terminated */
    size_t size;
} clm_sp_text;

typedef struct clm_sp_piece {
    clm_sp_text text;
    float score;
    clm_piece_type type;
} clm_sp_piece;

typedef struct clm_sp_model {
    clm_sp_piece *pieces;
    size_t n_pieces;
    clm_sp_kind kind;
    bool byte_fallback;
    bool add_dummy_prefix;
    bool remove_extra_whitespaces;
    bool escape_whitespaces;
    bool whitespace_as_suffix;
    clm_sp_text charsmap;    /* size 0: none */
    clm_sp_text unk_surface; /* what decoding gives for the unknown id */
    clm_sp_text bos_piece, eos_piece;
    char *names; /* texts of placeholders, owned */
} clm_sp_model;

/* Reads and checks a `tokenizer.model`. Returns CLM_OK, CLM_E_MODEL or CLM_E_NOMEM. */
clm_status clm_sp_model_read(const uint8_t *data, size_t bytes, clm_sp_model **out, clm_err *err);

/* Builds and checks a BPE model from the pieces of a vocabulary (vocab->pieces is not NULL):
 * identity map, whitespace kept, byte fallback when there are byte pieces.
 * Real files are less tidy than a tokenizer.model, and an id must stay what it is. So a piece
 * without text, and a control or unused piece whose text another piece has, becomes a control
 * piece with a made-up name (it never comes out of encoding and decodes to nothing); more than
 * one unknown piece: `vocab->unk` or the first stays; none: `vocab->unk` or "<unk>" becomes it.
 * Returns CLM_OK, CLM_E_MODEL or CLM_E_NOMEM. */
clm_status clm_sp_model_from_vocab(const clm_vocab *vocab, clm_sp_model **out, clm_err *err);

/* A ModelProto that the library reads to the same values. `*data` is malloc'd.
 * Returns CLM_OK or CLM_E_NOMEM. */
clm_status clm_sp_model_write(const clm_sp_model *m, uint8_t **data, size_t *bytes, clm_err *err);

void clm_sp_model_destroy(clm_sp_model *m);

/* 0..255 of a byte piece "<0x0A>" as the library writes it (capital digits), -1 for other text. */
int clm_sp_piece_byte(clm_sp_text text);

/* Parts of clm_sp_model_read, apart for their size and their tests. */

/* Reads the wire format into `m`, whose members hold the defaults; checks structure only.
 * On failure `m` may hold pieces: destroy it. (sp_wire.c) */
clm_status clm_sp_wire_read(const uint8_t *data, size_t bytes, clm_sp_model *m, clm_err *err);

/* Proves that matching any text against a precompiled normalisation map stays inside it and
 * ends. (sp_charsmap.c) */
clm_status clm_sp_charsmap_check(clm_sp_text map, clm_err *err);

#endif
