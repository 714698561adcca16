/* tests/formats/gptq_layer.h: a small layer as GPTQ packs it, and its elements worked out from what was
 * packed. */
#ifndef CLM_TESTS_FORMATS_GPTQ_LAYER_H
#define CLM_TESTS_FORMATS_GPTQ_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "runtime/formats/tensor.h"

/* A layer of 8 rows and 64 columns, two groups of 32. */
enum { N = 8, K = 64, GROUP = 32 };

typedef struct layer {
    int bits;
    uint8_t q[N][K], zero[2][N]; /* zero as meant: 1 .. 2^bits */
    uint16_t scale[2][N];
    uint32_t g_idx[K];
    uint32_t qweight[K / 4 * N], qzeros[2 * N / 4]; /* room for 8 bits */
} layer;

/* `zero` for all groups and rows; 0: each has its own. */
static void make_layer(layer *l, int bits, int zero)
{
    const uint32_t per_word = 32u / (uint32_t)bits, range = 1u << bits;
    uint32_t random = 1;

    memset(l, 0, sizeof *l);
    l->bits = bits;
    for (uint32_t n = 0; n < N; n++) {
        for (uint32_t k = 0; k < K; k++) {
            random = random * 1664525u + 1013904223u;
            l->q[n][k] = (uint8_t)((random >> 16) % range);
            l->qweight[k / per_word * N + n] |= (uint32_t)l->q[n][k]
                                                << (k % per_word * (uint32_t)bits);
            l->g_idx[k] = (k * 5 + 3) % K / GROUP; /* 32 columns in each group, mixed */
        }
        for (uint32_t g = 0; g < 2; g++) {
            random = random * 1664525u + 1013904223u;
            l->zero[g][n] = zero != 0 ? (uint8_t)zero : (uint8_t)(1 + (random >> 16) % (range - 1));
            l->qzeros[g * N / per_word + n / per_word] |= (uint32_t)(l->zero[g][n] - 1)
                                                          << (n % per_word * (uint32_t)bits);
            l->scale[g][n] = clm_float_to_half(0.01f + 0.003f * (float)(n + g));
        }
    }
}

static clm_gptq gptq_of(const layer *l, bool act)
{
    return (clm_gptq){.bits = l->bits,
                      .group = GROUP,
                      .stride = N,
                      .qweight = (const uint8_t *)l->qweight,
                      .qzeros = (const uint8_t *)l->qzeros,
                      .scales = (const uint8_t *)l->scale,
                      .g_idx = act ? (const uint8_t *)l->g_idx : NULL};
}

/* Columns sorted by g_idx, as a reader keeps them. */
static inline void sort_columns(const layer *l, uint32_t order[K])
{
    size_t at = 0;

    for (uint32_t group = 0; group < 2; group++)
        for (uint32_t k = 0; k < K; k++)
            if (l->g_idx[k] == group) order[at++] = k;
}

/* As it is meant, from the parts before they were packed. */
static inline double element(const layer *l, bool act, size_t n, size_t k)
{
    const size_t g = act ? l->g_idx[k] : k / GROUP;

    return (double)clm_half_to_float(l->scale[g][n]) * (l->q[n][k] - l->zero[g][n]);
}

#endif
