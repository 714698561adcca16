/* runtime/formats/model_file.h: a model on disk, whatever its format: hyperparameters,
 * vocabulary and weights, all checked before anything is used.
 *
 * Layer    runtime. No device.
 * Threads  read-only after opening: may be shared.
 * Memory   weights stay in the mapped file; everything a model_file hands out lives as long as it.
 */
#ifndef CLM_RUNTIME_FORMATS_MODEL_FILE_H
#define CLM_RUNTIME_FORMATS_MODEL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"
#include "runtime/formats/tensor.h"

typedef enum clm_position { CLM_POSITION_ALIBI, CLM_POSITION_ROPE } clm_position;

/* Limits that keep a hostile file from asking for absurd amounts. */
enum {
    CLM_MAX_LAYERS = 1024,
    CLM_MAX_HEADS = 1024,
    CLM_MAX_HEAD_DIM = 512,
    CLM_MAX_VOCAB = 1 << 20,
    CLM_MAX_ENDS = 16 /* ids that end an answer besides eos */
};

typedef struct clm_hparams {
    char arch[32];  /* "baichuan", "llama" */
    char name[128]; /* general.name, made printable; may be empty */
    size_t n_layers, width, n_heads, n_kv_heads, head_dim, ffn, vocab;
    size_t ctx_train; /* context length the file states */
    float rms_eps;
    clm_position position;
    float rope_base;  /* ROPE: theta */
    size_t rope_dims; /* ROPE: leading elements of a head that are rotated, in pairs (2i, 2i+1) */
    bool tied_head;   /* the output matrix is the embedding */
} clm_hparams;

/* What a tensor does in the model. */
typedef enum clm_weight_role {
    CLM_W_EMBED,     /* [vocab][width] */
    CLM_W_OUT_NORM,  /* [width] */
    CLM_W_HEAD,      /* [vocab][width]; the embedding when tied */
    CLM_W_ATTN_NORM, /* [width], from here on per layer */
    CLM_W_Q,         /* [n_heads * head_dim][width] */
    CLM_W_K,         /* [n_kv_heads * head_dim][width] */
    CLM_W_V,         /* [n_kv_heads * head_dim][width] */
    CLM_W_O,         /* [width][n_heads * head_dim] */
    CLM_W_FFN_NORM,  /* [width] */
    CLM_W_GATE,      /* [ffn][width] */
    CLM_W_UP,        /* [ffn][width] */
    CLM_W_DOWN       /* [width][ffn] */
} clm_weight_role;

typedef enum clm_piece_type {
    CLM_PIECE_NORMAL = 1,
    CLM_PIECE_UNKNOWN = 2,
    CLM_PIECE_CONTROL = 3,
    CLM_PIECE_USER_DEFINED = 4,
    CLM_PIECE_UNUSED = 5,
    CLM_PIECE_BYTE = 6
} clm_piece_type;

typedef struct clm_piece {
    const char *text; /* NUL-terminated UTF-8 (not checked to be valid). "llama": U+2581 for a
                       * space; "gpt2": a character for each byte, see runtime/text/bpe_model.h */
    size_t size;      /* bytes without the NUL; a piece with NUL inside is refused at loading */
    float score;
    clm_piece_type type;
} clm_piece;

/* A merge of a byte-level BPE vocabulary, as written: two pieces with a space between. */
typedef struct clm_merge {
    const char *data; /* not NUL-terminated, not checked */
    size_t size;
} clm_merge;

/* The vocabulary as the file states it. Scores are finite. Ids are -1 when the file has none (or,
 * with a warning, one outside the vocabulary); GGUF files that lack the keys have theirs found by
 * piece: control pieces "<s>" and "</s>", the piece of type unknown. add_bos and add_eos are never
 * set without an id. */
typedef struct clm_vocab {
    const clm_piece *pieces; /* NULL: the vocabulary is in `sp_model` */
    size_t n_pieces;
    char *model_name;        /* "llama" (SentencePiece BPE), "gpt2" ... as stated */
    const clm_merge *merges; /* "gpt2" only, the rank is the index; else NULL */
    size_t n_merges;
    char *pre;               /* "gpt2" only: name of the pre-tokenizer, or NULL */
    const uint8_t *sp_model; /* a SentencePiece model as read from disk, or NULL; says more than the
                              * pieces where both are there */
    size_t sp_model_bytes;
    const char *sp_path; /* its file, for messages */
    bool add_space_prefix, add_bos, add_eos;
    int bos, eos, unk, pad;
    int user, assistant; /* ids that stand before what each says; 0: not stated */
    int ends
        [CLM_MAX_ENDS]; /* what ends an answer besides eos: end of turn, end of message, and others */
    size_t n_ends;
    const char *chat_template; /* as stated, or NULL */
} clm_vocab;

/* Settings that the publisher recommends (generation_config.json), within the bounds of the
 * configuration's keys of the same names; NaN where nothing is said. */
typedef struct clm_advice {
    double temperature, top_k, top_p, min_p, repetition_penalty, max_new_tokens;
} clm_advice;

typedef struct clm_model_file clm_model_file;

/* Opens `path`: a GGUF file (v2 or v3), or a folder as Hugging Face has them (config.json,
 * tokenizer.model, and weights as safetensors or torch files, plain or packed by GPTQ). Checks
 * structure, hyperparameters, tensor names, types, shapes, offsets and sizes. A GGUF file with only
 * a vocabulary (no tensors) opens too: has_weights is then false.
 * Returns CLM_OK, CLM_E_MODEL (names the file and the defect), CLM_E_NOMEM. */
clm_status clm_model_file_open(const char *path, clm_model_file **out, clm_err *err);
void clm_model_file_close(clm_model_file *mf);

const char *clm_model_file_path(const clm_model_file *mf);
uint64_t clm_model_file_bytes(const clm_model_file *mf);     /* of all its files */
const char *clm_model_file_format(const clm_model_file *mf); /* "GGUF v3" */
const clm_advice *clm_model_file_advice(const clm_model_file *mf);
const clm_hparams *clm_model_file_hparams(const clm_model_file *mf);
const clm_vocab *clm_model_file_vocab(const clm_model_file *mf);
/* What was found and passed over at opening, one sentence; NULL: nothing. */
const char *clm_model_file_warning(const clm_model_file *mf);
bool clm_model_file_has_weights(const clm_model_file *mf);
/* CLM_E_MODEL where it has none. */
clm_status clm_model_file_need_weights(const clm_model_file *mf, clm_err *err);

/* Gives back the memory that reading weights has taken (they are mapped); what is read again comes
 * from the files again. May be called while other threads read. */
void clm_model_file_drop_pages(const clm_model_file *mf);

/* The weight of a role; `layer` is ignored for those that are not per layer. Never NULL for an
 * opened file that has weights: missing tensors are refused at opening. */
const clm_tensor *clm_model_file_weight(const clm_model_file *mf, clm_weight_role role,
                                        size_t layer);

/* Gives back the memory that reading `tensor` has taken; reading it again fetches it from the file. */
void clm_model_file_drop(const clm_model_file *mf, const clm_tensor *tensor);

/* All tensors (for `clm inspect`): of a GGUF file in its order, used or not; of a folder in the order
 * of the layers, those that are used; q, k and v that are packed into one matrix count as one. */
const clm_tensor *clm_model_file_tensors(const clm_model_file *mf, size_t *count);

#endif
