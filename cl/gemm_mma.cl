/* gemm_mma.cl: products of a quantised weight matrix with bfloat16 activations of many tokens, for
 * prompts on GPUs with tensor cores.
 *
 *     y[m][y_off + n] = sum_k w[n][k] x[m][k]
 *
 * A group takes 16 RT WARPS_N rows of weights and 8 TT WARPS_T tokens, a warp RT tiles of 16 rows and TT
 * tiles of 8 tokens. Blocks of 32 columns, weights as they are stored, come into local memory STAGES - 1
 * blocks ahead, and become bf16 numbers in registers. What is rounded to bf16: scale, minimum, and
 *     scale * level    scale * level + minimum    scale * (level + minimum)    (HAS_MIN 0, 1, 2)
 * where level is q - 8 (4 bits) or q, which bf16 holds exactly, and level + minimum is rounded on its own.
 *
 * Which columns are k = 0..15 of a product, and which rows its rows, is free, as long as both factors agree:
 * lane (g, t) of cl/mma.cl takes columns 8t..8t+7 of a block, in the order in which nibbles and bytes
 * come out of a word (0 2 4 6, then 1 3 5 7; x is stored in this order), and rows 2g and 2g+1 of a tile,
 * which lie side by side.
 *
 * Reference  clm_ref_gemm_mma() in runtime/ops/ref_gemm_mma.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h.  x: shuffled bfloat16 panels of runtime/ops/act.h.
 *            y: [tokens][ldy] f32, out.
 * Launch     2-D: groups along the tokens, groups along the rows; local 32 WARPS_N WARPS_T, 1.
 * Local      STAGES * STAGE_WORDS words
 * Build      MMA: mma.cl;  FORMAT (4, 8), GROUP, HAS_MIN: the weights'
 * Tunables   RT, TT, WARPS_N, WARPS_T, STAGES: above
 * Limits     rows and tokens: any number.  columns a multiple of 32 and of GROUP.  8 TT WARPS_T a multiple
 *            of 32.
 */
#ifndef RT
#define RT 2
#endif
#ifndef TT
#define TT 4
#endif
#ifndef WARPS_N
#define WARPS_N 1
#endif
#ifndef WARPS_T
#define WARPS_T 1
#endif
#ifndef STAGES
#define STAGES 2
#endif
#ifndef FORMAT
#define FORMAT 4
#endif
#if FORMAT != 4 && FORMAT != 8
#error "gemm_mma: FORMAT must be 4 or 8"
#endif
#if RT < 1 || TT < 1 || WARPS_N < 1 || WARPS_T < 1 || 8 * TT * WARPS_T % 32 != 0 ||                \
    STAGES < 2 || STAGES > 4
#error "gemm_mma: RT, TT, WARPS_N, WARPS_T or STAGES out of range"
#endif
#define ITEMS     (32 * WARPS_N * WARPS_T)
#define MMA_ITEMS ITEMS
#include "mma.cl"
#include "weight_group.cl"

#define PANELS      (8 * TT * WARPS_T / 32) /* of 32 tokens */
#define TILES       (RT * WARPS_N)          /* of 16 rows */
#define PANEL_WORDS 512                     /* of a panel and block */
#define TILE_WORDS  (FORMAT * 16)           /* of a tile and block */
#define SCALE_WORDS 8                       /* of a tile and group */

/* Where a stage has what. */
#define AT_WEIGHTS  (PANELS * PANEL_WORDS)
#define AT_SCALES   (AT_WEIGHTS + TILES * TILE_WORDS)
#define AT_MINIMA   (AT_SCALES + TILES * PARTS * SCALE_WORDS)
#define STAGE_WORDS (AT_MINIMA + (HAS_MIN ? TILES * PARTS * SCALE_WORDS : 0))

/* What a group reads, at its first tile and panel. */
typedef struct inputs {
    __global const uint *q, *scale, *minimum, *x;
    int blocks, groups;
    int last_tile, last_panel; /* what lies behind them is read as they are, and goes nowhere */
} inputs;

CLM_INLINE void copy_scales(__local uint *to, __global const uint *from, const inputs *in,
                            const int block, const int lid)
{
    for (int i = lid; i < TILES * PARTS * 2; i += ITEMS) {
        const int tile = i / (PARTS * 2), half_of = i % 2;
        const size_t group = (size_t)min(tile, in->last_tile) * (size_t)in->groups +
                             (size_t)GROUP_OF(block, i / 2 % PARTS);

        clm_copy16(to + i * 4, from + group * SCALE_WORDS + (size_t)(half_of * 4));
    }
}

