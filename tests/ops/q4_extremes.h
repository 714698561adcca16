/* tests/ops/q4_extremes.h: the largest sums that 4-bit weights and int8 activations can have, for gemm_q4 and
 * linear_q4, which may add them in 16 bits (cl/dot.cl).
 */
#ifndef CLM_TESTS_OPS_Q4_EXTREMES_H
#define CLM_TESTS_OPS_Q4_EXTREMES_H

#include <string.h>
#include "runtime/ops/act.h"
#include "runtime/ops/op_gemm.h"
#include "runtime/ops/op_linear.h"
#include "runtime/ops/weight.h"
#include "tests/ops/op_harness.h"

/* WAYS in which signs and levels alternate. */
enum { Q4_EXTREME_COLUMNS = 64, Q4_EXTREME_WAYS = 4 };

_Static_assert((int)CLM_GEMM_Q == (int)CLM_LINEAR_Q &&
                   (int)CLM_GEMM_SCALE == (int)CLM_LINEAR_SCALE &&
                   (int)CLM_GEMM_MIN == (int)CLM_LINEAR_MIN &&
                   (int)CLM_GEMM_X == (int)CLM_LINEAR_X && (int)CLM_GEMM_XD == (int)CLM_LINEAR_XD &&
                   (int)CLM_GEMM_XS == (int)CLM_LINEAR_XS,
               "both operators have the same inputs");

/* Whether byte i of a word is high: all, none, the first pair, the second pair. */
static inline bool q4_extreme_high(int way, int i)
{
    return way == 0 || (way == 2 && i < 2) || (way == 3 && i >= 2);
}

/* Fills a case of 16 rows and Q4_EXTREME_COLUMNS columns in groups of 32, with `tokens` in one panel: row n
 * has levels 15 and 0 in way n % 4, token t has 127 and -127 in way (first + t) % 4. */
static inline void q4_extreme_fill(clm_case *c, int tokens, int first)
{
    uint32_t *q = c->bufs[CLM_GEMM_Q].data;
    uint16_t *scale = c->bufs[CLM_GEMM_SCALE].data, *min = c->bufs[CLM_GEMM_MIN].data;
    int8_t *x = c->bufs[CLM_GEMM_X].data;
    float *d = c->bufs[CLM_GEMM_XD].data;
    int32_t *sums = c->bufs[CLM_GEMM_XS].data;

    for (size_t i = 0; i < c->bufs[CLM_GEMM_Q].count / sizeof *q; i++) { /* counted in bytes */
        q[i] = 0;
        for (int b = 0; b < 4; b++) /* words of a tile's rows lie side by side */
            if (q4_extreme_high((int)(i % CLM_TILE_ROWS % Q4_EXTREME_WAYS), b))
                q[i] |= 0xFFu << (8 * b);
    }
    for (size_t i = 0; i < c->bufs[CLM_GEMM_SCALE].count; i++) scale[i] = 0x3C00; /* 1.0 */
    for (size_t i = 0; i < c->bufs[CLM_GEMM_MIN].count; i++) min[i] = 0x3800;     /* 0.5 */
    for (size_t i = 0; i < c->bufs[CLM_GEMM_XD].count; i++) d[i] = 1.0f;
    memset(sums, 0, c->bufs[CLM_GEMM_XS].count * sizeof *sums);
    for (int k = 0; k < Q4_EXTREME_COLUMNS; k++) {
        for (int t = 0; t < tokens; t++) {
            const int way = (first + t) % Q4_EXTREME_WAYS;
            const int8_t value = q4_extreme_high(way, k % 4) ? 127 : -127;

            x[(k / 4 * tokens + t) * 4 + k % 4] = value;
            sums[k / CLM_ACT_GROUP * tokens + t] += value;
        }
    }
}

#endif
