/* gemm_amx.cl: products of a quantised weight matrix with bfloat16 activations of many tokens, for
 * prompts on processors with tile instructions.
 *
 *     y[m][y_off + n] = sum_k bf16(w[n][k]) x[m][k]
 *
 * A launch takes CHUNK columns of the matrix, first <= k < first + CHUNK, so that the activations of a prompt
 * for these columns stay in the second-level cache (512 tokens x 1,280 columns: 1.3 MB) while all rows
 * go by. A work-item has 32 rows. It turns PART columns of their weights into bf16, scale and minimum
 * multiplied out, and uses them for all tokens before it goes on to the next ones: with 32 x PART weights in
 * the first-level cache, only the activations come from the second, half of what is loaded. 32 x 32 sums in
 * four tiles take four products and four loads per 32 columns. Between parts, and between launches, the sums
 * lie in `sums` as tiles, in one piece: rows of y are far apart, each in a page of its own.
 *
 * Reference  clm_ref_gemm_amx() in runtime/ops/ref_gemm_amx.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h.  x: bfloat16 panels of runtime/ops/act.h.
 *            y: [tokens][ldy] f32, written by the launch that takes the last column.
 *            sums: [ceil(rows / 32)][ceil(tokens / 32)][4][16 tokens][16 rows] f32, tiles of tokens 0 to 15 by
 *            rows 0 to 15, by rows 16 to 31, of tokens 16 to 31 by the same; in unless first is 0, out; of no
 *            use behind the last column.
 * Launch     1-D: a work-item per 32 rows, local 1.
 * Build      AMX: amx.cl;  FORMAT (4, 8), GROUP, HAS_MIN: the weights';  CHUNK columns of a launch
 * Tunables   PART  columns expanded at once: 32 x PART x 2 bytes of private memory
 *            CVT   amx.cl
 * Limits     rows and tokens: any number.  columns, first, CHUNK, PART multiples of 32, columns of GROUP.
 */
#include "amx.cl"
#include "weight_group.cl"

#ifndef FORMAT
#define FORMAT 4
#endif
#ifndef CHUNK
#define CHUNK 64
#endif
#ifndef PART
#define PART 32
#endif
#if FORMAT != 4 && FORMAT != 8
#error "gemm_amx: FORMAT must be 4 or 8"
#endif
#if FORMAT == 4 && PARTS != 1
#error "gemm_amx: GROUP 16 is for 8-bit weights"
#endif
#if CHUNK < 32 || CHUNK % 32 != 0 || PART < 32 || PART % 32 != 0
#error "gemm_amx: CHUNK and PART must be multiples of 32"
#endif

#define BLOCKS      (CHUNK / 32)
#define PART_BLOCKS (PART < CHUNK ? PART / 32 : BLOCKS)
#define BLOCK_WORDS (FORMAT * 16) /* of a tile of 16 rows: 32 columns */
#define TILE        256           /* sums */

/* Helpers have no `restrict`: Oclgrind 21.10 does not know what becomes of it when they are inlined. */

/* q (centred) of element k of a block, in 16 rows. */
CLM_INLINE float16 level_of(__global const uint *words, const uint k)
{
#if FORMAT == 4 && CVT
    const float16 levels = (float16)(-8.0f, -7.0f, -6.0f, -5.0f, -4.0f, -3.0f, -2.0f, -1.0f, 0.0f,
                                     1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f);
    const uint16 at = vload16(k / 8, words) >> (8u * (k % 4) + (k & 4u));

    return clm_tile_look_up(levels, at);
#elif FORMAT == 4
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

            w[p] = clm_tile_pair(weight_of(level_of(words, 2 * p), s, low),
                                 weight_of(level_of(words, 2 * p + 1), s, low));
        }
    }
}

/* A tile of sums goes to y, where `tokens` x `rows` of it exist (16 or more: all). */
#define STORE_OUT(t, y, tokens, rows)                                                              \
    if ((tokens) >= 16 && (rows) >= 16) {                                                          \
        CLM_TILE_STORE(t, y, ldy);                                                                 \
    } else {                                                                                       \
        CLM_TILE_STORE(t, edge, 16);                                                               \
        store_edge(y, edge, tokens, rows, ldy);                                                    \
    }

