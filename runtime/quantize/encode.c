/* encode.c: see encode.h.
 *
 * Many groups are searched at a time, one in each lane: x[k][lane]. Every step of the search is then
 * a loop over lanes without branches, which compilers turn into vector instructions, and no sum runs
 * across lanes, so the order of additions is the same whatever the vectors' width. Twice as many
 * lanes as the widest vectors have hide the latency of the additions.
 */
#include "runtime/quantize/encode.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "host/vectorise.h"
#include "runtime/formats/bytes.h"
#include "runtime/formats/half.h"

enum { LANES = 32, MAX_GROUP = 64 };

typedef float lanes[LANES];

/* The groups under search. */
typedef struct batch {
    size_t n; /* elements of a group */
    lanes x[MAX_GROUP];
    lanes weight[MAX_GROUP]; /* of their squared errors */
    lanes low, high, total;  /* of x; of the weights */
    lanes mean;              /* weighted, of x; 0 where there is no minimum to be found */
} batch;

/* Which q there are. */
typedef struct range {
    float low, high;
} range;

/* For each lane a scale, and the weighted mean of the q that it was fitted to: together they give the
 * minimum. The error lacks the part that all choices have in common. */
typedef struct choice {
    lanes scale, q_mean, error;
} choice;

/* Weighted sums of one pass over a batch: q, q * q and q * (x - mean), q being the rounded value. */
typedef struct sums {
    lanes q, qq, qx;
} sums;

/* Groups as they are stored. */
typedef struct blocks {
    uint16_t scale[LANES], min[LANES];
    uint8_t q[MAX_GROUP][LANES];
    lanes error;
} blocks;

/* ---- Passes over a batch --------------------------------------------------------------------- */

/* To the nearest integer, ties to even: at 1.5 * 2^23 floats have no fraction. |v| < 2^22. */
CLM_PART float round_even(float v)
{
    return (v + 12582912.0f) - 12582912.0f;
}

CLM_PART float clamp(float v, range r)
{
    v = v > r.low ? v : r.low;
    return v < r.high ? v : r.high;
}

/* 1 / scale; 0 for a scale of 0, so that all q are those of 0. */
CLM_PART float inverse(float scale)
{
    return scale != 0.0f ? 1.0f / scale : 0.0f;
}

/* Rounds with value = scale * q + min and sums. */
CLM_PART void sum_pass(const batch *b, const lanes scale, const lanes min, range r, sums *out)
{
    lanes q_sum = {0}, qq_sum = {0}, qx_sum = {0}, inv;

    for (size_t l = 0; l < LANES; l++) inv[l] = inverse(scale[l]);
    for (size_t k = 0; k < b->n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float q = round_even(clamp((b->x[k][l] - min[l]) * inv[l], r)),
                        wq = b->weight[k][l] * q;

            q_sum[l] += wq;
            qq_sum[l] += wq * q;
            qx_sum[l] += wq * (b->x[k][l] - b->mean[l]);
        }
    }
    memcpy(out->q, q_sum, sizeof q_sum);
    memcpy(out->qq, qq_sum, sizeof qq_sum);
    memcpy(out->qx, qx_sum, sizeof qx_sum);
}

/* Rounds to what is stored: q + offset, and sums the squared errors of what will be decoded; they
 * are infinite where the numbers are too large for fp16. */
CLM_PART void store_pass(const batch *b, range r, float offset, blocks *out)
{
    lanes scale, min, inv, sum = {0};

    for (size_t l = 0; l < LANES; l++) {
        scale[l] = clm_half_value(out->scale[l]);
        min[l] = clm_half_value(out->min[l]);
        inv[l] = inverse(scale[l]);
    }
    for (size_t k = 0; k < b->n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float q = round_even(clamp((b->x[k][l] - min[l]) * inv[l], r)),
                        d = b->x[k][l] - (scale[l] * q + min[l]);

            sum[l] += d * d;
            out->q[k][l] = (uint8_t)(int32_t)(q + offset);
        }
    }
    for (size_t l = 0; l < LANES; l++)
        out->error[l] = sum[l] < INFINITY ? sum[l] : INFINITY; /* also for a NaN */
}

/* Takes the lanes of `tried` that are better. */
CLM_PART void keep_better(const choice *tried, choice *best)
{
    for (size_t l = 0; l < LANES; l++) {
        const bool better = tried->error[l] < best->error[l];

        best->scale[l] = better ? tried->scale[l] : best->scale[l];
        best->q_mean[l] = better ? tried->q_mean[l] : best->q_mean[l];
        best->error[l] = better ? tried->error[l] : best->error[l];
    }
}

/* ---- Search with a minimum (Q4_1, INT4) ------------------------------------------------------ */

/* How far the two ends of the covered range are drawn in, in steps of the full range: values beyond
 * it cost more, all others less. The best seven of a grid of quarters, taken one after the other;
 * all 81 of them would lower the error by another hundredth. */
