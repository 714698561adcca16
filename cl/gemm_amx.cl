/* gemm_amx.cl: products of a quantised weight matrix with bfloat16 activations of many tokens, for
 * prompts on processors with tile instructions.
 *
 *     y[m][y_off + n] (+)= sum_k bf16(w[n][k]) x[m][k],   first <= k < first + CHUNK
 *
 * with + when first > 0: a launch takes CHUNK columns of the matrix, so that the activations of a prompt
 * for these columns stay in the second-level cache (512 tokens x 1,280 columns: 1.3 MB) while all rows
 * go by. A work-item turns its rows' part of the weights into bf16 once, scale and minimum multiplied
 * out, and uses them for all tokens: 32 x 32 sums in four tiles take four products and four loads
 * per 32 columns.
 *
 * Reference  clm_ref_gemm_amx() in runtime/ops/ref_gemm_amx.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h.  x: bfloat16 panels of runtime/ops/act.h.
 *            y: [tokens][ldy] f32.
 * Launch     1-D: a work-item per ROWS rows, local 1.
 * Build      AMX: amx.cl;  FORMAT (4, 8), GROUP, HAS_MIN: the weights';  CHUNK columns of a launch
 * Tunables   ROWS  rows per work-item, whose weights take ROWS x CHUNK x 2 bytes of private memory
 * Limits     rows and tokens: any number.  columns, first, CHUNK multiples of 32, columns of GROUP.
 */
#include "amx.cl"
#include "weight_group.cl"

#ifndef FORMAT
#define FORMAT 4
#endif
#ifndef CHUNK
#define CHUNK 64
#endif
#ifndef ROWS
#define ROWS 32
#endif
#if FORMAT != 4 && FORMAT != 8
#error "gemm_amx: FORMAT must be 4 or 8"
#endif
#if FORMAT == 4 && PARTS != 1
#error "gemm_amx: GROUP 16 is for 8-bit weights"
#endif
#if CHUNK < 32 || CHUNK % 32 != 0 || ROWS < 32 || ROWS % 32 != 0
#error "gemm_amx: CHUNK and ROWS must be multiples of 32"
#endif

#define TILES       (ROWS / 16)
#define BLOCKS      (CHUNK / 32)
#define BLOCK_WORDS (FORMAT * 16) /* of a tile of 16 rows: 32 columns */

/* Helpers have no `restrict`: Oclgrind 21.10 does not know what becomes of it when they are inlined. */

/* q (centred) of element k of a block, in 16 rows. */
CLM_INLINE float16 level_of(__global const uint *words, const uint k)
{
#if FORMAT == 4
    const uint16 v = vload16(k / 8, words) ^ 0x88888888u; /* q - 8 in four bits, signed */

    return convert_float16(as_int16(v << (28u - 8u * (k % 4) - (k & 4u))) >> 28);
#else
    return convert_float16(as_int16(vload16(k / 4, words) << (24u - 8u * (k % 4))) >> 24);
#endif
}

/* Rounded once before it is rounded to bf16, whatever the layout: the reference relies on that. */
CLM_INLINE float16 weight_of(const float16 level, const float16 scale, const float16 minimum)
{
#if HAS_MIN == 0
    return scale * level;
#elif HAS_MIN == 1
    return fma(scale, level, minimum);
#else
    return scale * (level + minimum);
#endif
}

/* 16 rows x 32 columns as a tile B. `groups`: index of the rows' first scales, in tiles of 16. */
CLM_INLINE void expand(__global const uint *words, __global const half *scale,
                       __global const half *minimum, const size_t groups, const int block,
                       uint16 *w)
{
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
        const size_t group = groups + (size_t)GROUP_OF(block, part);
        const float16 s = vload_half16(group, scale);
#if HAS_MIN
        const float16 low = vload_half16(group, minimum);
#else
        const float16 low = 0.0f;
#endif

#pragma unroll
        for (uint i = 0; i < 16 / PARTS; i++) {
            const uint p = (uint)part * (16 / PARTS) + i;

            w[p] = clm_bf16_pair(weight_of(level_of(words, 2 * p), s, low),
                                 weight_of(level_of(words, 2 * p + 1), s, low));
        }
    }
}

/* A tile of sums at y, of which `tokens` x `rows` exist (16 or more: all). One that is not whole
 * goes through `edge`. */
