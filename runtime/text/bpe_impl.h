/* runtime/text/bpe_impl.h: the inside of a clm_bpe: made by bpe_model.c, used by bpe_encode.c.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_TEXT_BPE_IMPL_H
#define CLM_RUNTIME_TEXT_BPE_IMPL_H

#include <stdint.h>
#include "runtime/text/bpe_model.h"
#include "runtime/text/bpe_split.h"

typedef struct clm__bpe_piece {
    const char *text; /* not NUL-terminated */
    size_t size;
    int id;
} clm__bpe_piece;

typedef struct clm__bpe_merge {
    int left, right, result;
    uint32_t rank;
} clm__bpe_merge;

/* A piece that is looked for in the text itself. */
typedef struct clm__bpe_special {
    clm__bpe_piece piece;
    bool hidden; /* control or unknown: only when special pieces are asked for */
} clm__bpe_special;

struct clm_bpe {
    size_t n;               /* ids */
    char *text;             /* of all pieces, one after the other */
    clm__bpe_piece *sorted; /* those that have a text, in its order */
    size_t n_sorted, longest;
    int byte_id[256];          /* -1: there is none */
    clm__bpe_merge *merges;    /* in the order of left, right */
    size_t n_merges, *first;   /* [n + 1] first merge of each left */
    clm__bpe_special *special; /* longest first */
    size_t n_special;
    clm_bpe_split *split;
};

/* Writes byte `b` as pieces write it; 1 or 2 bytes. */
size_t clm__bpe_put_byte(unsigned char b, char out[2]);

/* NULL: these two do not merge. An id of -1 merges with nothing. */
const clm__bpe_merge *clm__bpe_find_merge(const clm_bpe *bpe, int left, int right);

#endif
