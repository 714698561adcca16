/* runtime/formats/half.h: half precision for loops: without branches and calls, so that compilers turn
 * them into vector instructions. Elsewhere: clm_half_to_float in qtype.h.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_FORMATS_HALF_H
#define CLM_RUNTIME_FORMATS_HALF_H

#include <stdint.h>
#include <string.h>

static inline float clm_float_from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float clm_half_value(uint16_t h)
{
    const uint32_t exponent = (h >> 10) & 0x1fu;
    const uint32_t mantissa = h & 0x3ffu;
    const float subnormal = (float)(int32_t)mantissa * 0x1p-24f; /* exact in float */
    uint32_t bits, small;

    memcpy(&small, &subnormal, sizeof small);
    bits = (exponent == 0x1f ? 0xffu : exponent + 112) << 23 | mantissa << 13;
    bits = exponent == 0 ? small : bits;
    return clm_float_from_bits(bits | (uint32_t)(h & 0x8000u) << 16);
}

#endif
