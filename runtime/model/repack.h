/* runtime/model/repack.h: rows of a model file's tensor become tiles of the device formats
 * (runtime/ops/weight.h). Nothing is lost but the rounding of K-quants' group scales to fp16.
 *
 * Layer    runtime. Plain C, no device.
 * Threads  no state: ranges of tiles may be packed in parallel.
 */
#ifndef CLM_RUNTIME_MODEL_REPACK_H
#define CLM_RUNTIME_MODEL_REPACK_H

#include <stddef.h>
#include <stdint.h>
#include "host/status.h"
#include "runtime/formats/model_file.h"
#include "runtime/ops/weight_layout.h"

/* What the device holds of a tensor. */
clm_weight_layout clm_repack_layout(const clm_tensor *t);

/* Sizes of one tile of 16 rows of a layout. */
typedef struct clm_tile_size {
    size_t q_bytes;
    size_t scales; /* fp16 values; 0 where the layout has none */
    size_t mins;
} clm_tile_size;

clm_tile_size clm_repack_tile(const clm_weight_layout *w);

/* Bytes on the device: q, scales and minima together. */
uint64_t clm_repack_bytes(const clm_weight_layout *w);

/* Packs tiles tile0 .. tile0 + n - 1.
 *   q           n * q_bytes
 *   scale, min  n * scales and n * mins values; not touched where the layout has none
 * Rows beyond the tensor become zeros. Returns CLM_OK or CLM_E_NOMEM. */
clm_status clm_repack_tiles(const clm_tensor *t, size_t tile0, size_t n, uint8_t *q,
                            uint16_t *scale, uint16_t *min, clm_err *err);

#endif
