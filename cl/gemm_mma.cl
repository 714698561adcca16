/* gemm_mma.cl: products of a quantised weight matrix with bfloat16 activations of many tokens, for
 * prompts on GPUs with matrix units (NVIDIA's tensor cores, AMD's WMMA and MFMA, Intel's XMX).
 *
 *     y[m][y_off + n] = sum_k w[n][k] x[m][k]
 *
 * A group takes MMA_ROWS RT WARPS_N rows of weights and MMA_COLUMNS TT WARPS_T tokens, a warp of cl/mma.cl RT
 * times the rows and TT times the columns of its products. Blocks of 32 columns, weights as they are stored, come
 * into local memory STAGES - 1 blocks ahead, and become bf16 numbers in registers. What is rounded to bf16:
 * scale, minimum, and
 *     scale * level    scale * level + minimum    scale * (level + minimum)    (HAS_MIN 0, 1, 2)
 * where level is q - 8 (4 bits) or q, which bf16 holds exactly, and level + minimum is rounded on its own.
 *
 * Which columns are k = 0..15 of a product, and which rows its rows, is free, as long as both factors agree. A
 * block is four units of 8 columns, in the order in which nibbles and bytes come out of a word (0 2 4 6, then
 * 1 3 5 7; x is stored in this order). In each of PASSES a lane takes UNITS of them, UNIT(lane, pass, 0) .., as the
 * k that it holds of PRODUCTS products one behind the other, of LANE_ROWS rows, ROW(lane, 0) ...
 *
 * NVIDIA copies from global to local memory while it calculates; on others a block waits in registers
 * from before the products of another until behind them.
 *
 * Reference  clm_ref_gemm_mma() in runtime/ops/ref_gemm_mma.c
 * Buffers    q, scale, minimum: runtime/ops/weight.h.  x: shuffled bfloat16 panels of runtime/ops/act.h.
 *            y: [tokens][ldy] f32, out.
 * Launch     2-D: groups along the tokens, groups along the rows; local MMA_LANES WARPS_N WARPS_T, 1.
 * Local      STAGES * STAGE_WORDS words
 * Build      MMA, MMA_PLAIN: mma.cl;  FORMAT (4, 8), GROUP, HAS_MIN: the weights'
 * Tunables   RT, TT, WARPS_N, WARPS_T, STAGES: above
 * Limits     rows and tokens: any number.  columns a multiple of 32 and of GROUP.  A group takes a multiple of 16
 *            rows and of 32 tokens.
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
#define MMA_ITEMS (MMA_LANES * WARPS_N * WARPS_T)
#define ITEMS     MMA_ITEMS
#include "mma.cl"
#include "weight_group.cl"

#define TOKENS (MMA_COLUMNS * TT * WARPS_T) /* of a group */
#define ROWS   (MMA_ROWS * RT * WARPS_N)
#if RT < 1 || TT < 1 || WARPS_N < 1 || WARPS_T < 1 || TOKENS % 32 != 0 || ROWS % 16 != 0 ||        \
    STAGES < 2 || STAGES > 4
#error "gemm_mma: RT, TT, WARPS_N, WARPS_T or STAGES out of range"
#endif

/* What a lane takes of a block, see above. Two rows of a lane lie side by side where they are written. */
#if MMA == 1
#define PASSES           1
#define UNITS            1
#define UNIT(lane, p, u) ((lane) % 4)
#define LANE_ROWS        2
#define ROW(lane, r)     ((lane) / 4 * 2 + (r))
#elif MMA == 4
#define PASSES           1
#define UNITS            1
#define UNIT(lane, p, u) ((lane) / 16)
#define LANE_ROWS        1
#define ROW(lane, r)     ((lane) % 16)
#elif MMA == 3
#define PASSES           2
#define UNITS            1
#define UNIT(lane, p, u) ((p) * 2 + (lane) / 16)
#define LANE_ROWS        1
#define ROW(lane, r)     ((lane) % 16)
#else
#define PASSES           2
#define UNITS            2
#define UNIT(lane, p, u) ((p) * 2 + (u))
#define LANE_ROWS        1
#define ROW(lane, r)     ((lane) % MMA_ROWS)
#endif
#define PRODUCTS (2 / PASSES)

