/* runtime/ops/ref_linear.c: a fused product of one token, step by step.
 *
 * Layer    runtime. Plain C.
 */
#include <math.h>
#include <stdlib.h>

#include "runtime/ops/act.h"
#include "runtime/ops/op_linear.h"
#include "runtime/ops/ref.h"
#include "runtime/ops/ref_weight.h"

/* x as numbers, with the factor of the normalisation. */
static void read_input(const clm_case *c, double *x)
{
    const int *v = c->shape.v;
    const float *part = c->bufs[CLM_LINEAR_PART].data, *d = c->bufs[CLM_LINEAR_XD].data;
    double factor = 1.0, sum = 0.0;

    for (int i = 0; i < v[CLM_LINEAR_N_PART] && v[CLM_LINEAR_NORM]; i++) sum += (double)part[i];
    if (v[CLM_LINEAR_NORM]) factor = 1.0 / sqrt(sum / v[CLM_LINEAR_K] + (double)c->shape.f[0]);
    for (int k = 0; k < v[CLM_LINEAR_K]; k++) {
        const void *data = c->bufs[CLM_LINEAR_X].data;

        x[k] =
            factor * (v[CLM_LINEAR_ACT] ? (double)d[k / CLM_ACT_GROUP] * ((const int8_t *)data)[k]
                                        : (double)((const float *)data)[k]);
    }
}

/* `row` has room for one. */
static double product(const clm_ref_weight *w, const double *x, size_t n, double *row)
{
    double sum = 0.0;

    clm_ref_weight_row(w, n, row);
    for (size_t k = 0; k < w->layout.columns; k++) sum += x[k] * row[k];
    return sum;
}

/* Writes `count` output activations from element `first` on (a multiple of 32 for int8). */
static void write_output(clm_case *c, const double *x, size_t first, size_t count)
{
    clm_case_buffer *out = &c->bufs[CLM_LINEAR_OUT];
    float *d = c->bufs[CLM_LINEAR_OUT_D].expected;
    int32_t *s = c->bufs[CLM_LINEAR_OUT_S].expected;

    clm_ref_untouched(out);
    if (!c->shape.v[CLM_LINEAR_OUT_ACT]) {
        for (size_t i = 0; i < count; i++) ((float *)out->expected)[first + i] = (float)x[i];
        return;
    }
    clm_ref_untouched(&c->bufs[CLM_LINEAR_OUT_D]);
    clm_ref_untouched(&c->bufs[CLM_LINEAR_OUT_S]);
    clm_ref_act_store(x, count / CLM_ACT_GROUP, (int8_t *)out->expected + first,
                      d + first / CLM_ACT_GROUP, s + first / CLM_ACT_GROUP);
}

static void residual(clm_case *c, double *v, size_t rows, size_t row0)
{
    const float *before = c->bufs[CLM_LINEAR_Y].data, *gamma = c->bufs[CLM_LINEAR_GAMMA].data;
    float *y = c->bufs[CLM_LINEAR_Y].expected, *part = c->bufs[CLM_LINEAR_PART_OUT].expected;

    clm_ref_untouched(&c->bufs[CLM_LINEAR_PART_OUT]);
    for (size_t n = 0; n < row0; n++) y[n] = before[n];
    for (size_t n = 0; n < rows; n += 32) {
        double sum = 0.0;

        for (size_t i = n; i < rows && i < n + 32; i++) {
            v[i] += (double)before[row0 + i];
            y[row0 + i] = (float)v[i];
            sum += v[i] * v[i];
            v[i] *= (double)gamma[row0 + i];
        }
        part[(row0 + n) / 32] = (float)sum;
    }
    write_output(c, v, row0, rows);
}

static void swiglu(clm_case *c, double *v, size_t rows, size_t row0)
{
    for (size_t i = 0; i < rows / 2; i++) {
        const size_t gate = i / 16 * 32 + i % 16;

        v[i] = v[gate] / (1.0 + exp(-v[gate])) * v[gate + 16];
    }
    write_output(c, v, row0 / 2, rows / 2);
}

void clm_ref_linear(clm_case *c)
{
    const int *v = c->shape.v;
    const clm_weight_layout layout =
        clm_weight_layout_of(v[CLM_LINEAR_FORMAT], v[CLM_LINEAR_N], v[CLM_LINEAR_K],
                             v[CLM_LINEAR_GROUP], v[CLM_LINEAR_HAS_MIN]);
    const clm_ref_weight w = clm_ref_weight_of(c, &layout);
    const size_t rows = layout.rows, row0 = (size_t)v[CLM_LINEAR_ROW0];
    double *x = malloc(layout.columns * sizeof *x), *y = malloc(rows * sizeof *y);
    double *row = malloc(layout.columns * sizeof *row);
    float *out = c->bufs[CLM_LINEAR_Y].expected;

    if (x == NULL || y == NULL || row == NULL) abort(); /* a test's memory */
    read_input(c, x);
    for (size_t n = 0; n < rows; n++) y[n] = product(&w, x, n, row);
    if (v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_STORE) {
        clm_ref_untouched(&c->bufs[CLM_LINEAR_Y]);
        for (size_t n = 0; n < rows; n++) out[row0 + n] = (float)y[n];
    } else if (v[CLM_LINEAR_EPILOGUE] == CLM_LINEAR_RESIDUAL) {
        residual(c, y, rows, row0);
    } else {
        swiglu(c, y, rows, row0);
    }
    free(x);
    free(y);
    free(row);
}
