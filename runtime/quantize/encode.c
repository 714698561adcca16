/* encode.c: see encode.h.
 *
 * Many groups are searched at a time, one in each lane: x[k][lane]. Every step of the search is then
 * a loop over lanes without branches, which compilers turn into vector instructions, and no sum runs
 * across lanes, so the order of additions is the same whatever the vectors' width. Twice as many
 * lanes as the widest vectors have hide the latency of the additions.
 */
#include "runtime/quantize/encode.h"

#include <math.h>
#include <string.h>

#include "host/vectorise.h"
#include "runtime/formats/half.h"

enum { LANES = 32, MAX_GROUP = 64 };

typedef float lanes[LANES];

/* The groups under search. */
typedef struct batch {
    size_t n; /* elements of a group */
    lanes x[MAX_GROUP];
    lanes min, max, mean; /* of x */
} batch;

/* A scale and a minimum for each lane, and what they cost. */
typedef struct choice {
    lanes scale, min, error;
} choice;

/* Sums of one pass over a batch: q, q * q and q * (x - mean), q being the rounded value. */
typedef struct sums {
    lanes q, qq, qx;
} sums;

/* ---- Passes over a batch --------------------------------------------------------------------- */

/* To the nearest integer, ties to even: at 1.5 * 2^23 floats have no fraction. |v| < 2^22. */
CLM_PART float round_even(float v)
{
    return (v + 12582912.0f) - 12582912.0f;
}

CLM_PART float clamp(float v, float low, float high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

/* 1 / scale; 0 for a scale of 0, so that all q are those of 0. */
CLM_PART float inverse(float scale)
{
    return scale != 0.0f ? 1.0f / scale : 0.0f;
}

/* Rounds with value = scale * q + min and sums. */
CLM_PART void sum_pass(const batch *b, const lanes scale, const lanes min, float low, float high,
                       sums *out)
{
    lanes q_sum = {0}, qq_sum = {0}, qx_sum = {0}, inv;

    for (size_t l = 0; l < LANES; l++) inv[l] = inverse(scale[l]);
    for (size_t k = 0; k < b->n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float q = round_even(clamp((b->x[k][l] - min[l]) * inv[l], low, high));

            q_sum[l] += q;
            qq_sum[l] += q * q;
            qx_sum[l] += q * (b->x[k][l] - b->mean[l]);
        }
    }
    memcpy(out->q, q_sum, sizeof q_sum);
    memcpy(out->qq, qq_sum, sizeof qq_sum);
    memcpy(out->qx, qx_sum, sizeof qx_sum);
}

/* Rounds and sums the squared errors. */
CLM_PART void error_pass(const batch *b, const lanes scale, const lanes min, float low, float high,
                         lanes error)
{
    lanes sum = {0}, inv;

    for (size_t l = 0; l < LANES; l++) inv[l] = inverse(scale[l]);
    for (size_t k = 0; k < b->n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float q = round_even(clamp((b->x[k][l] - min[l]) * inv[l], low, high)),
                        d = b->x[k][l] - (scale[l] * q + min[l]);

            sum[l] += d * d;
        }
    }
    memcpy(error, sum, sizeof sum);
}

/* ---- Search with a minimum (Q4_1, INT4) ------------------------------------------------------ */

enum { LEVELS = 15 };

/* How far the ends of the covered range are drawn in, in steps of the full range: values beyond it
 * cost more, all others less. More candidates gain less than a hundredth of the error. */
static const float clm_pull[] = {0.0f, 0.5f, 1.0f, 1.5f};
enum { PULLS = sizeof clm_pull / sizeof clm_pull[0], POLISH = 2 };

/* Sets the scale and the minimum to those of least squares for the q of a pass, and their error
 * without the constant part; where all q are equal, to a constant. */
CLM_PART void fit_affine(const batch *b, const sums *s, choice *out)
{
    const float n = (float)b->n;

    for (size_t l = 0; l < LANES; l++) {
        const float spread = s->qq[l] - s->q[l] * s->q[l] / n,
                    scale = spread > 0.0f ? s->qx[l] / spread : 0.0f;

        out->scale[l] = scale;
        out->min[l] = b->mean[l] - scale * s->q[l] / n;
        out->error[l] = -scale * s->qx[l];
    }
}

/* Takes the lanes of `tried` that are better. */
CLM_PART void keep_better(const choice *tried, choice *best)
{
    for (size_t l = 0; l < LANES; l++) {
        const bool better = tried->error[l] < best->error[l];

        best->scale[l] = better ? tried->scale[l] : best->scale[l];
        best->min[l] = better ? tried->min[l] : best->min[l];
        best->error[l] = better ? tried->error[l] : best->error[l];
    }
}