CLM_INLINE void copy_block(__local uint *stage, const inputs *in, const int block, const int lid)
{
    CLM_MMA_UNROLL
    for (int i = lid; i < PANELS * PANEL_WORDS / 4; i += ITEMS) {
        const int panel = i / (PANEL_WORDS / 4), at = i % (PANEL_WORDS / 4) * 4;
        const size_t unit = (size_t)min(panel, in->last_panel) * (size_t)in->blocks + (size_t)block;

        clm_copy16(stage + i * 4, in->x + unit * PANEL_WORDS + (size_t)at);
    }
    CLM_MMA_UNROLL
    for (int i = lid; i < TILES * TILE_WORDS / 4; i += ITEMS) {
        const int tile = i / (TILE_WORDS / 4), at = i % (TILE_WORDS / 4) * 4;
        const size_t unit = (size_t)min(tile, in->last_tile) * (size_t)in->blocks + (size_t)block;

        clm_copy16(stage + AT_WEIGHTS + i * 4, in->q + unit * TILE_WORDS + (size_t)at);
    }
    copy_scales(stage + AT_SCALES, in->scale, in, block, lid);
    if (HAS_MIN) copy_scales(stage + AT_MINIMA, in->minimum, in, block, lid);
}

#if STAGES == 2
#define WAIT_FOR 0
#elif STAGES == 3
#define WAIT_FOR 1
#else
#define WAIT_FOR 2
#endif

#define BF16_ONES 0x3f803f80u

/* Columns 8t..8t+7 of a row, as four pairs of levels in the order above. With the bits of 128 in front, a
 * number n below 128 becomes the bf16 number 128 + n. */
#if FORMAT == 4
CLM_INLINE void load_levels(__local const uint *tile, const int t, const int row, uint pair[4])
{
    const uint word = tile[t * 16 + row];

    CLM_MMA_UNROLL
    for (int i = 0; i < 4; i++)
        pair[i] = clm_bf16x2_fma((word >> (4 * i) & 0x000f000fu) | 0x43004300u, BF16_ONES,
                                 0xc308c308u); /* - 136 */
}
#else
/* q + 128 = low + 128 high, with low below 128: (128 + low) - (128 + 128 (1 - high)) is q. */
CLM_INLINE void load_levels(__local const uint *tile, const int t, const int row, uint pair[4])
{
    const uint words[2] = {tile[t * 32 + row], tile[t * 32 + 16 + row]};

    CLM_MMA_UNROLL
    for (int i = 0; i < 4; i++) {
        const uint bytes = words[i % 2] >> (i / 2 * 8);

        pair[i] = clm_bf16x2_fma((bytes & 0x00800080u) | 0x43004300u, 0xbf80bf80u,
                                 (bytes & 0x007f007fu) | 0x43004300u);
    }
}
#endif

/* Half `i` of an array as a bf16 number, twice. */
CLM_INLINE uint bf16_twice(__local const uint *halves, const int i)
{
    const float v = vload_half(i, (__local const half *)halves);

    return clm_bf16x2(v, v);
}

/* The weights of tile `tile` of the stage: a[s] is the factor of product s. */
CLM_INLINE void load_rows(__local const uint *stage, const int tile, const int g, const int t,
                          uint a[2][4])
{
    CLM_MMA_UNROLL
    for (int r = 0; r < 2; r++) {
        const int row = 2 * g + r, at = (tile * PARTS + (PARTS == 1 ? 0 : t / 2)) * 16 + row;
        const uint s = bf16_twice(stage + AT_SCALES, at);
#if HAS_MIN
        const uint low = bf16_twice(stage + AT_MINIMA, at);
#endif
        uint pair[4];

        load_levels(stage + AT_WEIGHTS + tile * TILE_WORDS, t, row, pair);
        CLM_MMA_UNROLL
        for (int i = 0; i < 4; i++) {
#if HAS_MIN == 0
            const uint w = clm_bf16x2_fma(pair[i], s, 0u);
#elif HAS_MIN == 1
            const uint w = clm_bf16x2_fma(pair[i], s, low);
#else
            const uint w = clm_bf16x2_fma(clm_bf16x2_fma(pair[i], BF16_ONES, low), s, 0u);
#endif
            a[i / 2][i % 2 * 2 + r] = w;
        }
    }
}

