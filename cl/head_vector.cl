/* head_vector.cl: one head's query, value or sum of HEAD_DIM elements as N_VEC vectors of VW, for the
 * attention kernels of CPUs. Included after kv.cl by FAMILY 0 of attention.cl and attention_decode.cl.
 *
 * V_LOAD(i, p): vector i of a cached value as float; LOAD(i, p), STORE(v, i, p): of floats, aligned or
 * not.
 */
#if HEAD_DIM % 16 == 0
#define VW 16
#elif HEAD_DIM % 4 == 0
#define VW 4
#else
#define VW 1
#endif
#define N_VEC (HEAD_DIM / VW)
#if VW == 1
#define VEC            float
#define V_LOAD(i, p)   KV_LOAD1(i, p)
#define STORE(v, i, p) ((p)[i] = (v))
#define LOAD(i, p)     ((p)[i])
#else
#define VEC            CLM_CAT(float, VW)
#define V_LOAD(i, p)   KV_LOADN(VW, i, p)
#define STORE(v, i, p) CLM_CAT(vstore, VW)(v, i, p)
#define LOAD(i, p)     CLM_CAT(vload, VW)(i, p)
#endif
