/* tests/ops/q4_extremes.h: the largest sums that 4-bit weights and int8 activations can have, for gemm_q4 and
 * linear_q4, which may add them in 16 bits (cl/dot.cl).
 */
#ifndef CLM_TESTS_OPS_Q4_EXTREMES_H
#define CLM_TESTS_OPS_Q4_EXTREMES_H

#include <string.h>
#include "tests/ops/op_harness.h"

/* Buffers of both operators, and ways in which signs and levels alternate. */
enum { Q4_EXTREME_Q, Q4_EXTREME_SCALE, Q4_EXTREME_MIN, Q4_EXTREME_X, Q4_EXTREME_XD, Q4_EXTREME_XS };
enum { Q4_EXTREME_COLUMNS = 64, Q4_EXTREME_WAYS = 4 };

/* Whether byte i of a word is high: all, none, the first pair, the second pair. */
static inline bool q4_extreme_high(int way, int i)
{
    return way == 0 || (way == 2 && i < 2) || (way == 3 && i >= 2);
}

/* Fills a case of 16 rows and Q4_EXTREME_COLUMNS columns in groups of 32, with `tokens` in one panel: row n
 * has levels 15 and 0 in way n % 4, token t has 127 and -127 in way (first + t) % 4. */
static inline void q4_extreme_fill(clm_case *c, int tokens, int first)
{
    uint32_t *q = c->bufs[Q4_EXTREME_Q].data;
    uint16_t *scale = c->bufs[Q4_EXTREME_SCALE].data, *min = c->bufs[Q4_EXTREME_MIN].data;
    int8_t *x = c->bufs[Q4_EXTREME_X].data;
    float *d = c->bufs[Q4_EXTREME_XD].data;
    int32_t *sums = c->bufs[Q4_EXTREME_XS].data;

    for (size_t i = 0; i < c->bufs[Q4_EXTREME_Q].count / sizeof *q; i++) { /* counted in bytes */
        q[i] = 0;
        for (int b = 0; b < 4; b++) /* words of 16 rows lie beside each other */
            if (q4_extreme_high((int)(i % 16 % Q4_EXTREME_WAYS), b)) q[i] |= 0xFFu << (8 * b);
    }
    for (size_t i = 0; i < c->bufs[Q4_EXTREME_SCALE].count; i++) scale[i] = 0x3C00; /* 1.0 */
    for (size_t i = 0; i < c->bufs[Q4_EXTREME_MIN].count; i++) min[i] = 0x3800;     /* 0.5 */
    memset(sums, 0, c->bufs[Q4_EXTREME_XS].count * sizeof *sums);
    for (int k = 0; k < Q4_EXTREME_COLUMNS; k++) {
        for (int t = 0; t < tokens; t++) {
            const int way = (first + t) % Q4_EXTREME_WAYS;
            const int8_t value = q4_extreme_high(way, k % 4) ? 127 : -127;

            x[(k / 4 * tokens + t) * 4 + k % 4] = value;
            sums[k / 32 * tokens + t] += value;
            d[k / 32 * tokens + t] = 1.0f;
        }
    }
}

#endif
