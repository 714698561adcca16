/* runtime/ops/kv_layout.c: see kv_layout.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/kv_layout.h"

clm_elem clm_cache_elem(int kv_type)
{
    if (kv_type == CLM_CACHE_I8) return CLM_ELEM_I8;
    return kv_type == CLM_CACHE_F16 ? CLM_ELEM_F16 : CLM_ELEM_F32;
}

double clm_kv_position_bytes(int head_dim, int kv_type)
{
    return head_dim * (double)clm_elem_bytes(clm_cache_elem(kv_type)) +
           (kv_type == CLM_CACHE_I8 ? 2.0 : 0.0);
}
