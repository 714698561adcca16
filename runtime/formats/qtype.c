/* qtype.c: the table of element types, half precision, and the block layouts of GGUF.
 *
 * Every block is first split into integers, scales and minima, from which the floats follow. The
 * products are exact in float (a scale has at most 18 significant bits, an integer at most 6, and
 * a Q8_0 scale 11 and an integer 8), so this gives the floats of the format's definition to the
 * last bit, in any order of evaluation.
 */
#include "runtime/formats/qtype.h"

#include <string.h>
#include <strings.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/half.h"

enum { CLM_BLOCK = 32, CLM_INT4_BLOCK = 64, CLM_SUPER_BLOCK = 256, CLM_Q6_GROUP = 16 };

static const clm_qtype_info k_qtype_infos[] = {
    {CLM_QTYPE_F32, "F32", 1, 4},       {CLM_QTYPE_F16, "F16", 1, 2},
    {CLM_QTYPE_BF16, "BF16", 1, 2},     {CLM_QTYPE_Q4_0, "Q4_0", 32, 18},
    {CLM_QTYPE_Q4_1, "Q4_1", 32, 20},   {CLM_QTYPE_Q5_0, "Q5_0", 32, 22},
    {CLM_QTYPE_Q5_1, "Q5_1", 32, 24},   {CLM_QTYPE_Q8_0, "Q8_0", 32, 34},
    {CLM_QTYPE_Q4_K, "Q4_K", 256, 144}, {CLM_QTYPE_Q5_K, "Q5_K", 256, 176},
    {CLM_QTYPE_Q6_K, "Q6_K", 256, 210}, {CLM_QTYPE_INT4, "INT4", 64, 36},
};

/* Names of the numbers that GGUF has given to types so far, withdrawn ones included. */
static const char *const k_qtype_names[] = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
};

static const clm_qtype_split clm_split_4 = {4, 32, 0, 8};
static const clm_qtype_split clm_split_4_min = {4, 32, 1, 8};
static const clm_qtype_split clm_split_8 = {8, 32, 0, 0};
static const clm_qtype_split clm_split_8_min = {8, 32, 1, 16};
static const clm_qtype_split clm_split_q6 = {8, 16, 0, 0};
static const clm_qtype_split clm_split_int4 = {4, 64, 1, 0};

const clm_qtype_info *clm_qtype_info_get(uint32_t type)
{
    for (size_t i = 0; i < sizeof k_qtype_infos / sizeof k_qtype_infos[0]; i++) {
        if ((uint32_t)k_qtype_infos[i].type == type) return &k_qtype_infos[i];
    }
    return NULL;
}

const clm_qtype_info *clm_qtype_info_find(const char *name)
{
    for (size_t i = 0; i < sizeof k_qtype_infos / sizeof k_qtype_infos[0]; i++) {
        if (strcasecmp(k_qtype_infos[i].name, name) == 0) return &k_qtype_infos[i];
    }
    return NULL;
}

const char *clm_qtype_name(uint32_t type)
{
    if (type == CLM_QTYPE_INT4) return "INT4";
    if (type >= sizeof k_qtype_names / sizeof k_qtype_names[0]) return "unknown";
    return k_qtype_names[type];
}

size_t clm_qtype_bytes(clm_qtype type, size_t count)
{
    const clm_qtype_info *info = clm_qtype_info_get((uint32_t)type);

    return info == NULL ? 0 : count / info->block_elems * info->block_bytes;
}

const clm_qtype_split *clm_qtype_split_get(clm_qtype type)
{
    switch (type) {
    case CLM_QTYPE_Q4_0:
        return &clm_split_4;
    case CLM_QTYPE_Q4_1:
    case CLM_QTYPE_Q4_K:
        return &clm_split_4_min;
    case CLM_QTYPE_Q5_0:
    case CLM_QTYPE_Q8_0:
        return &clm_split_8;
    case CLM_QTYPE_Q5_1:
    case CLM_QTYPE_Q5_K:
        return &clm_split_8_min;
    case CLM_QTYPE_Q6_K:
        return &clm_split_q6;
    case CLM_QTYPE_INT4:
        return &clm_split_int4;
    case CLM_QTYPE_F32:
    case CLM_QTYPE_F16:
    case CLM_QTYPE_BF16:
        break;
    }
    return NULL;
}

/* ---- Half precision ------------------------------------------------------------------------ */

float clm_half_to_float(uint16_t h)
{
    return clm_half_value(h);
}

uint16_t clm_float_to_half(float f)
{
    return clm_half_nearest(f);
}

