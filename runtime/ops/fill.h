/* runtime/ops/fill.h: repeatable test data for the fill() of descriptors.
 *
 * Layer    runtime.
 * Threads  no state besides the caller's generator.
 */
#ifndef CLM_RUNTIME_OPS_FILL_H
#define CLM_RUNTIME_OPS_FILL_H

#include <stddef.h>
#include <stdint.h>

typedef struct clm_random {
    uint64_t state;
} clm_random;

/* A generator whose sequence is decided by `seed`. */
clm_random clm_random_init(uint32_t seed);
/* 32 random bits (SplitMix64, upper half). */
uint32_t clm_random_bits(clm_random *r);
/* Uniform in [lo, hi). */
float clm_random_float(clm_random *r, float lo, float hi);
/* Fills `dst` with `count` values uniform in [lo, hi). */
void clm_random_fill(clm_random *r, float *dst, size_t count, float lo, float hi);

#endif
