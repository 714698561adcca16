/* runtime/formats/bytes.h: little-endian numbers at any address. Model files promise no alignment,
 * and the host may be big-endian; compilers turn these into single loads.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_FORMATS_BYTES_H
#define CLM_RUNTIME_FORMATS_BYTES_H

#include <stdint.h>
#include "host/vectorise.h"

static inline uint16_t clm_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t clm_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t clm_load_u64(const uint8_t *p)
{
    return (uint64_t)clm_load_u32(p) | (uint64_t)clm_load_u32(p + 4) << 32;
}

CLM_PART void clm_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

#endif
