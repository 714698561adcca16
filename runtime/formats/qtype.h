/* runtime/formats/qtype.h: element types of weights in model files, and how to read them.
 *
 * Layer    runtime. Plain C, no device.
 * Source   the GGUF specification and ggml's block definitions (numbers are GGUF's).
 */
#ifndef CLM_RUNTIME_FORMATS_QTYPE_H
#define CLM_RUNTIME_FORMATS_QTYPE_H

#include <stddef.h>
#include <stdint.h>

typedef enum clm_qtype {
    CLM_QTYPE_F32 = 0,
    CLM_QTYPE_F16 = 1,
    CLM_QTYPE_Q4_0 = 2,
    CLM_QTYPE_Q4_1 = 3,
    CLM_QTYPE_Q5_0 = 6,
    CLM_QTYPE_Q5_1 = 7,
    CLM_QTYPE_Q8_0 = 8,
    CLM_QTYPE_Q4_K = 12,
    CLM_QTYPE_Q5_K = 13,
    CLM_QTYPE_Q6_K = 14,
    CLM_QTYPE_BF16 = 30,
    /* clm's own, far from the numbers that ggml gives out, so that other programs refuse it: 64
     * elements in 36 bytes, an fp16 scale, an fp16 minimum, and 32 bytes with element i in the low
     * and element i + 32 in the high half of byte i. value = scale * (q - 8) + min, q 0..15. */
    CLM_QTYPE_INT4 = 0x434c4d34
} clm_qtype;

typedef struct clm_qtype_info {
    clm_qtype type;
    const char *name;   /* "Q4_K" */
    size_t block_elems; /* a row is a whole number of blocks */
    size_t block_bytes;
} clm_qtype_info;

/* NULL when `type` is none of the above. */
const clm_qtype_info *clm_qtype_info_get(uint32_t type);
/* By name, case ignored; NULL when there is none. */
const clm_qtype_info *clm_qtype_info_find(const char *name);
/* Name of any GGUF tensor type, also those we cannot read ("I8", "Q4_2"); "unknown" otherwise. */
const char *clm_qtype_name(uint32_t type);

/* Bytes of `count` elements (a multiple of block_elems). */
size_t clm_qtype_bytes(clm_qtype type, size_t count);

/* Dequantises `count` elements (a multiple of block_elems) exactly as the format defines them.
 * `src` needs no alignment. */
void clm_qtype_dequantize(clm_qtype type, const void *src, size_t count, float *dst);

float clm_half_to_float(uint16_t h);
uint16_t clm_float_to_half(float f); /* round to nearest even; overflow gives infinity */

/* The quantised types split into what the device formats hold: for each group of `group`
 * consecutive elements a scale and a minimum, and for each element an unsigned or signed integer:
 *     value = scale * q + min
 * Q4_0: q 0..15, group 32, min = -8 scale.  Q4_1: q 0..15, group 32.  Q4_K: q 0..15, group 32.
 * Q5_0: q -16..15, group 32, min 0.  Q5_1, Q5_K: q 0..31, group 32.  Q6_K: q -32..31, group 16,
 * min 0.  Q8_0: q -128..127, group 32, min 0.  INT4: q -8..7, group 64. */
typedef struct clm_qtype_split {
    int bits;     /* 4 (q - centre in -8..7) or 8 */
    size_t group; /* elements per scale */
    int has_min;  /* 0: min is always 0 (8 bits) or -8 * scale (4 bits); 1: groups have their own;
                   * 2: it is a whole number of scales (GPTQ) */
    int centre;   /* what must be taken from q for its range to lie around 0 */
} clm_qtype_split;

/* NULL for F32, F16 and BF16. */
const clm_qtype_split *clm_qtype_split_get(clm_qtype type);

/* Splits `count` elements (a multiple of block_elems): q[count], scale[count / group],
 * min[count / group] (also written when has_min is 0). */
void clm_qtype_unpack(clm_qtype type, const void *src, size_t count, int8_t *q, float *scale,
                      float *min);

#endif