#define WHOLE(tokens, rows) ((tokens) >= 16 && (rows) >= 16)
#define SUM_BEGIN(t, y, tokens, rows)                                                              \
    if (add && WHOLE(tokens, rows)) {                                                              \
        CLM_TILE_LOAD(t, y, ldy);                                                                  \
    } else {                                                                                       \
        CLM_TILE_ZERO(t);                                                                          \
    }
#define SUM_END(t, y, tokens, rows)                                                                \
    if (WHOLE(tokens, rows)) {                                                                     \
        CLM_TILE_STORE(t, y, ldy);                                                                 \
    } else {                                                                                       \
        CLM_TILE_STORE(t, edge, 16);                                                               \
        store_edge(y, edge, tokens, rows, ldy, add);                                               \
    }

CLM_INLINE void store_edge(__global float *y, const float *edge, const int tokens, const int rows,
                           const int ldy, const bool add)
{
    for (int m = 0; m < min(tokens, 16); m++) {
        __global float *to = y + (size_t)m * (size_t)ldy;

        for (int n = 0; n < min(rows, 16); n++) to[n] = edge[m * 16 + n] + (add ? to[n] : 0.0f);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gemm_amx(__global const uint *restrict q, __global const half *restrict scale,
              __global const half *restrict minimum, __global const uint *restrict x,
              __global float *y, const int tokens, const int rows, const int columns,
              const int ldy, const int y_off, const int first)
{
    const int row0 = (int)get_global_id(0) * ROWS, blocks = columns / 32, block0 = first / 32;
    const int n_blocks = min(BLOCKS, blocks - block0);
    const bool add = first > 0;
    uint16 w[BLOCKS * TILES * 16]; /* [block][tile][pair of columns], a word per row */
    float edge[256];

    if (row0 >= rows) return;
    for (int tile = 0; tile < TILES; tile++) {
        const size_t at = (size_t)(row0 / 16 + tile);
        const size_t word = (at * (size_t)blocks + (size_t)block0) * BLOCK_WORDS;

        for (int b = 0; b < n_blocks; b++) {
            uint16 *to = w + (b * TILES + tile) * 16;

            if (row0 + tile * 16 < rows) {
                expand(q + word + (size_t)b * BLOCK_WORDS, scale, minimum,
                       at * (size_t)GROUPS(columns), block0 + b, to);
            } else { /* beyond the matrix: anything that is finite */
                for (int p = 0; p < 16; p++) to[p] = (uint16)(0u);
            }
        }
    }

    CLM_TILES_BEGIN;
    for (int m = 0; m < tokens; m += 32) {
        const size_t panel = ((size_t)(m / 32) * (size_t)blocks + (size_t)block0) * 512;

        for (int tile = 0; tile < TILES && row0 + tile * 16 < rows; tile += 2) {
            const int left = rows - row0 - tile * 16, below = tokens - m;
            __global float *y0 = y + (size_t)m * (size_t)ldy + (size_t)(y_off + row0 + tile * 16);
            __global float *y1 = y0 + (size_t)ldy * 16;
            const uint *b = (const uint *)(w + tile * 16);
            __global const uint *restrict a = x + panel;

            SUM_BEGIN(0, y0, below, left)
            SUM_BEGIN(1, y0 + 16, below, left - 16)
            SUM_BEGIN(2, y1, below - 16, left)
            SUM_BEGIN(3, y1 + 16, below - 16, left - 16)
            for (int i = 0; i < n_blocks; i++) {
                CLM_TILE_LOAD(4, a, 16);
                CLM_TILE_LOAD(6, b, 16);
                CLM_TILE_DOT(0, 4, 6);
                CLM_TILE_LOAD(7, b + 256, 16);
                CLM_TILE_DOT(1, 4, 7);
                CLM_TILE_LOAD(5, a + 256, 16);
                CLM_TILE_DOT(2, 5, 6);
                CLM_TILE_DOT(3, 5, 7);
                a += 512;
                b += TILES * 256;
            }
            SUM_END(0, y0, below, left)
            SUM_END(1, y0 + 16, below, left - 16)
            SUM_END(2, y1, below - 16, left)
            SUM_END(3, y1 + 16, below - 16, left - 16)
        }
    }
    CLM_TILES_END;
}
