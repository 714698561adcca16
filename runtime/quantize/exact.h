/* runtime/quantize/exact.h: matrices packed by GPTQ become blocks with the same scales, without
 * loss and without a search.
 *
 * A weight there is scale * (q - zero), an fp16 number times an integer, and so it is in Q8_0 and
 * Q4_0. Their blocks hold a matrix exactly when the 32 columns of each share a scale and the integers
 * fit. F16 does not: the product has up to 15 significant bits in 4-bit checkpoints, 20 in 8-bit ones.
 *
 * Layer    runtime; private to runtime/quantize/.
 * Threads  no state: rows may be encoded in parallel.
 */
#ifndef CLM_RUNTIME_QUANTIZE_EXACT_H
#define CLM_RUNTIME_QUANTIZE_EXACT_H

#include "runtime/formats/tensor.h"

/* Whether blocks of `type` hold all that `t` could: t is packed by GPTQ, its groups are whole blocks
 * of consecutive columns, its rows are not normalised, and each q - zero that its bits and zeros
 * allow fits. */
bool clm_exact_possible(const clm_tensor *t, clm_qtype type);

/* Encodes rows row0 .. row0 + n - 1, whose values are x[n][cols], into whole rows of `type`.
 * Compares each block with the values: CLM_E_INTERNAL when one is not the same (that is, when
 * clm_exact_possible() had to be false), else CLM_OK. */
clm_status clm_exact_encode(const clm_tensor *t, clm_qtype type, size_t row0, size_t n,
                            const float *x, uint8_t *out, clm_err *err);

#endif