/* Scale and minimum, of q from `low` to `low` + 15, before rounding to fp16. */
CLM_PART void search_affine(const batch *b, float low, choice *best)
{
    const float high = low + LEVELS;
    choice tried;
    sums s;

    for (size_t l = 0; l < LANES; l++) {
        best->scale[l] = 0.0f;
        best->min[l] = b->mean[l];
        best->error[l] = 0.0f;
    }
    for (size_t i = 0; i < PULLS * PULLS; i++) {
        for (size_t l = 0; l < LANES; l++) {
            const float step = (b->max[l] - b->min[l]) / LEVELS,
                        from = b->min[l] + clm_pull[i / PULLS] * step,
                        to = b->max[l] - clm_pull[i % PULLS] * step;

            tried.scale[l] = (to - from) / LEVELS;
            tried.min[l] = from - low * tried.scale[l];
        }
        sum_pass(b, tried.scale, tried.min, low, high, &s);
        fit_affine(b, &s, &tried);
        keep_better(&tried, best);
    }
    for (size_t i = 0; i < POLISH; i++) {
        tried = *best;
        sum_pass(b, tried.scale, tried.min, low, high, &s);
        fit_affine(b, &s, &tried);
        keep_better(&tried, best);
    }
}

/* ---- Rounding to fp16 ------------------------------------------------------------------------ */

/* The fp16 number `steps` further from 0 than `h`; `h` itself where there is none. */
CLM_PART uint16_t half_step(uint16_t h, int steps)
{
    const int magnitude = h & 0x7fff, moved = magnitude + steps;

    if (magnitude >= 0x7c00 || moved < 0 || moved >= 0x7c00) return h; /* infinity stays one */
    return (uint16_t)((h & 0x8000) | moved);
}

/* Numbers of each group as they are stored. */
typedef struct stored {
    uint16_t scale[LANES], min[LANES];
} stored;

/* Tries the fp16 scale nearest to `exact` and its neighbours, each with the minimum that then fits
 * best when `with_min` (else 0), and keeps the pair with the least error of the values as they will
 * be decoded: value = scale * q + min, q in low..high. `best` gets the rounded numbers; an error
 * that stays infinite says that fp16 is too small for them. */
CLM_PART void round_choice(const batch *b, const choice *exact, bool with_min, float low,
                           float high, choice *best, stored *out)
{
    uint16_t nearest[LANES];
    choice tried;
    sums s;

    memset(out, 0, sizeof *out);
    memset(best, 0, sizeof *best);
    for (size_t l = 0; l < LANES; l++) {
        best->error[l] = INFINITY;
        nearest[l] = clm_float_to_half(exact->scale[l]);
    }
    sum_pass(b, exact->scale, exact->min, low, high, &s);
    for (int step = -1; step <= 1; step++) {
        stored halves = {{0}, {0}};

        for (size_t l = 0; l < LANES; l++) {
            halves.scale[l] = half_step(nearest[l], step);
            tried.scale[l] = clm_half_value(halves.scale[l]);
            if (with_min) {
                const float q_mean = s.q[l] / (float)b->n;
                halves.min[l] = clm_float_to_half(b->mean[l] - tried.scale[l] * q_mean);
            }
            tried.min[l] = clm_half_value(halves.min[l]);
        }
        error_pass(b, tried.scale, tried.min, low, high, tried.error);
        for (size_t l = 0; l < LANES; l++) {
            if (!(tried.error[l] < best->error[l])) continue;
            out->scale[l] = halves.scale[l];
            out->min[l] = halves.min[l];
        }
        keep_better(&tried, best);
    }
}

/* ---- Search without a minimum (Q4_0, Q8_0) --------------------------------------------------- */

/* Which q the largest value becomes: the asymmetric range of 4 bits is worth trying both ways. */
static const float clm_peaks_4[] = {-8.0f, -7.0f, -7.5f, -8.5f, -9.0f, 6.5f, 7.0f, 7.5f, 8.0f};
static const float clm_peaks_8[] = {127.0f};

CLM_PART void search_scale(const batch *b, const float *peaks, size_t n_peaks, float low,
                           float high, choice *best)
{
    choice tried;
    sums s;

    memset(best, 0, sizeof *best);
    memset(&tried, 0, sizeof tried);
    for (size_t i = 0; i < n_peaks + POLISH; i++) {
        for (size_t l = 0; l < LANES; l++) {
            const float peak = b->max[l] > -b->min[l] ? b->max[l] : b->min[l];

            tried.scale[l] = i < n_peaks ? peak / peaks[i] : best->scale[l];
        }
        sum_pass(b, tried.scale, tried.min, low, high, &s);
        for (size_t l = 0; l < LANES; l++) {
            tried.scale[l] = s.qq[l] > 0.0f ? s.qx[l] / s.qq[l] : 0.0f;
            tried.error[l] = -tried.scale[l] * s.qx[l];
        }
        keep_better(&tried, best);
    }
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Loads up to LANES groups of n elements; lanes beyond them are zero. `centred`: sums of a pass are
 * taken around the mean. */
CLM_PART void load_batch(const float *x, size_t groups, size_t n, bool centred, batch *b)
{
    b->n = n;
    if (groups < LANES) memset(b->x, 0, sizeof b->x);
    for (size_t l = 0; l < groups; l++)
        for (size_t k = 0; k < n; k++) b->x[k][l] = x[l * n + k];
    for (size_t l = 0; l < LANES; l++) {
        b->min[l] = b->max[l] = b->x[0][l];
        b->mean[l] = 0.0f;
    }
    for (size_t k = 0; k < n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float v = b->x[k][l];

            b->min[l] = v < b->min[l] ? v : b->min[l];
            b->max[l] = v > b->max[l] ? v : b->max[l];
            b->mean[l] += v;
        }
    }
    for (size_t l = 0; l < LANES; l++) b->mean[l] = centred ? b->mean[l] / (float)n : 0.0f;
}