static float load_half(const uint8_t *p)
{
    return clm_half_to_float(clm_load_u16(p));
}

/* ---- Small blocks -------------------------------------------------------------------------- */

/* Low nibbles are the first half of `count` elements, high nibbles the second. */
static void unpack_nibbles(const uint8_t *src, size_t count, int offset, int8_t *q)
{
    for (size_t i = 0; i < count / 2; i++) {
        q[i] = (int8_t)((src[i] & 0x0f) - offset);
        q[i + count / 2] = (int8_t)((src[i] >> 4) - offset);
    }
}

/* The same with a fifth bit for element i in bit i of the 32-bit word at `high`. */
static void unpack_fives(const uint8_t *high, const uint8_t *src, int8_t *q)
{
    const uint32_t bits = clm_load_u32(high);

    unpack_nibbles(src, CLM_BLOCK, 0, q);
    for (size_t i = 0; i < CLM_BLOCK; i++) q[i] = (int8_t)(q[i] | (int8_t)((bits >> i & 1u) << 4));
}

static void unpack_small(clm_qtype type, const uint8_t *src, int8_t *q, float *scale, float *min)
{
    *scale = load_half(src);
    *min = 0.0f;
    switch (type) {
    case CLM_QTYPE_Q4_0:
        *min = -8.0f * *scale;
        unpack_nibbles(src + 2, CLM_BLOCK, 0, q);
        break;
    case CLM_QTYPE_Q4_1:
        *min = load_half(src + 2);
        unpack_nibbles(src + 4, CLM_BLOCK, 0, q);
        break;
    case CLM_QTYPE_INT4:
        *min = load_half(src + 2);
        unpack_nibbles(src + 4, CLM_INT4_BLOCK, 8, q);
        break;
    case CLM_QTYPE_Q5_0:
        unpack_fives(src + 2, src + 6, q);
        for (size_t i = 0; i < CLM_BLOCK; i++) q[i] = (int8_t)(q[i] - 16);
        break;
    case CLM_QTYPE_Q5_1:
        *min = load_half(src + 2);
        unpack_fives(src + 4, src + 8, q);
        break;
    default: /* Q8_0 */
        memcpy(q, src + 2, CLM_BLOCK);
        break;
    }
}

/* ---- Blocks of 256 ------------------------------------------------------------------------- */

/* Eight pairs of 6-bit factors in 12 bytes: pairs 0..3 in the low bits of bytes 0..3 (scales) and
 * 4..7 (minima); pairs 4..7 have 4 bits in bytes 8..11 and 2 in the top bits of the first eight. */
static void unpack_factors(const uint8_t *src, uint8_t scale[8], uint8_t min[8])
{
    for (size_t i = 0; i < 4; i++) {
        scale[i] = src[i] & 63;
        min[i] = src[i + 4] & 63;
        scale[i + 4] = (uint8_t)((src[i + 8] & 0x0f) | (src[i] >> 6) << 4);
        min[i + 4] = (uint8_t)((src[i + 8] >> 4) | (src[i + 4] >> 6) << 4);
    }
}

/* Q4_K and Q5_K: groups 2c and 2c + 1 are the low and high nibbles of 32 bytes; the fifth bit of
 * element i of group g is bit g of byte i of `high` (NULL: there is none). */
static void unpack_k45(const uint8_t *src, const uint8_t *high, const uint8_t *nibbles, int8_t *q,
                       float *scale, float *min)
{
    const float d = load_half(src);
    const float d_min = load_half(src + 2);
    uint8_t scale_factor[8], min_factor[8];

    unpack_factors(src + 4, scale_factor, min_factor);
    for (size_t g = 0; g < 8; g++) {
        const uint8_t *bytes = nibbles + g / 2 * CLM_BLOCK;
        int8_t *group = q + g * CLM_BLOCK;

        scale[g] = d * (float)scale_factor[g];
        min[g] = -(d_min * (float)min_factor[g]);
        for (size_t i = 0; i < CLM_BLOCK; i++) {
            group[i] = (int8_t)(g % 2 == 0 ? bytes[i] & 0x0f : bytes[i] >> 4);
        }
        if (high == NULL) continue;
        for (size_t i = 0; i < CLM_BLOCK; i++) {
            group[i] = (int8_t)(group[i] | (high[i] >> g & 1) << 4);
        }
    }
}

/* Q6_K: two halves of 128 elements. In a half, run r of 32 elements takes its low nibbles from
 * bytes 0..31 (r even) or 32..63 (r odd), low half of the byte for r < 2, and its upper two bits
 * from bits 2r, 2r + 1 of 32 bytes. */
