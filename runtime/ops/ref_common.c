/* runtime/ops/ref_common.c: what several references need.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include <string.h>

void clm_ref_untouched(clm_case_buffer *buf)
{
    memset(buf->expected, 0xFF, buf->count * clm_elem_bytes(buf->type));
}

float clm_ref_half_to_float(uint16_t h)
{
    const int exponent = (h >> 10) & 31;
    const int mantissa = h & 1023;
    float value;

    if (exponent == 31)
        value = mantissa != 0 ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexpf((float)mantissa, -24);
    else
        value = ldexpf((float)(mantissa + 1024), exponent - 25);
    return (h & 0x8000) != 0 ? -value : value;
}

uint16_t clm_ref_float_to_half(float f)
{
    const uint16_t sign = signbit(f) ? 0x8000 : 0;
    const float a = fabsf(f);
    int exponent;
    float steps;

    if (isnan(f)) return (uint16_t)(sign | 0x7E00);
    if (a >= 65520.0f) return (uint16_t)(sign | 0x7C00); /* half-way to 2^16 rounds up */
    /* Below 2^-14 the spacing stays 2^-24, so the exponent stops there and the leading bit of the
     * mantissa appears or not by itself; a carry out of the mantissa bumps the exponent likewise. */
    frexpf(a, &exponent);
    if (a == 0.0f || exponent < -13) exponent = -13;
    steps = nearbyintf(ldexpf(a, 11 - exponent)); /* default rounding mode: nearest even */
    return (uint16_t)(sign | (unsigned)(((exponent + 13) << 10) + (int)steps));
}

float clm_ref_bf16_to_float(uint16_t h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t clm_ref_float_to_bf16(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    if (isnan(f))
        return (uint16_t)(bits >> 16) | 0x40; /* one whose upper bits are 0 would become infinity */
    /* More than half a step carries, and half of one above an odd number; also into the exponent, which is right. */
    return (uint16_t)((bits + 0x7FFF + (bits >> 16) % 2) >> 16);
}