static const struct {
    float low, high;
} clm_pulls[] = {{0.25f, 0.25f}, {0.0f, 0.5f},  {0.5f, 0.0f}, {0.0f, 0.25f},
                 {0.25f, 0.0f},  {0.75f, 0.0f}, {0.0f, 0.75f}};
enum { PULLS = sizeof clm_pulls / sizeof clm_pulls[0], POLISH = 2 };

/* The choice of least squares for the q of a pass; where all q are equal, a constant. */
CLM_PART void fit_affine(const batch *b, const sums *s, choice *out)
{
    for (size_t l = 0; l < LANES; l++) {
        const float q_mean = s->q[l] / b->total[l], spread = s->qq[l] - s->q[l] * q_mean,
                    scale = spread > 0.0f ? s->qx[l] / spread : 0.0f;

        out->scale[l] = scale;
        out->q_mean[l] = q_mean;
        out->error[l] = -scale * s->qx[l];
    }
}

CLM_PART void search_affine(const batch *b, range r, choice *best)
{
    choice tried;
    lanes scale, min;
    sums s;

    memset(best, 0, sizeof *best);
    for (size_t i = 0; i < PULLS + POLISH; i++) {
        for (size_t l = 0; l < LANES; l++) {
            if (i < PULLS) {
                const float step = (b->high[l] - b->low[l]) / (r.high - r.low),
                            from = b->low[l] + clm_pulls[i].low * step,
                            to = b->high[l] - clm_pulls[i].high * step;

                scale[l] = (to - from) / (r.high - r.low);
                min[l] = from - r.low * scale[l];
            } else {
                scale[l] = best->scale[l];
                min[l] = b->mean[l] - scale[l] * best->q_mean[l];
            }
        }
        sum_pass(b, scale, min, r, &s);
        fit_affine(b, &s, &tried);
        keep_better(&tried, best);
    }
}

/* ---- Search without a minimum (Q4_0, Q8_0) --------------------------------------------------- */

/* Which q the largest value becomes: the asymmetric range of 4 bits is worth trying both ways. */
static const float clm_peaks_4[] = {-8.0f, -7.0f, -7.5f, -8.5f, -9.0f, 6.5f, 7.0f, 7.5f, 8.0f};
static const float clm_peaks_8[] = {127.0f};

CLM_PART void search_scale(const batch *b, const float *peaks, size_t n_peaks, range r,
                           choice *best)
{
    const lanes min = {0};
    choice tried;
    lanes scale;
    sums s;

    memset(best, 0, sizeof *best);
    memset(&tried, 0, sizeof tried);
    for (size_t i = 0; i < n_peaks + POLISH; i++) {
        for (size_t l = 0; l < LANES; l++) {
            const float peak = b->high[l] > -b->low[l] ? b->high[l] : b->low[l];

            scale[l] = i < n_peaks ? peak / peaks[i] : best->scale[l];
        }
        sum_pass(b, scale, min, r, &s);
        for (size_t l = 0; l < LANES; l++) {
            tried.scale[l] = s.qq[l] > 0.0f ? s.qx[l] / s.qq[l] : 0.0f;
            tried.error[l] = -tried.scale[l] * s.qx[l];
        }
        keep_better(&tried, best);
    }
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Loads up to LANES groups of n elements; lanes beyond them are zero. */
CLM_PART void load_values(const float *x, size_t groups, size_t n, batch *b)
{
    b->n = n;
    if (groups < LANES) memset(b->x, 0, sizeof b->x);
    for (size_t l = 0; l < groups; l++)
        for (size_t k = 0; k < n; k++) b->x[k][l] = x[l * n + k];
}

/* Finds what the passes need of the values. `centred`: sums are taken around the mean.
 * An error weighs 1 + |x| / sigma, sigma being the root mean square of the group: without weights the
 * search draws the range in further, at the cost of the few large values. The squared error is then
 * 3 % less, but perplexity is larger (docs/quantisation.md). ggml's K types weigh so, too. */
CLM_PART void describe_values(bool centred, batch *b)
{
    lanes squares = {0}, sum = {0}, total = {0}, inverse_sigma;

    memcpy(b->low, b->x[0], sizeof b->low);
    memcpy(b->high, b->x[0], sizeof b->high);
    for (size_t k = 0; k < b->n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float v = b->x[k][l];

            b->low[l] = v < b->low[l] ? v : b->low[l];
            b->high[l] = v > b->high[l] ? v : b->high[l];
            squares[l] += v * v;
        }
    }
    for (size_t l = 0; l < LANES; l++) inverse_sigma[l] = inverse(sqrtf(squares[l] / (float)b->n));
    for (size_t k = 0; k < b->n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float weight = 1.0f + fabsf(b->x[k][l]) * inverse_sigma[l];

            b->weight[k][l] = weight;
            total[l] += weight;
            sum[l] += weight * b->x[k][l];
        }
    }
    for (size_t l = 0; l < LANES; l++) {
        b->total[l] = total[l];
        b->mean[l] = centred ? sum[l] / total[l] : 0.0f;
    }
}

/* Rounds scales to fp16, and the minima that then fit best. The scale's own neighbours are not worth
 * trying: they differ by less than a two-hundredth of a step in the outermost q. */