#define PANELS      (TOKENS / 32) /* of 32 tokens */
#define TILES       (ROWS / 16)   /* of 16 rows */
#define TILE_WORDS  (FORMAT * 16) /* of a tile and block */
#define SCALE_WORDS 8             /* of a tile and group */

/* Words of a token and block, and from token to token in local memory, where four words of a token, number `i` of
 * a panel, begin at TOKEN_AT(i). Where 16 lanes read four words each of a token of their own, five such units from
 * token to token spread them over the banks. Intel's lanes read a word, or half of one, of each of 8 tokens for
 * a pass: those lie together. */
#define TOKEN_WORDS 16
#if MMA == 1
#define LINE_WORDS  TOKEN_WORDS
#define TOKEN_AT(i) ((i) * 4)
#elif MMA <= 4
#define LINE_WORDS  20
#define TOKEN_AT(i) ((i) / 4 * LINE_WORDS + (i) % 4 * 4)
#else
#define LINE_WORDS  TOKEN_WORDS
#define TOKEN_AT(i) ((i) / 32 * 128 + (i) % 4 / 2 * 64 + (i) / 4 % 8 * 8 + (i) % 2 * 4)
#endif

/* Where a stage has what. */
#define AT_WEIGHTS  (TOKENS * LINE_WORDS)
#define AT_SCALES   (AT_WEIGHTS + TILES * TILE_WORDS)
#define AT_MINIMA   (AT_SCALES + TILES * PARTS * SCALE_WORDS)
#define STAGE_WORDS (AT_MINIMA + (HAS_MIN ? TILES * PARTS * SCALE_WORDS : 0))

/* What a group reads, at its first tile and panel. */
typedef struct inputs {
    __global const uint *q, *scale, *minimum, *x;
    int blocks, groups;
    int last_tile, last_panel; /* what lies behind them is read as they are, and goes nowhere */
} inputs;

/* Copies of 16 bytes of a block, of which each work-item makes its share. NVIDIA's run by themselves. */
#define X_COPIES     (TOKENS * TOKEN_WORDS / 4)
#define Q_COPIES     (TILES * TILE_WORDS / 4)
#define SCALE_COPIES (TILES * PARTS * SCALE_WORDS / 4)
#define SHARE(n)     (((n) + ITEMS - 1) / ITEMS)

typedef struct block_share {
    uint4 x[SHARE(X_COPIES)], q[SHARE(Q_COPIES)], scale[SHARE(SCALE_COPIES)];
    uint4 minimum[SHARE(SCALE_COPIES)];
} block_share;

#if MMA == 1
#define FETCH(kept, to, from) clm_copy16(to, from)
#define PUT(kept, to)         (void)(kept) /* the copy is on its way */
#else
#define FETCH(kept, to, from) (kept) = *(__global const uint4 *)(from)
#define PUT(kept, to)         *(__local uint4 *)(to) = (kept)
#endif

CLM_INLINE void copy_scales(uint4 *kept, __local uint *stage, __global const uint *from,
                            const inputs *in, const int block, const int lid, const int fetch)
{
    CLM_MMA_UNROLL
    for (int n = 0, i = lid; i < SCALE_COPIES; n++, i += ITEMS) {
        const int tile = i / (PARTS * 2), half_of = i % 2;
        const size_t group = (size_t)min(tile, in->last_tile) * (size_t)in->groups +
                             (size_t)GROUP_OF(block, i / 2 % PARTS);
        __local uint *to = stage + i * 4;

        if (fetch)
            FETCH(kept[n], to, from + group * SCALE_WORDS + (size_t)(half_of * 4));
        else
            PUT(kept[n], to);
    }
}

/* Begins the copies of a block to `stage`, or (`fetch` 0) ends them. The loops' bounds depend on the work-item: with
 * a condition in their place PoCL 3.1 stores scales where minima should be. */
