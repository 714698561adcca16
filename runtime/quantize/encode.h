/* runtime/quantize/encode.h: floats become blocks of an element type, with scales (and minima)
 * searched for the least squared error of each group, weighted by the size of the values.
 *
 * Layer    runtime. Plain C, no device.
 * Threads  no state: rows may be encoded in parallel.
 * Source   the layouts of runtime/formats/qtype.h. Quantised values are chosen with the scale as it
 *          is stored, rounded to fp16. The result does not depend on the processor: sums have a
 *          fixed order and products are not fused.
 */
#ifndef CLM_RUNTIME_QUANTIZE_ENCODE_H
#define CLM_RUNTIME_QUANTIZE_ENCODE_H

#include <stddef.h>
#include <stdint.h>
#include "runtime/formats/qtype.h"

/* To be raised with every change of what clm_encode or clm_exact_encode gives, and of the keys in a
 * file's header, so that unfinished and cached files of another version are not gone on with. */
enum { CLM_ENCODE_VERSION = 3 };

/* Encodes `count` finite floats (whole blocks) in F32, F16, Q4_0, Q4_1, Q8_0 or INT4, and no other
 * type. `out` takes clm_qtype_bytes(type, count) bytes. Returns the sum of the squared differences
 * between `x` and what `out` stands for; infinite when the values are too large for the type's fp16
 * numbers (beyond 65504 in F16). */
double clm_encode(clm_qtype type, const float *x, size_t count, uint8_t *out);

/* Index of the first value that is not finite; `count` when all are. */
size_t clm_find_not_finite(const float *x, size_t count);

#endif
