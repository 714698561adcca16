/* runtime/ops/fill.c: see fill.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/fill.h"

clm_random clm_random_init(uint32_t seed)
{
    return (clm_random){.state = (uint64_t)seed * 0x9E3779B97F4A7C15u + 1u};
}

uint32_t clm_random_bits(clm_random *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

float clm_random_float(clm_random *r, float lo, float hi)
{
    const float unit = (float)(clm_random_bits(r) >> 8) * (1.0f / 16777216.0f);

    return lo + (hi - lo) * unit;
}

void clm_random_fill(clm_random *r, float *dst, size_t count, float lo, float hi)
{
    for (size_t i = 0; i < count; i++) dst[i] = clm_random_float(r, lo, hi);
}
