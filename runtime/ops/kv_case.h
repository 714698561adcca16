/* runtime/ops/kv_case.h: caches of keys and values as buffers of a test case, and what a reference
 * reads from them.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_KV_CASE_H
#define CLM_RUNTIME_OPS_KV_CASE_H

#include <stdbool.h>
#include "runtime/ops/fill.h"
#include "runtime/ops/kv_layout.h"
#include "tuning/op_desc.h"

typedef struct clm_kv_dims {
    size_t kv_heads, head_dim, ctx;
    int type; /* enum clm_cache_type */
} clm_kv_dims;

/* Adds k, v, ks, vs and kmax, all with `role` (ks and vs: CLM_CASE_IN and one element without int8),
 * and fills positions 0 .. used - 1 with random values within -1..1. Behind them are NaN (int8: NaN
 * scales), where a kernel must not look. False: no memory. */
bool clm_kv_case_add(clm_case *c, clm_random *r, const clm_kv_dims *dims, size_t used,
                     clm_case_role role);

/* Makes every value (not key) of kv head `h`'s block of 16 positions NaN, and its keys likewise: a
 * kernel that uses the block gives NaN. */
void clm_kv_case_poison(clm_case_buffer *k_to_vs, const clm_kv_dims *dims, size_t h, size_t block);

/* Element `d` of the key or value at position `pos` of kv head `h`; `k_to_vs` are the case's buffers
 * k, v, ks, vs as inputs. */
double clm_kv_case_key(const clm_case_buffer *k_to_vs, const clm_kv_dims *dims, size_t h,
                       size_t pos, size_t d);
double clm_kv_case_value(const clm_case_buffer *k_to_vs, const clm_kv_dims *dims, size_t h,
                         size_t pos, size_t d);

/* What storing `key` and `value` (head_dim floats each) at position `pos` of kv head `h` makes of the
 * `expected` of buffers k, v, ks, vs, kmax: the oracle of every kernel that writes the caches. */
void clm_kv_case_store(clm_case_buffer *k_to_kmax, const clm_kv_dims *dims, size_t h, size_t pos,
                       const float *key, const float *value);

/* Whether rounding `n` values for a cache of `type` is decided clearly, so that the last bits of a
 * computation cannot turn any of them to the other side. */
bool clm_kv_case_clear(const float *x, size_t n, int type);

#endif
