/* runtime/ops/ref_attention_decode.c: one token's partial attention, split by split
 *
 * Layer    runtime.
 */
#include "runtime/ops/ref.h"

#include <math.h>
#include <string.h>
#include "runtime/ops/kv_case.h"
#include "runtime/ops/op_attention_decode.h"

enum { X, CS, CACHE, SLOPES = CACHE + 5, POS, PART };

/* A head of x with its leading pairs turned by the position's angles. */
static void turn(const float *head, const float *cs, size_t n, size_t rope_dims, float *out)
{
    memcpy(out, head, n * sizeof *out);
    for (size_t i = 0; i < rope_dims; i += 2) {
        const double a = (double)head[i], b = (double)head[i + 1];
        const double c = (double)cs[i], s = (double)cs[i + 1];

        out[i] = (float)(a * c - b * s);
        out[i + 1] = (float)(a * s + b * c);
    }
}

static double score(const clm_case_buffer *cache, const clm_kv_dims *dims, const float *q,
                    double slope, size_t kv, size_t pos, size_t j)
{
    double dot = 0.0;

    for (size_t d = 0; d < dims->head_dim; d++)
        dot += (double)q[d] * clm_kv_case_key(cache, dims, kv, j, d);
    return dot / sqrt((double)dims->head_dim) - slope * (double)(pos - j);
}

/* One split of one head: M, l, acc. `cache` has the new key and value already. */
static void attend(const clm_case_buffer *cache, const clm_kv_dims *dims, const float *q,
                   double slope, size_t kv, size_t pos, size_t split, size_t splits, float *part)
{
    const size_t newest = pos / CLM_DECODE_CHUNK;
    double top = score(cache, dims, q, slope, kv, pos, pos), l = 0.0, acc[512] = {0.0};

    for (int pass = 0; pass < 2; pass++) {
        for (size_t j = 0; j <= pos; j++) {
            double s, p;

            if ((newest - j / CLM_DECODE_CHUNK) % splits != split) continue;
            s = score(cache, dims, q, slope, kv, pos, j);
            if (pass == 0) {
                top = fmax(top, s);
                continue;
            }
            l += p = exp(s - top);
            for (size_t d = 0; d < dims->head_dim; d++)
                acc[d] += p * clm_kv_case_value(cache, dims, kv, j, d);
        }
    }
    part[0] = (float)top;
    part[1] = (float)l;
    for (size_t d = 0; d < dims->head_dim; d++) part[2 + d] = (float)acc[d];
}

void clm_ref_attention_decode(clm_case *c)
{
    const int *v = c->shape.v;
    const size_t n = (size_t)v[CLM_ATTENTION_DECODE_HEAD_DIM];
    const size_t heads = (size_t)v[CLM_ATTENTION_DECODE_N_HEADS];
    const size_t rope_dims = (size_t)v[CLM_ATTENTION_DECODE_ROPE_DIMS];
    const size_t splits = (size_t)v[CLM_ATTENTION_DECODE_SPLITS];
    const clm_kv_dims dims = {(size_t)v[CLM_ATTENTION_DECODE_N_KV_HEADS], n,
                              (size_t)v[CLM_ATTENTION_DECODE_CTX], v[CLM_ATTENTION_DECODE_KV_TYPE]};
    const float *x = c->bufs[X].data, *slopes = c->bufs[SLOPES].data;
    const size_t pos = (size_t)((const int32_t *)c->bufs[POS].data)[0];
    const float *cs = (const float *)c->bufs[CS].data + pos * rope_dims;
    const size_t front = (size_t)v[CLM_ATTENTION_DECODE_PART_OFF];
    float *part = c->bufs[PART].expected;
    clm_case_buffer cache[5];
    float turned[512];

    memcpy(part, c->bufs[PART].data, front * sizeof *part);
    for (size_t i = 0; i < 5; i++) {
        clm_case_buffer *b = &c->bufs[CACHE + i];

        if (b->role != CLM_CASE_IN)
            memcpy(b->expected, b->data, b->count * clm_elem_bytes(b->type));
        cache[i] = *b;
        if (b->role != CLM_CASE_IN) cache[i].data = b->expected;
    }
    for (size_t h = 0; h < dims.kv_heads; h++) {
        turn(x + v[CLM_ATTENTION_DECODE_K_OFF] + h * n, cs, n, rope_dims, turned);
        clm_kv_case_store(&c->bufs[CACHE], &dims, h, pos, turned,
                          x + v[CLM_ATTENTION_DECODE_V_OFF] + h * n);
    }
    for (size_t h = 0; h < heads; h++) {
        turn(x + v[CLM_ATTENTION_DECODE_Q_OFF] + h * n, cs, n, rope_dims, turned);
        for (size_t s = 0; s < splits; s++)
            attend(cache, &dims, turned, (double)slopes[h], h / (heads / dims.kv_heads), pos, s,
                   splits, part + front + (h * splits + s) * (n + 2));
    }
}
