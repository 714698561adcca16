/* tensor.c: see tensor.h. */
#include "runtime/formats/tensor.h"

#include <math.h>
#include <stdio.h>

#include "runtime/formats/bytes.h"

/* ---- Rows ---------------------------------------------------------------------------------- */

/* Where the file has row `row`. */
static size_t stored_row(const clm_tensor *t, size_t row)
{
    const size_t d = t->rotary_head;

    if (d == 0) return row;
    const size_t i = row % d;
    return row - i + i / 2 + (i % 2 != 0 ? d / 2 : 0);
}

static const uint8_t *row_at(const clm_tensor *t, size_t row)
{
    return t->data + stored_row(t, row) * clm_qtype_bytes(t->type, t->cols);
}

const uint8_t *clm_tensor_row_bytes(const clm_tensor *t, size_t row)
{
    if (t->gptq != NULL || t->normalised || clm_qtype_split_get(t->type) != NULL) return NULL;
    return row_at(t, row);
}

/* As torch.nn.functional.normalize does it, in double. */
static const double least_norm = 1e-12;

static void normalise(float *row, size_t cols)
{
    double sum = 0.0;

    for (size_t k = 0; k < cols; k++) sum += (double)row[k] * (double)row[k];
    const double norm = fmax(sqrt(sum), least_norm);
    for (size_t k = 0; k < cols; k++) row[k] = (float)(row[k] / norm);
}

/* ---- GPTQ ---------------------------------------------------------------------------------- */

/* Fields of `bits` in an array of words: number `i` of row `word_row`, of `stride` words. */
static unsigned field(const uint8_t *words, size_t word, size_t i, int bits)
{
    return clm_load_u32(words + 4 * word) >> (i * (size_t)bits) & ((1u << bits) - 1u);
}

static unsigned gptq_zero(const clm_gptq *g, size_t group, size_t n)
{
    const size_t per_word = 32 / (size_t)g->bits;

    return 1 +
           field(g->qzeros, group * (g->stride / per_word) + n / per_word, n % per_word, g->bits);
}

static uint16_t gptq_scale_bits(const clm_gptq *g, size_t group, size_t n)
{
    return clm_load_u16(g->scales + 2 * (group * g->stride + n));
}

static float gptq_scale(const clm_gptq *g, size_t group, size_t n)
{
    return clm_half_to_float(gptq_scale_bits(g, group, n));
}

static size_t gptq_group(const clm_gptq *g, size_t k)
{
    return g->g_idx != NULL ? clm_load_u32(g->g_idx + 4 * k) : k / g->group;
}

/* Row of the stored layer that holds row `row` of the tensor. */
static size_t gptq_row(const clm_tensor *t, size_t row)
{
    return t->gptq_row0 + stored_row(t, row);
}

uint16_t clm_tensor_gptq_scale(const clm_tensor *t, size_t row, size_t k)
{
    return gptq_scale_bits(t->gptq, gptq_group(t->gptq, k), gptq_row(t, row));
}

/* Words run along the columns: rows are the inner loop, for they are neighbours in memory. */
static void gptq_read(const clm_tensor *t, size_t row0, size_t n, float *out)
{
    const clm_gptq *g = t->gptq;
    const size_t per_word = 32 / (size_t)g->bits;

    for (size_t k = 0; k < t->cols; k++) {
        const size_t group = gptq_group(g, k), word = k / per_word * g->stride;

        for (size_t i = 0; i < n; i++) {
            const size_t row = gptq_row(t, row0 + i);
            const int q = (int)field(g->qweight, word + row, k % per_word, g->bits);

            out[i * t->cols + k] =
                gptq_scale(g, group, row) * (float)(q - (int)gptq_zero(g, group, row));
        }
    }
}

static void gptq_unpack(const clm_tensor *t, size_t row0, size_t n, int8_t *q, float *scale,
                        float *min)
{
    const clm_gptq *g = t->gptq;
    const size_t per_word = 32 / (size_t)g->bits, groups = t->cols / g->group;
    const int shift = g->bits == 8 ? 128 : 0; /* to fit int8_t */

    for (size_t j = 0; j < t->cols; j++) {
        const size_t k = t->column_order != NULL ? t->column_order[j] : j,
                     word = k / per_word * g->stride;

        for (size_t i = 0; i < n; i++) {
            q[i * t->cols + j] = (int8_t)((int)field(g->qweight, word + gptq_row(t, row0 + i),
                                                     k % per_word, g->bits) -
                                          shift);
        }
    }
    for (size_t i = 0; i < n; i++) {
        const size_t row = gptq_row(t, row0 + i);

        for (size_t group = 0; group < groups; group++) {
            const float s = gptq_scale(g, group, row);

            scale[i * groups + group] = s;
            min[i * groups + group] = s * (float)(shift - (int)gptq_zero(g, group, row));
        }
    }
}