CLM_INLINE void copy_block(block_share *kept, __local uint *stage, const inputs *in,
                           const int block, const int lid, const int fetch)
{
    CLM_MMA_UNROLL
    for (int n = 0, i = lid; i < X_COPIES; n++, i += ITEMS) {
        const int panel = i / 128, at = i % 128 * 4;
        const size_t unit = (size_t)min(panel, in->last_panel) * (size_t)in->blocks + (size_t)block;
        __local uint *to = stage + TOKEN_AT(i);

        if (fetch)
            FETCH(kept->x[n], to, in->x + unit * (32 * TOKEN_WORDS) + (size_t)at);
        else
            PUT(kept->x[n], to);
    }
    CLM_MMA_UNROLL
    for (int n = 0, i = lid; i < Q_COPIES; n++, i += ITEMS) {
        const int tile = i / (TILE_WORDS / 4), at = i % (TILE_WORDS / 4) * 4;
        const size_t unit = (size_t)min(tile, in->last_tile) * (size_t)in->blocks + (size_t)block;
        __local uint *to = stage + AT_WEIGHTS + i * 4;

        if (fetch)
            FETCH(kept->q[n], to, in->q + unit * TILE_WORDS + (size_t)at);
        else
            PUT(kept->q[n], to);
    }
    copy_scales(kept->scale, stage + AT_SCALES, in->scale, in, block, lid, fetch);
    if (HAS_MIN) copy_scales(kept->minimum, stage + AT_MINIMA, in->minimum, in, block, lid, fetch);
}

#if STAGES == 2
#define WAIT_FOR 0
#elif STAGES == 3
#define WAIT_FOR 1
#else
#define WAIT_FOR 2
#endif

#if MMA == 1
#define BF16_ONES 0x3f803f80u

/* A unit of a row, as four pairs of levels. With the bits of 128 in front, a number n below 128 becomes the bf16
 * number 128 + n. */