static void unpack_q6(const uint8_t *src, int8_t *q, float *scale, float *min)
{
    const uint8_t *scales = src + 192;
    const float d = load_half(src + 208);

    for (size_t half = 0; half < 2; half++) {
        const uint8_t *low = src + half * 64;
        const uint8_t *high = src + 128 + half * 32;

        for (size_t r = 0; r < 4; r++) {
            const uint8_t *bytes = low + r % 2 * CLM_BLOCK;
            int8_t *run = q + half * 128 + r * CLM_BLOCK;

            for (size_t i = 0; i < CLM_BLOCK; i++) {
                const int nibble = r < 2 ? bytes[i] & 0x0f : bytes[i] >> 4;
                run[i] = (int8_t)((nibble | (high[i] >> (2 * r) & 3) << 4) - 32);
            }
        }
    }
    for (size_t g = 0; g < CLM_SUPER_BLOCK / CLM_Q6_GROUP; g++) {
        scale[g] = d * (float)(int8_t)scales[g];
        min[g] = 0.0f;
    }
}

/* One block of any quantised type. */
static void unpack_block(clm_qtype type, const uint8_t *src, int8_t *q, float *scale, float *min)
{
    switch (type) {
    case CLM_QTYPE_Q4_K:
        unpack_k45(src, NULL, src + 16, q, scale, min);
        break;
    case CLM_QTYPE_Q5_K:
        unpack_k45(src, src + 16, src + 48, q, scale, min);
        break;
    case CLM_QTYPE_Q6_K:
        unpack_q6(src, q, scale, min);
        break;
    default:
        unpack_small(type, src, q, scale, min);
        break;
    }
}

void clm_qtype_unpack(clm_qtype type, const void *src, size_t count, int8_t *q, float *scale,
                      float *min)
{
    const clm_qtype_info *info = clm_qtype_info_get((uint32_t)type);
    const clm_qtype_split *split = clm_qtype_split_get(type);
    const uint8_t *bytes = src;

    if (info == NULL || split == NULL) return;
    for (size_t b = 0; b < count / info->block_elems; b++) {
        const size_t groups = info->block_elems / split->group;

        unpack_block(type, bytes + b * info->block_bytes, q + b * info->block_elems,
                     scale + b * groups, min + b * groups);
    }
}

/* ---- Floats -------------------------------------------------------------------------------- */

CLM_VECTORISED static void read_halves(const uint8_t *src, size_t count, float *dst)
{
    for (size_t i = 0; i < count; i++) dst[i] = clm_half_value(clm_load_u16(src + 2 * i));
}

static void dequantize_plain(clm_qtype type, const uint8_t *src, size_t count, float *dst)
{
    if (type == CLM_QTYPE_F32) {
        for (size_t i = 0; i < count; i++) dst[i] = clm_float_from_bits(clm_load_u32(src + 4 * i));
    } else if (type == CLM_QTYPE_F16) {
        read_halves(src, count, dst);
    } else {
        for (size_t i = 0; i < count; i++)
            dst[i] = clm_float_from_bits((uint32_t)clm_load_u16(src + 2 * i) << 16);
    }
}

void clm_qtype_dequantize(clm_qtype type, const void *src, size_t count, float *dst)
{
    const clm_qtype_info *info = clm_qtype_info_get((uint32_t)type);
    const clm_qtype_split *split = clm_qtype_split_get(type);
    int8_t q[CLM_SUPER_BLOCK];
    float scale[CLM_SUPER_BLOCK / CLM_Q6_GROUP], min[CLM_SUPER_BLOCK / CLM_Q6_GROUP];

    if (info == NULL) return;
    if (split == NULL) {
        dequantize_plain(type, src, count, dst);
        return;
    }
    /* Q4_0 is defined as scale * (q - 8): the same floats, and no NaN when the scale is infinite. */
    const int offset = type == CLM_QTYPE_Q4_0 ? 8 : 0;
    const uint8_t *bytes = src;
    for (size_t b = 0; b < count / info->block_elems; b++, bytes += info->block_bytes) {
        unpack_block(type, bytes, q, scale, min);
        for (size_t g = 0; g < info->block_elems / split->group; g++) {
            const float group_min = offset != 0 ? 0.0f : min[g];

            for (size_t i = g * split->group; i < (g + 1) * split->group; i++) {
                *dst++ = scale[g] * (float)(q[i] - offset) + group_min;
            }
        }
    }
}
