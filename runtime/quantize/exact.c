/* exact.c: see exact.h. */
#include "runtime/quantize/exact.h"

#include <math.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/half.h"

enum { BLOCK = 32 };

/* Integers from low to high. */
typedef struct range {
    int low, high;
} range;

/* What a block of the type can hold; nothing for types that are not scale * integer. */
static range range_of(clm_qtype type)
{
    if (type == CLM_QTYPE_Q8_0) return (range){-128, 127};
    if (type == CLM_QTYPE_Q4_0) return (range){-8, 7};
    return (range){0, -1};
}

/* What q - zero can be: q is 0 .. count - 1, zero 1 .. count. */
static range steps_of(const clm_gptq *g)
{
    const int count = 1 << g->bits;

    return g->symmetric ? (range){-count / 2, count / 2 - 1} : (range){-count, count - 2};
}

bool clm_exact_possible(const clm_tensor *t, clm_qtype type)
{
    const range held = range_of(type);

    if (t->gptq == NULL || t->column_order != NULL || t->gptq->group % BLOCK != 0) return false;
    if (t->normalised) return false; /* divided by a norm, scales are no halves any more */
    const range steps = steps_of(t->gptq);
    return steps.low >= held.low && steps.high <= held.high;
}

static void store_integers(clm_qtype type, const int8_t q[BLOCK], uint8_t *out)
{
    for (size_t i = 0; type == CLM_QTYPE_Q8_0 && i < BLOCK; i++) out[i] = (uint8_t)q[i];
    for (size_t i = 0; type == CLM_QTYPE_Q4_0 && i < BLOCK / 2; i++)
        out[i] = (uint8_t)((q[i] + 8) | (q[i + BLOCK / 2] + 8) << 4);
}

/* False when the values are not the scale times integers that the type holds. */
static bool encode_block(clm_qtype type, uint16_t scale, const float x[BLOCK], uint8_t *out)
{
    const float step = clm_half_value(scale), inverse = step != 0.0f ? 1.0f / step : 0.0f;
    const range held = range_of(type);
    int8_t q[BLOCK];

    for (size_t i = 0; i < BLOCK; i++) {
        const float nearest = nearbyintf(x[i] * inverse);

        if (!(nearest >= (float)held.low && nearest <= (float)held.high) || step * nearest != x[i])
            return false;
        q[i] = (int8_t)nearest;
    }
    clm_store_u16(out, scale);
    store_integers(type, q, out + 2);
    return true;
}

clm_status clm_exact_encode(const clm_tensor *t, clm_qtype type, size_t row0, size_t n,
                            const float *x, uint8_t *out, clm_err *err)
{
    const size_t block_bytes = clm_qtype_bytes(type, BLOCK);

    for (size_t row = row0; row < row0 + n; row++) {
        for (size_t k = 0; k < t->cols; k += BLOCK, x += BLOCK, out += block_bytes) {
            if (encode_block(type, clm_tensor_gptq_scale(t, row, k), x, out)) continue;
            return clm_fail(err, CLM_E_INTERNAL,
                            "tensor '%s': row %zu, columns from %zu on: %s would not be exact",
                            t->name, row, k, clm_qtype_name((uint32_t)type));
        }
    }
    return CLM_OK;
}
