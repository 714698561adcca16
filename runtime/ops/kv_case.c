/* runtime/ops/kv_case.c: see kv_case.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/kv_case.h"

#include <float.h>
#include <math.h>
#include "runtime/ops/ref.h"

/* Buffers of a cache, from the first on. */
enum { K, V, KS, VS, KMAX };

static void put(clm_case_buffer *b, size_t i, float value)
{
    if (b->type == CLM_ELEM_F32)
        ((float *)b->data)[i] = value;
    else if (b->type == CLM_ELEM_F16)
        ((uint16_t *)b->data)[i] = clm_ref_float_to_half(value);
    else
        ((int8_t *)b->data)[i] = (int8_t)(isnan(value) ? 127.0f : value * 127.0f);
}

static void put_position(clm_case_buffer *b, const clm_kv_dims *dims, size_t h, size_t pos,
                         clm_random *r)
{
    const size_t n = dims->head_dim, ctx = dims->ctx, at = h * clm_kv_padded(ctx) + pos;

    for (size_t d = 0; d < n; d++) {
        put(&b[K], clm_kv_k_at(h, n, ctx, pos, d), r ? clm_random_float(r, -1.0f, 1.0f) : NAN);
        put(&b[V], clm_kv_v_at(h, n, ctx, pos, d), r ? clm_random_float(r, -1.0f, 1.0f) : NAN);
    }
    if (dims->type != CLM_CACHE_I8) return;
    for (size_t i = KS; i <= VS; i++)
        ((uint16_t *)b[i].data)[at] =
            clm_ref_float_to_half(r ? clm_random_float(r, 0.5f, 1.0f) / 127.0f : NAN);
}

bool clm_kv_case_add(clm_case *c, clm_random *r, const clm_kv_dims *dims, size_t used,
                     clm_case_role role)
{
    const size_t n = dims->head_dim, elems = clm_kv_elems(dims->kv_heads, n, dims->ctx);
    const bool scaled = dims->type == CLM_CACHE_I8;
    const size_t scales = scaled ? clm_kv_scales(dims->kv_heads, dims->ctx) : 1;
    const clm_elem type = clm_cache_elem(dims->type);
    clm_case_buffer *b = &c->bufs[c->n_bufs];
    float *kmax;

    if (clm_case_add(c, "k", type, elems, role) == NULL ||
        clm_case_add(c, "v", type, elems, role) == NULL ||
        clm_case_add(c, "ks", CLM_ELEM_F16, scales, scaled ? role : CLM_CASE_IN) == NULL ||
        clm_case_add(c, "vs", CLM_ELEM_F16, scales, scaled ? role : CLM_CASE_IN) == NULL ||
        (kmax = clm_case_add(c, "kmax", CLM_ELEM_F32, clm_kv_blocks(dims->kv_heads, dims->ctx),
                             role)) == NULL)
        return false;
    for (size_t h = 0; h < dims->kv_heads; h++) {
        for (size_t pos = 0; pos < clm_kv_padded(dims->ctx); pos++) {
            float *top = &kmax[(h * clm_kv_padded(dims->ctx) + pos) / CLM_KV_BLOCK];
            double square = 0.0;

            put_position(b, dims, h, pos, pos < used ? r : NULL);
            if (pos % CLM_KV_BLOCK == 0) *top = NAN;
            if (pos >= used) continue;
            for (size_t d = 0; d < n; d++) square += pow(clm_kv_case_key(b, dims, h, pos, d), 2.0);
            *top = fmaxf(*top, (float)sqrt(square));
        }
    }
    return true;
}

void clm_kv_case_poison(clm_case_buffer *k_to_vs, const clm_kv_dims *dims, size_t h, size_t block)
{
    for (size_t i = 0; i < CLM_KV_BLOCK; i++)
        put_position(k_to_vs, dims, h, block * CLM_KV_BLOCK + i, NULL);
}

static double element(const clm_case_buffer *b, const clm_case_buffer *scales, size_t i, size_t at)
{
    if (b->type == CLM_ELEM_F32) return (double)((const float *)b->data)[i];
    if (b->type == CLM_ELEM_F16)
        return (double)clm_ref_half_to_float(((const uint16_t *)b->data)[i]);
    return (double)((const int8_t *)b->data)[i] *
           (double)clm_ref_half_to_float(((const uint16_t *)scales->data)[at]);
}