/* 8 tokens: columns 8t..8t+7 of token g. */
CLM_INLINE void load_tokens(__local const uint *tile, const int g, const int t, uint b[2][2])
{
    const uint4 x = ((__local const uint4 *)tile)[g * 4 + t];

    b[0][0] = x.s0;
    b[0][1] = x.s1;
    b[1][0] = x.s2;
    b[1][1] = x.s3;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void gemm_mma(__global const uint *restrict q, __global const uint *restrict scale,
              __global const uint *restrict minimum, __global const uint *restrict x,
              __global float *restrict y, const int tokens, const int rows, const int columns,
              const int ldy, const int y_off)
{
    __local __attribute__((aligned(16))) uint stages[STAGES * STAGE_WORDS];
    CLM_MMA_LOCAL;
    const int lid = (int)get_local_id(0), warp = lid / 32, g = lid % 32 / 4, t = lid % 4;
    const int warp_n = warp % WARPS_N, warp_t = warp / WARPS_N;
    const int panel0 = (int)get_group_id(0) * PANELS, tile0 = (int)get_group_id(1) * TILES;
    const int blocks = columns / 32;
    inputs in;
    float sum[RT][TT][4];

    in.blocks = blocks;
    in.groups = GROUPS(columns);
    in.last_tile = (rows + 15) / 16 - 1 - tile0;
    in.last_panel = (tokens + 31) / 32 - 1 - panel0;
    in.q = q + (size_t)tile0 * (size_t)blocks * TILE_WORDS;
    in.scale = scale + (size_t)tile0 * (size_t)in.groups * SCALE_WORDS;
    in.minimum = HAS_MIN ? minimum + (size_t)tile0 * (size_t)in.groups * SCALE_WORDS : minimum;
    in.x = x + (size_t)panel0 * (size_t)blocks * PANEL_WORDS;

    CLM_MMA_UNROLL
    for (int r = 0; r < RT; r++) {
        CLM_MMA_UNROLL
        for (int i = 0; i < TT; i++) {
            CLM_MMA_UNROLL
            for (int j = 0; j < 4; j++) sum[r][i][j] = 0.0f;
        }
    }
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < blocks) copy_block(stages + s * STAGE_WORDS, &in, s, lid);
        CLM_COPY_COMMIT;
    }

    for (int block = 0, now = 0, next = STAGES - 1; block < blocks; block++) {
        __local const uint *stage = stages + now * STAGE_WORDS;
        uint a[RT][2][4];

        CLM_COPY_WAIT(WAIT_FOR);
        barrier(CLK_LOCAL_MEM_FENCE); /* the block is here, and nobody reads the one before it */
        if (block + STAGES - 1 < blocks)
            copy_block(stages + next * STAGE_WORDS, &in, block + STAGES - 1, lid);
        CLM_COPY_COMMIT;

        CLM_MMA_UNROLL
        for (int r = 0; r < RT; r++) load_rows(stage, warp_n * RT + r, g, t, a[r]);
        CLM_MMA_UNROLL
        for (int i = 0; i < TT; i++) {
            uint b[2][2];

            load_tokens(stage + (warp_t * TT + i) * 128, g, t, b);
            CLM_MMA_UNROLL
            for (int s = 0; s < 2; s++) {
                CLM_MMA_UNROLL
                for (int r = 0; r < RT; r++) CLM_MMA(sum[r][i], a[r][s], b[s]);
            }
        }
        now = now + 1 < STAGES ? now + 1 : 0;
        next = next + 1 < STAGES ? next + 1 : 0;
    }

    CLM_MMA_UNROLL
    for (int i = 0; i < TT; i++) {
        CLM_MMA_UNROLL
        for (int j = 0; j < 2; j++) {
            const int token = panel0 * 32 + (warp_t * TT + i) * 8 + 2 * t + j;

            CLM_MMA_UNROLL
            for (int r = 0; r < RT; r++) {
                const int row = (tile0 + warp_n * RT + r) * 16 + 2 * g;
                __global float *to = y + (size_t)token * (size_t)ldy + (size_t)(y_off + row);

                if (token < tokens && row < rows) to[0] = sum[r][i][j];
                if (token < tokens && row + 1 < rows) to[1] = sum[r][i][2 + j];
            }
        }
    }
}