#if FORMAT == 4
CLM_INLINE void load_levels(__local const uint *tile, const int unit, const int row, uint pair[4])
{
    const uint word = tile[unit * 16 + row];

    CLM_MMA_UNROLL
    for (int i = 0; i < 4; i++)
        pair[i] = clm_bf16x2_fma((word >> (4 * i) & 0x000f000fu) | 0x43004300u, BF16_ONES,
                                 0xc308c308u); /* - 136 */
}
#else
/* q + 128 = low + 128 high, with low below 128: (128 + low) - (128 + 128 (1 - high)) is q. */
CLM_INLINE void load_levels(__local const uint *tile, const int unit, const int row, uint pair[4])
{
    const uint words[2] = {tile[unit * 32 + row], tile[unit * 32 + 16 + row]};

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

/* A unit of a row as weights, by arithmetic on pairs. */
CLM_INLINE void load_unit(__local const uint *stage, const int tile, const int unit, const int row,
                          uint pair[4])
{
    const int at = (tile * PARTS + (PARTS == 1 ? 0 : unit / 2)) * 16 + row;
    const uint s = bf16_twice(stage + AT_SCALES, at);
#if HAS_MIN
    const uint low = bf16_twice(stage + AT_MINIMA, at);
#endif

    load_levels(stage + AT_WEIGHTS + tile * TILE_WORDS, unit, row, pair);
    CLM_MMA_UNROLL
    for (int i = 0; i < 4; i++) {
#if HAS_MIN == 0
        pair[i] = clm_bf16x2_fma(pair[i], s, 0u);
#elif HAS_MIN == 1
        pair[i] = clm_bf16x2_fma(pair[i], s, low);
#else
        pair[i] = clm_bf16x2_fma(clm_bf16x2_fma(pair[i], BF16_ONES, low), s, 0u);
#endif
    }
}
#else
/* `v`, and half `i` of an array, rounded to bf16. */
CLM_INLINE float as_bf16(const float v)
{
    const uint bits = as_uint(v);

    return as_float(CLM_BF16_ROUND(bits) & 0xffff0000u);
}

CLM_INLINE float half_as_bf16(__local const uint *halves, const int i)
{
    return as_bf16(vload_half(i, (__local const half *)halves));
}

/* What is added to a level so that it is not negative. */
#define LEVEL_OFFSET (FORMAT == 4 ? 8.0f : 128.0f)

/* The levels of a unit with LEVEL_OFFSET: pair i is components i / 2 and i / 2 + 2 of n[i % 2]. */
CLM_INLINE void load_bytes(__local const uint *tile, const int unit, const int row, uchar4 n[2])
{
#if FORMAT == 4
    const uint word = tile[unit * 16 + row];
    uint even = word & 0x0f0f0f0fu, odd = word >> 4 & 0x0f0f0f0fu;
#else
    uint even = tile[unit * 32 + row] ^ 0x80808080u, odd = tile[unit * 32 + 16 + row] ^ 0x80808080u;
#endif

    CLM_MMA_AS_IS(even);
    CLM_MMA_AS_IS(odd);
    n[0] = as_uchar4(even);
    n[1] = as_uchar4(odd);
}

/* A weight of a level with LEVEL_OFFSET: what it takes as bf16 it has exactly, to be rounded at the end. */
CLM_INLINE float weight_of(const uchar n, const float s, const float low)
{
#if HAS_MIN == 0
    return fma((float)n, s, -LEVEL_OFFSET * s);
#elif HAS_MIN == 1
    return fma((float)n - LEVEL_OFFSET, s, low);
#else
    return as_bf16((float)n - LEVEL_OFFSET + low) * s;
#endif
}

/* A unit of a row as weights, by arithmetic on floats. */
CLM_INLINE void load_unit(__local const uint *stage, const int tile, const int unit, const int row,
                          uint pair[4])
{
    const int at = (tile * PARTS + (PARTS == 1 ? 0 : unit / 2)) * 16 + row;
    const float s = half_as_bf16(stage + AT_SCALES, at);
    const float low = HAS_MIN ? half_as_bf16(stage + AT_MINIMA, at) : 0.0f;
    uchar4 n[2];

    load_bytes(stage + AT_WEIGHTS + tile * TILE_WORDS, unit, row, n);
    CLM_MMA_UNROLL
    for (int i = 0; i < 2; i++) {
        pair[i] = clm_bf16x2(weight_of(n[i].s0, s, low), weight_of(n[i].s2, s, low));
        pair[2 + i] = clm_bf16x2(weight_of(n[i].s1, s, low), weight_of(n[i].s3, s, low));
    }
}
#endif

/* Weights from row `first` of the stage on: a[s] is the factor of product s of a pass. */
CLM_INLINE void load_rows(__local const uint *stage, const int first, const int pass,
                          const int lane, uint a[PRODUCTS][MMA_A_WORDS])
{
    CLM_MMA_UNROLL
    for (int r = 0; r < LANE_ROWS; r++) {
        CLM_MMA_UNROLL
        for (int u = 0; u < UNITS; u++) {
            uint pair[4];

            load_unit(stage, first / 16, UNIT(lane, pass, u), first % 16 + ROW(lane, r), pair);
            CLM_MMA_UNROLL
            for (int i = 0; i < 4; i++) {
                const int at = (4 * u + i) * LANE_ROWS + r;

                a[at / MMA_A_WORDS][at % MMA_A_WORDS] = pair[i];
            }
        }
    }
}

/* MMA_COLUMNS tokens: b[s] is the factor of product s of a pass. */
CLM_INLINE void load_tokens(__local const uint *tokens, const int pass, const int lane,
                            uint b[PRODUCTS][MMA_B_WORDS])
{
#if MMA >= 5
    CLM_MMA_LOAD_B(b[0], tokens + pass * (MMA_COLUMNS * 8), lane);
#else
    __local const uint *line = tokens + MMA_B_COLUMN(lane, 0) * LINE_WORDS;

    CLM_MMA_UNROLL
    for (int u = 0; u < UNITS; u++) {
        const uint4 x = ((__local const uint4 *)line)[UNIT(lane, pass, u)];
        const uint words[4] = {x.s0, x.s1, x.s2, x.s3};

        CLM_MMA_UNROLL
        for (int i = 0; i < 4; i++)
            b[(4 * u + i) / MMA_B_WORDS][(4 * u + i) % MMA_B_WORDS] = words[i];
    }
#endif
}

CLM_MMA_KERNEL
void gemm_mma(__global const uint *restrict q, __global const uint *restrict scale,
              __global const uint *restrict minimum, __global const uint *restrict x,
              __global float *restrict y, const int tokens, const int rows, const int columns,
              const int ldy, const int y_off)
{
    __local __attribute__((aligned(16))) uint stages[STAGES * STAGE_WORDS];
    CLM_MMA_LOCAL;
    const int lid = (int)get_local_id(0), warp = lid / MMA_LANES, lane = lid % MMA_LANES;
    const int warp_n = warp % WARPS_N, warp_t = warp / WARPS_N;
    const int panel0 = (int)get_group_id(0) * PANELS, tile0 = (int)get_group_id(1) * TILES;
    const int row0 = tile0 * (16 / MMA_ROWS) + warp_n * RT; /* of the warp, in MMA_ROWS */
    const int blocks = columns / 32;
    block_share kept;
    inputs in;
    float sum[RT][TT][MMA_C_WORDS];

    in.blocks = blocks;
    in.groups = GROUPS(columns);
    in.last_tile = (rows + 15) / 16 - 1 - tile0;
    in.last_panel = (tokens + 31) / 32 - 1 - panel0;
    in.q = q + (size_t)tile0 * (size_t)blocks * TILE_WORDS;
    in.scale = scale + (size_t)tile0 * (size_t)in.groups * SCALE_WORDS;
    in.minimum = HAS_MIN ? minimum + (size_t)tile0 * (size_t)in.groups * SCALE_WORDS : minimum;
    in.x = x + (size_t)panel0 * (size_t)blocks * (32 * TOKEN_WORDS);

    CLM_MMA_UNROLL
    for (int r = 0; r < RT; r++) {
        CLM_MMA_UNROLL
        for (int i = 0; i < TT; i++) {
            CLM_MMA_UNROLL
            for (int j = 0; j < MMA_C_WORDS; j++) sum[r][i][j] = 0.0f;
        }
    }
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < blocks) {
            copy_block(&kept, stages + s * STAGE_WORDS, &in, s, lid, 1);
            copy_block(&kept, stages + s * STAGE_WORDS, &in, s, lid, 0);
        }
        CLM_COPY_COMMIT;
    }

    for (int block = 0, now = 0, next = STAGES - 1; block < blocks; block++) {
        __local const uint *stage = stages + now * STAGE_WORDS;
        const int ahead = block + STAGES - 1;

        CLM_COPY_WAIT(WAIT_FOR);
        barrier(CLK_LOCAL_MEM_FENCE); /* the block is here, and nobody reads the one before it */
        if (ahead < blocks) copy_block(&kept, stages + next * STAGE_WORDS, &in, ahead, lid, 1);
        CLM_COPY_COMMIT;

        CLM_MMA_UNROLL
        for (int pass = 0; pass < PASSES; pass++) {
            uint a[RT][PRODUCTS][MMA_A_WORDS];

            CLM_MMA_UNROLL
            for (int r = 0; r < RT; r++)
                load_rows(stage, (warp_n * RT + r) * MMA_ROWS, pass, lane, a[r]);
            CLM_MMA_UNROLL
            for (int i = 0; i < TT; i++) {
                uint b[PRODUCTS][MMA_B_WORDS];

                load_tokens(stage + (warp_t * TT + i) * MMA_COLUMNS * LINE_WORDS, pass, lane, b);
                CLM_MMA_UNROLL
                for (int s = 0; s < PRODUCTS; s++) {
                    CLM_MMA_UNROLL
                    for (int r = 0; r < RT; r++) CLM_MMA(sum[r][i], a[r][s], b[s]);
                }
            }
        }
        if (ahead < blocks) copy_block(&kept, stages + next * STAGE_WORDS, &in, ahead, lid, 0);
        now = now + 1 < STAGES ? now + 1 : 0;
        next = next + 1 < STAGES ? next + 1 : 0;
    }

    CLM_MMA_UNROLL
    for (int i = 0; i < TT; i++) {
        CLM_MMA_UNROLL
        for (int j = 0; j < MMA_C_WORDS / LANE_ROWS; j++) {
            const int token = panel0 * 32 + (warp_t * TT + i) * MMA_COLUMNS + MMA_C_COLUMN(lane, j);

            CLM_MMA_UNROLL
            for (int r = 0; r < RT; r++) {
                const int row = (row0 + r) * MMA_ROWS + ROW(lane, 0);
                __global float *to = y + (size_t)token * (size_t)ldy + (size_t)(y_off + row);

                CLM_MMA_UNROLL
                for (int n = 0; n < LANE_ROWS; n++)
                    if (token < tokens && row + n < rows)
                        to[n] = sum[r][i][n * (MMA_C_WORDS / LANE_ROWS) + j];
            }
        }
    }
}