/* The q of all lanes, raised by `offset` so that they are not negative where nibbles are packed. */
CLM_PART void round_values(const batch *b, const choice *c, float low, float high, float offset,
                           uint8_t q[MAX_GROUP][LANES])
{
    lanes inv;

    for (size_t l = 0; l < LANES; l++) inv[l] = inverse(c->scale[l]);
    for (size_t k = 0; k < b->n; k++) {
        for (size_t l = 0; l < LANES; l++) {
            const float v = clamp((b->x[k][l] - c->min[l]) * inv[l], low, high);
            q[k][l] = (uint8_t)(int32_t)(round_even(v) + offset);
        }
    }
}

CLM_PART void store_u16(uint8_t *out, uint16_t v)
{
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
}

/* How a type stores a group. */
typedef struct layout {
    size_t group;
    bool has_min;
    float low, high; /* range of q, as in value = scale * q + min */
    float offset;    /* from q to what is stored */
} layout;

CLM_PART layout layout_of(clm_qtype type)
{
    switch (type) {
    case CLM_QTYPE_INT4:
        return (layout){64, true, -8.0f, 7.0f, 8.0f};
    case CLM_QTYPE_Q4_1:
        return (layout){32, true, 0.0f, 15.0f, 0.0f};
    case CLM_QTYPE_Q4_0:
        return (layout){32, false, -8.0f, 7.0f, 8.0f};
    default: /* Q8_0; -128 is not used, as in ggml */
        return (layout){32, false, -127.0f, 127.0f, 0.0f};
    }
}

CLM_PART void store_block(const layout *to, const stored *s, const uint8_t q[MAX_GROUP][LANES],
                          size_t l, uint8_t *out)
{
    const size_t half = to->group / 2;

    store_u16(out, s->scale[l]);
    out += 2;
    if (to->has_min) {
        store_u16(out, s->min[l]);
        out += 2;
    }
    if (to->high > 15.0f) {
        for (size_t i = 0; i < to->group; i++) out[i] = q[i][l];
    } else {
        for (size_t i = 0; i < half; i++) out[i] = (uint8_t)(q[i][l] | q[i + half][l] << 4);
    }
}

CLM_VECTORISED static double encode_blocks(clm_qtype type, const float *x, size_t count,
                                           uint8_t *out)
{
    const layout to = layout_of(type);
    const size_t block_bytes = clm_qtype_bytes(type, to.group);
    double error = 0.0;
    batch b;

    for (size_t left = count / to.group; left > 0;) {
        const size_t n = left < LANES ? left : LANES;
        uint8_t q[MAX_GROUP][LANES];
        choice exact, best;
        stored halves;

        load_batch(x, n, to.group, to.has_min, &b);
        if (to.has_min)
            search_affine(&b, to.low, &exact);
        else if (to.high > 15.0f)
            search_scale(&b, clm_peaks_8, sizeof clm_peaks_8 / sizeof *clm_peaks_8, to.low, to.high,
                         &exact);
        else
            search_scale(&b, clm_peaks_4, sizeof clm_peaks_4 / sizeof *clm_peaks_4, to.low, to.high,
                         &exact);
        round_choice(&b, &exact, to.has_min, to.low, to.high, &best, &halves);
        round_values(&b, &best, to.low, to.high, to.offset, q);
        for (size_t l = 0; l < n; l++) {
            store_block(&to, &halves, q, l, out + l * block_bytes);
            error += (double)best.error[l];
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

        store_u16(out + 2 * i, half);
        error += d * d;
    }
    return error;
}

static double encode_f32(const float *x, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &x[i], sizeof bits);
        store_u16(out + 4 * i, (uint16_t)bits);
        store_u16(out + 4 * i + 2, (uint16_t)(bits >> 16));
    }
    return 0.0;
}

bool clm_encode_supported(clm_qtype type)
{
    switch (type) {
    case CLM_QTYPE_F32:
    case CLM_QTYPE_F16:
    case CLM_QTYPE_Q4_0:
    case CLM_QTYPE_Q4_1:
    case CLM_QTYPE_Q8_0:
    case CLM_QTYPE_INT4:
        return true;
    default:
        return false;
    }
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

    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &x[i], sizeof bits);
        any |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    for (size_t i = 0; any != 0 && i < count; i++)
        if (!isfinite(x[i])) return i;
    return count;
}

/* Apart, since clang 14 does not export a function that it makes for several processors. */
size_t clm_find_not_finite(const float *x, size_t count)
{
    return find_not_finite(x, count);
}
