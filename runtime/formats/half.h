/* runtime/formats/half.h: half precision for loops: without branches and calls, so that compilers turn
 * them into vector instructions. Elsewhere: clm_half_to_float in qtype.h.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_FORMATS_HALF_H
#define CLM_RUNTIME_FORMATS_HALF_H

#include <stdint.h>
#include <string.h>

#include "host/vectorise.h"

CLM_PART float clm_float_from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

CLM_PART uint32_t clm_float_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

CLM_PART float clm_half_value(uint16_t h)
{
    const uint32_t exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
    const uint32_t wide = exponent + 112 + 112 * (exponent == 0x1f); /* 31 becomes 255 */
    const uint32_t normal = wide << 23 | mantissa << 13;
    const float small =
        (float)(int32_t)mantissa * 0x1p-24f; /* exact, also where it is not needed */
    const uint32_t is_small = 0u - (uint32_t)(exponent == 0);

    return clm_float_from_bits((clm_float_bits(small) & is_small) | (normal & ~is_small) |
                               (uint32_t)(h & 0x8000u) << 16);
}

/* To the nearest half, ties to even; infinity from 65520 on; a NaN stays one and becomes quiet. */
CLM_PART uint16_t clm_half_nearest(float f)
{
    const uint32_t bits = clm_float_bits(f), magnitude = bits & 0x7fffffffu;
    const uint32_t odd = magnitude >> 13 & 1u;
    const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + odd) >> 13;
    /* From 0.5 on floats have the subnormals' spacing, so the addition rounds to it. */
    const uint32_t small = magnitude < 0x38800000u ? magnitude : 0u;
    const uint32_t subnormal = clm_float_bits(clm_float_from_bits(small) + 0.5f) - 0x3f000000u;
    const uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x1ffu);
    uint32_t h = magnitude < 0x38800000u ? subnormal : normal;

    h = magnitude >= 0x477ff000u ? 0x7c00u : h;
    h = magnitude > 0x7f800000u ? nan : h;
    return (uint16_t)(h | (bits >> 16 & 0x8000u));
}

#endif
