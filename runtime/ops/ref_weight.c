/* runtime/ops/ref_weight.c: see ref_weight.h.
 *
 * Layer    runtime. Plain C.
 */
#include "runtime/ops/ref_weight.h"

#include <string.h>
#include "runtime/ops/ref.h"

clm_ref_weight clm_ref_weight_of(const clm_case *c, const clm_weight_layout *layout)
{
    clm_ref_weight w = {.layout = *layout, .q = c->bufs[0].data};

    if (clm_weight_quantised(layout->format)) {
        w.scale = c->bufs[1].data;
        if (layout->has_min) w.min = c->bufs[2].data;
    }
    return w;
}

static double float_level(const clm_ref_weight *w, size_t n, size_t k)
{
    const size_t i = (n / 16 * w->layout.columns + k) * 16 + n % 16;
    uint32_t bits;
    float f;

    if (w->layout.format == CLM_FORMAT_F32) return (double)((const float *)w->q)[i];
    if (w->layout.format == CLM_FORMAT_F16)
        return (double)clm_ref_half_to_float(((const uint16_t *)w->q)[i]);
    bits = (uint32_t)((const uint16_t *)w->q)[i] << 16;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* Bytes are addressed one by one, as weight.h counts them, so that this holds on any host. */
double clm_ref_weight_level(const clm_ref_weight *w, size_t n, size_t k)
{
    const size_t block = n / 16 * (w->layout.columns / 32) + k / 32, row = n % 16, in = k % 32;
    const unsigned char *bytes = w->q;

    if (w->layout.format == CLM_FORMAT_Q4) {
        const size_t slice = in / 8, place = in % 8;
        const unsigned char byte = bytes[block * 256 + slice * 64 + row * 4 + place % 4];

        return (place < 4 ? byte & 15 : byte >> 4) - 8;
    }
    if (w->layout.format == CLM_FORMAT_Q8)
        return (signed char)bytes[block * 512 + in / 4 * 64 + row * 4 + in % 4];
    return float_level(w, n, k);
}

static size_t scale_index(const clm_ref_weight *w, size_t n, size_t k)
{
    const size_t group = clm_weight_group(&w->layout);

    return (n / 16 * (w->layout.columns / group) + k / group) * 16 + n % 16;
}

double clm_ref_weight_factor(const clm_ref_weight *w, size_t n, size_t k)
{
    if (w->scale == NULL) return 1.0;
    return (double)clm_ref_half_to_float(w->scale[scale_index(w, n, k)]);
}

double clm_ref_weight_offset(const clm_ref_weight *w, size_t n, size_t k)
{
    double min;

    if (w->min == NULL) return 0.0;
    min = (double)clm_ref_half_to_float(w->min[scale_index(w, n, k)]);
    return w->layout.has_min == CLM_MIN_STEPS ? clm_ref_weight_factor(w, n, k) * min : min;
}

double clm_ref_weight_value(const clm_ref_weight *w, size_t n, size_t k)
{
    return clm_ref_weight_factor(w, n, k) * clm_ref_weight_level(w, n, k) +
           clm_ref_weight_offset(w, n, k);
}

size_t clm_ref_weight_alike(const clm_ref_weight *w, size_t k)
{
    const size_t group = w->scale != NULL ? clm_weight_group(&w->layout) : w->layout.columns;

    return group - k % group;
}

void clm_ref_weight_row(const clm_ref_weight *w, size_t n, double *row)
{
    size_t end;

    for (size_t k = 0; k < w->layout.columns; k = end) {
        const double factor = clm_ref_weight_factor(w, n, k),
                     offset = clm_ref_weight_offset(w, n, k);

        end = k + clm_ref_weight_alike(w, k);
        for (size_t i = k; i < end; i++) row[i] = factor * clm_ref_weight_level(w, n, i) + offset;
    }
}