/* ---- Any storage --------------------------------------------------------------------------- */

clm_status clm_tensor_read_rows(const clm_tensor *t, size_t row0, size_t n, float *out,
                                clm_err *err)
{
    if (row0 > t->rows || n > t->rows - row0) {
        return clm_fail(err, CLM_E_INTERNAL, "tensor '%s' has %zu rows; %zu from row %zu on asked",
                        t->name, t->rows, n, row0);
    }
    if (t->gptq != NULL) {
        gptq_read(t, row0, n, out);
    } else if (t->rotary_head == 0) {
        clm_qtype_dequantize(t->type, row_at(t, row0), n * t->cols, out);
    } else {
        for (size_t i = 0; i < n; i++)
            clm_qtype_dequantize(t->type, row_at(t, row0 + i), t->cols, out + i * t->cols);
    }
    for (size_t i = 0; i < n && t->normalised; i++) normalise(out + i * t->cols, t->cols);
    return CLM_OK;
}

bool clm_tensor_split(const clm_tensor *t, clm_qtype_split *split)
{
    if (t->gptq == NULL) {
        const clm_qtype_split *of_type = clm_qtype_split_get(t->type);

        if (of_type == NULL) return false;
        *split = *of_type;
        return true;
    }
    *split = (clm_qtype_split){.bits = t->gptq->bits,
                               .group = t->gptq->group,
                               .has_min = t->gptq->symmetric ? 0 : 2,
                               .centre = t->gptq->bits == 4 ? 8 : 0};
    return true;
}

static double group_squares(const int8_t *q, size_t n, float scale, float min)
{
    double sum = 0.0;

    for (size_t k = 0; k < n; k++) {
        const double value = (double)scale * q[k] + (double)min;

        sum += value * value;
    }
    return sum;
}

/* Divides the scales and minima of a row by its norm, which is as good as dividing its elements. A
 * group of zeros gets the scale 0: after the division any other might be out of range. */
static void normalise_split(const int8_t *q, size_t groups, size_t group, float *scale, float *min)
{
    double sum = 0.0;

    for (size_t g = 0; g < groups; g++) {
        const double squares = group_squares(q + g * group, group, scale[g], min[g]);

        if (squares == 0.0) scale[g] = min[g] = 0.0f;
        sum += squares;
    }
    const double norm = fmax(sqrt(sum), least_norm);
    for (size_t g = 0; g < groups; g++) {
        scale[g] = (float)(scale[g] / norm);
        min[g] = (float)(min[g] / norm);
    }
}

void clm_tensor_unpack(const clm_tensor *t, size_t row0, size_t n, int8_t *q, float *scale,
                       float *min)
{
    clm_qtype_split split;

    if (!clm_tensor_split(t, &split)) return;
    const size_t groups = t->cols / split.group;
    if (t->gptq != NULL) gptq_unpack(t, row0, n, q, scale, min);
    for (size_t i = 0; i < n && t->gptq == NULL; i++) {
        clm_qtype_unpack(t->type, row_at(t, row0 + i), t->cols, q + i * t->cols, scale + i * groups,
                         min + i * groups);
    }
    for (size_t i = 0; i < n && t->normalised; i++)
        normalise_split(q + i * t->cols, groups, split.group, scale + i * groups, min + i * groups);
}

const char *clm_tensor_type_name(const clm_tensor *t, char out[CLM_TENSOR_TYPE_ROOM])
{
    if (t->gptq == NULL) {
        snprintf(out, CLM_TENSOR_TYPE_ROOM, "%s", clm_qtype_name((uint32_t)t->type));
    } else {
        snprintf(out, CLM_TENSOR_TYPE_ROOM, "GPTQ%d g%zu%s", t->gptq->bits, t->gptq->group,
                 t->column_order != NULL ? " act" : "");
    }
    return out;
}
