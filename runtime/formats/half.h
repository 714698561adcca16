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

CLM_PART float clm_half_value(uint16_t h)
{
    const uint32_t exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
    const uint32_t wide = exponent + 112 + 112 * (exponent == 0x1f); /* 31 becomes 255 */
    const uint32_t normal = wide << 23 | mantissa << 13;
    const float small =
        (float)(int32_t)mantissa * 0x1p-24f; /* exact, also where it is not needed */
    const uint32_t is_small = 0u - (uint32_t)(exponent == 0);
    uint32_t subnormal;

    memcpy(&subnormal, &small, sizeof subnormal);
    return clm_float_from_bits((subnormal & is_small) | (normal & ~is_small) |
                               (uint32_t)(h & 0x8000u) << 16);
}

#endif