CLM_PART void round_numbers(const batch *b, const choice *c, bool has_min, blocks *out)
{
    for (size_t l = 0; l < LANES; l++) {
        const uint16_t scale = clm_half_nearest(c->scale[l]);
        const float min = b->mean[l] - clm_half_value(scale) * c->q_mean[l];

        out->scale[l] = scale;
        out->min[l] = clm_half_nearest(has_min ? min : 0.0f);
    }
}

/* How a type stores a group. */
typedef struct layout {
    size_t group;
    bool has_min, has_nibbles;
    range q;      /* as in value = scale * q + min */
    float offset; /* from q to what is stored, which is not negative in nibbles */
} layout;

CLM_PART layout layout_of(clm_qtype type)
{
    switch (type) {
    case CLM_QTYPE_INT4:
        return (layout){64, true, true, {-8.0f, 7.0f}, 8.0f};
    case CLM_QTYPE_Q4_1:
        return (layout){32, true, true, {0.0f, 15.0f}, 0.0f};
    case CLM_QTYPE_Q4_0:
        return (layout){32, false, true, {-8.0f, 7.0f}, 8.0f};
    default: /* Q8_0; -128 is not used, as in ggml */
        return (layout){32, false, false, {-127.0f, 127.0f}, 0.0f};
    }
}

/* Puts the second half of each group's q into the high nibbles of the first. */
CLM_PART void pack_nibbles(size_t half, blocks *b)
{
    for (size_t k = 0; k < half; k++)
        for (size_t l = 0; l < LANES; l++)
            b->q[k][l] = (uint8_t)(b->q[k][l] | b->q[k + half][l] << 4);
}

CLM_PART void store_block(const layout *to, const blocks *b, size_t l, uint8_t *out)
{
    const size_t n = to->has_nibbles ? to->group / 2 : to->group;

    clm_store_u16(out, b->scale[l]);
    out += 2;
    if (to->has_min) {
        clm_store_u16(out, b->min[l]);
        out += 2;
    }
    for (size_t k = 0; k < n; k++) out[k] = b->q[k][l];
}

CLM_VECTORISED static double encode_blocks(clm_qtype type, const float *x, size_t count,
                                           uint8_t *out)
{
    const layout to = layout_of(type);
    const size_t block_bytes = clm_qtype_bytes(type, to.group);
    double error = 0.0;
    blocks stored;
    batch b;
    choice best;

    for (size_t left = count / to.group; left > 0;) {
        const size_t n = left < LANES ? left : LANES;

        load_values(x, n, to.group, &b);
        describe_values(to.has_min, &b);
        if (to.has_min)
            search_affine(&b, to.q, &best);
        else if (to.has_nibbles)
            search_scale(&b, clm_peaks_4, sizeof clm_peaks_4 / sizeof *clm_peaks_4, to.q, &best);
        else
            search_scale(&b, clm_peaks_8, sizeof clm_peaks_8 / sizeof *clm_peaks_8, to.q, &best);
        round_numbers(&b, &best, to.has_min, &stored);
        store_pass(&b, to.q, to.offset, &stored);
        if (to.has_nibbles) pack_nibbles(to.group / 2, &stored);
        for (size_t l = 0; l < n; l++) {
            store_block(&to, &stored, l, out + l * block_bytes);
            error += (double)stored.error[l];
        }
        x += n * to.group;
        out += n * block_bytes;
        left -= n;
    }
    return error;
}

/* ---- Floats ---------------------------------------------------------------------------------- */

static double encode_f16(const float *x, size_t count, uint8_t *out)
{
    double error = 0.0;

    for (size_t i = 0; i < count; i++) {
        const uint16_t half = clm_float_to_half(x[i]);
        const double d = (double)x[i] - (double)clm_half_to_float(half);

        clm_store_u16(out + 2 * i, half);
        error += d * d;
    }
    return error;
}

static double encode_f32(const float *x, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = clm_float_bits(x[i]);

        clm_store_u16(out + 4 * i, (uint16_t)bits);
        clm_store_u16(out + 4 * i + 2, (uint16_t)(bits >> 16));
    }
    return 0.0;
}

double clm_encode(clm_qtype type, const float *x, size_t count, uint8_t *out)
{
    if (type == CLM_QTYPE_F32) return encode_f32(x, count, out);
    if (type == CLM_QTYPE_F16) return encode_f16(x, count, out);
    return encode_blocks(type, x, count, out);
}

CLM_VECTORISED static size_t find_not_finite(const float *x, size_t count)
{
    uint32_t any = 0;

    for (size_t i = 0; i < count; i++) any |= (clm_float_bits(x[i]) & 0x7f800000u) == 0x7f800000u;
    for (size_t i = 0; any != 0 && i < count; i++)
        if (!isfinite(x[i])) return i;
    return count;
}

/* Apart, since clang 14 does not export a function that it makes for several processors. */
size_t clm_find_not_finite(const float *x, size_t count)
{
    return find_not_finite(x, count);
}