CLM_INLINE void store_edge(__global float *y, const float *edge, const int tokens, const int rows,
                           const int ldy)
{
    for (int m = 0; m < min(tokens, 16); m++)
        for (int n = 0; n < min(rows, 16); n++) y[(size_t)m * (size_t)ldy + n] = edge[m * 16 + n];
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gemm_amx(__global const uint *restrict q, __global const half *restrict scale,
              __global const half *restrict minimum, __global const uint *restrict x,
              __global float *y, __global float *sums, const int tokens, const int rows,
              const int columns, const int ldy, const int y_off, const int first)
{
    const int row0 = (int)get_global_id(0) * 32, left = rows - row0;
    const int blocks = columns / 32, block0 = first / 32, panels = (tokens + 31) / 32;
    const int end = min(block0 + BLOCKS, blocks);
    uint16 w[PART_BLOCKS * 2 * 16]; /* [block][tile][pair of columns], a word per row */
    float edge[TILE];

    if (left <= 0) return;
    CLM_TILES_BEGIN;
    for (int block = block0; block < end; block += PART_BLOCKS) {
        const int n = min(PART_BLOCKS, end - block);
        const bool begin = block == 0, done = block + n == blocks;

        for (int tile = 0; tile < 2; tile++) {
            const size_t at = (size_t)(row0 / 16 + tile);

            for (int i = 0; i < n; i++) {
                uint16 *to = w + (i * 2 + tile) * 16;

                if (tile * 16 < left) {
                    expand(q + (at * (size_t)blocks + (size_t)(block + i)) * BLOCK_WORDS, scale,
                           minimum, at * (size_t)GROUPS(columns), block + i, to);
                } else { /* beyond the matrix: anything that is finite */
                    for (int p = 0; p < 16; p++) to[p] = (uint16)(0u);
                }
            }
        }
        for (int panel = 0; panel < panels; panel++) {
            const int below = tokens - panel * 32;
            const size_t at = get_global_id(0) * (size_t)panels + (size_t)panel;
            __global float *sum = sums + at * 4 * TILE;
            __global const uint *restrict a =
                x + ((size_t)panel * (size_t)blocks + (size_t)block) * 512;
            const uint *b = (const uint *)w;

            if (begin) {
                CLM_TILE_ZERO(0);
                CLM_TILE_ZERO(1);
                CLM_TILE_ZERO(2);
                CLM_TILE_ZERO(3);
            } else {
                CLM_TILE_LOAD(0, sum, 16);
                CLM_TILE_LOAD(1, sum + TILE, 16);
                CLM_TILE_LOAD(2, sum + 2 * TILE, 16);
                CLM_TILE_LOAD(3, sum + 3 * TILE, 16);
            }
            for (int i = 0; i < n; i++) {
                CLM_TILE_LOAD(4, a, 16);
                CLM_TILE_LOAD(6, b, 16);
                CLM_TILE_DOT(0, 4, 6);
                CLM_TILE_LOAD(7, b + 256, 16);
                CLM_TILE_DOT(1, 4, 7);
                CLM_TILE_LOAD(5, a + 256, 16);
                CLM_TILE_DOT(2, 5, 6);
                CLM_TILE_DOT(3, 5, 7);
                a += 512;
                b += 512;
            }
            if (done) {
                __global float *to = y + (size_t)(panel * 32) * (size_t)ldy + (size_t)(y_off + row0);
                __global float *lower = to + (size_t)ldy * 16;

                STORE_OUT(0, to, below, left)
                STORE_OUT(1, to + 16, below, left - 16)
                STORE_OUT(2, lower, below - 16, left)
                STORE_OUT(3, lower + 16, below - 16, left - 16)
            } else {
                CLM_TILE_STORE(0, sum, 16);
                CLM_TILE_STORE(1, sum + TILE, 16);
                CLM_TILE_STORE(2, sum + 2 * TILE, 16);
                CLM_TILE_STORE(3, sum + 3 * TILE, 16);
            }
        }
    }
    CLM_TILES_END;
}