double clm_kv_case_key(const clm_case_buffer *b, const clm_kv_dims *dims, size_t h, size_t pos,
                       size_t d)
{
    return element(&b[K], &b[KS], clm_kv_k_at(h, dims->head_dim, dims->ctx, pos, d),
                   h * clm_kv_padded(dims->ctx) + pos);
}

double clm_kv_case_value(const clm_case_buffer *b, const clm_kv_dims *dims, size_t h, size_t pos,
                         size_t d)
{
    return element(&b[V], &b[VS], clm_kv_v_at(h, dims->head_dim, dims->ctx, pos, d),
                   h * clm_kv_padded(dims->ctx) + pos);
}

/* `v` as it is stored in `cache` at index `i`; returns what comes back. */
static double store(clm_case_buffer *cache, size_t i, float v, double scale)
{
    double q;

    if (cache->type == CLM_ELEM_F32) {
        ((float *)cache->expected)[i] = v;
        return (double)v;
    }
    if (cache->type == CLM_ELEM_F16) {
        const uint16_t half = clm_ref_float_to_half(v);

        ((uint16_t *)cache->expected)[i] = half;
        return (double)clm_ref_half_to_float(half);
    }
    q = scale > 0.0 ? nearbyint((double)v / scale) : 0.0;
    q = fmin(fmax(q, -127.0), 127.0);
    ((int8_t *)cache->expected)[i] = (int8_t)q;
    return q * scale;
}

/* The scale of n values, written to scales[at]: NaN if one is no finite number; 1 where elements have none. */
static double store_scale(const clm_case_buffer *cache, clm_case_buffer *scales, size_t at,
                          const float *src, size_t n)
{
    double top = 0.0;
    bool finite = true;
    uint16_t half;

    if (cache->type != CLM_ELEM_I8) return 1.0;
    for (size_t d = 0; d < n; d++) {
        top = fmax(top, fabs((double)src[d]));
        finite = finite && isfinite(src[d]);
    }
    half = clm_ref_float_to_half(finite ? (float)fmin(top / 127.0, 65504.0) : NAN);
    ((uint16_t *)scales->expected)[at] = half;
    return (double)clm_ref_half_to_float(half);
}

void clm_kv_case_store(clm_case_buffer *b, const clm_kv_dims *dims, size_t h, size_t pos,
                       const float *key, const float *value)
{
    const size_t n = dims->head_dim, ctx = dims->ctx, at = h * clm_kv_padded(ctx) + pos;
    const double k_scale = store_scale(&b[K], &b[KS], at, key, n);
    const double v_scale = store_scale(&b[V], &b[VS], at, value, n);
    float *kmax = (float *)b[KMAX].expected + at / CLM_KV_BLOCK;
    double square = 0.0;
    float length;

    for (size_t d = 0; d < n; d++) {
        const double back = store(&b[K], clm_kv_k_at(h, n, ctx, pos, d), key[d], k_scale);

        store(&b[V], clm_kv_v_at(h, n, ctx, pos, d), value[d], v_scale);
        square += back * back;
    }
    length = square <= (double)FLT_MAX ? (float)sqrt(square) : INFINITY;
    if (pos % CLM_KV_BLOCK == 0) *kmax = 0.0f;
    *kmax = fmaxf(*kmax, length);
}

/* Whether x lies 1e-3 of a step away from the middle between two halves. */
static bool half_is_clear(float x)
{
    int exponent;
    double steps;

    frexp((double)x, &exponent);
    steps = ldexp(fabs((double)x), 11 - (exponent < -13 ? -13 : exponent));
    return fabs(steps - floor(steps) - 0.5) > 1e-3;
}

bool clm_kv_case_clear(const float *x, size_t n, int type)
{
    float top = 0.0f, scale;

    for (size_t d = 0; d < n && type == CLM_CACHE_F16; d++) {
        if (!half_is_clear(x[d])) return false;
    }
    if (type != CLM_CACHE_I8) return true;
    for (size_t d = 0; d < n; d++) top = fmaxf(top, fabsf(x[d]));
    scale = clm_ref_half_to_float(clm_ref_float_to_half(top / 127.0f));
    if (clm_ref_float_to_half(top / 127.0f * 1.00001f) != clm_ref_float_to_half(scale) ||
        clm_ref_float_to_half(top / 127.0f * 0.99999f) != clm_ref_float_to_half(scale))
        return false;
    for (size_t d = 0; d < n && scale > 0.0f; d++) {
        const double q = fabs((double)x[d]) / (double)scale;

        if (fabs(q - floor(q) - 0.5) < 1e-4) return false;
    }
    return true;
}
