/* tuning/op_run.c: cases on the host, and one checked run of an operator on a device.
 *
 * Layer    tuning.
 */
#include "tuning/op_desc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/hash.h"

/* Elements behind each output that a kernel must leave alone, and what stands there. */
enum { GUARD_ELEMS = 64, GUARD_BYTE = 0xA5, UNWRITTEN_BYTE = 0xFF };

clm_shape clm_op_tune_shape(const clm_op_desc *op, size_t i, const clm_caps *caps)
{
    clm_shape shape = op->tune_shapes[i];

    if (op->fit != NULL) op->fit(&shape, caps);
    return shape;
}

void clm_case_clear(clm_case *c)
{
    if (c == NULL) return;
    for (size_t i = 0; i < CLM_MAX_BUFFERS; i++) {
        free(c->bufs[i].data);
        free(c->bufs[i].expected);
    }
    memset(c->bufs, 0, sizeof c->bufs);
    c->n_bufs = 0;
}

void *clm_case_add(clm_case *c, const char *name, clm_elem type, size_t count, clm_case_role role)
{
    clm_case_buffer *b;

    if (c->n_bufs >= CLM_MAX_BUFFERS) return NULL;
    b = &c->bufs[c->n_bufs];
    b->data = calloc(count > 0 ? count : 1, clm_elem_bytes(type));
    if (role != CLM_CASE_IN) b->expected = calloc(count > 0 ? count : 1, clm_elem_bytes(type));
    if (b->data == NULL || (role != CLM_CASE_IN && b->expected == NULL)) {
        free(b->data);
        free(b->expected);
        memset(b, 0, sizeof *b);
        return NULL;
    }
    b->name = name;
    b->type = type;
    b->count = count;
    b->role = role;
    c->n_bufs++;
    return b->data;
}

clm_status clm_op_build(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                        const int *params, clm_program **prog, clm_kernel **kernel, clm_err *err)
{
    clm_define defs[CLM_MAX_DEFINES];
    size_t n;
    clm_status st;

    *prog = NULL;
    *kernel = NULL;
    if (op->run != NULL) return CLM_OK;
    n = op->defines(shape, params, defs);
    st = op->text != NULL ? clm_program_create_text(dev, op->name, op->text, defs, n, prog, err)
                          : clm_program_create(dev, op->name, defs, n, prog, err);
    if (st == CLM_OK) st = clm_kernel_create(*prog, op->entry, kernel, err);
    if (st != CLM_OK) {
        clm_program_destroy(*prog);
        *prog = NULL;
    }
    return st;
}

bool clm_op_same_program(const clm_op_desc *op, const int *params, const clm_shape *a,
                         const clm_shape *b)
{
    clm_define x[CLM_MAX_DEFINES], y[CLM_MAX_DEFINES];
    const size_t n = op->defines(a, params, x);

    if (op->defines(b, params, y) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(x[i].name, y[i].name) != 0 || x[i].value != y[i].value) return false;
    return true;
}

clm_status clm_op_launch(const clm_op_desc *op, clm_kernel *kernel, const clm_shape *shape,
                         const int *params, clm_buffer *const *bufs, clm_err *err)
{
    clm_range range;
    clm_status st;

    if (op->run != NULL) return op->run(clm_buffer_device(bufs[0]), shape, params, bufs, err);
    st = op->bind(kernel, shape, params, bufs, &range, err);
    return st != CLM_OK ? st : clm_kernel_enqueue(kernel, &range, err);
}

/* What was refused under a wrong description (its tolerance, its arguments) may be right under another. */
static clm_status hash_described(const clm_op_desc *op, char out[33], clm_err *err)
{
    clm_hash *h = NULL;
    clm_status st = clm_hash_create(&h, err);

    if (st != CLM_OK) return st;
    clm_hash_add_text(h, op->text);
    clm_hash_add_text(h, op->space);
    clm_hash_hex(h, out);
    clm_hash_destroy(h);
    return CLM_OK;
}

clm_status clm_op_hash(const clm_op_desc *op, char out[33], clm_err *err)
{
    if (op->run != NULL) return clm_program_hash_text(op->name, out, err);
    if (op->text == NULL) return clm_program_hash(op->name, out, err);
    if (op->space == NULL) return clm_program_hash_text(op->text, out, err);
    return hash_described(op, out, err);
}

/* Inputs get exactly their size, so that a checker of memory accesses sees reads behind them. */
clm_status clm_case_stage(clm_device *dev, const clm_case_buffer *b, clm_buffer **out, clm_err *err)
{
    const size_t unit = clm_elem_bytes(b->type), guard = b->role == CLM_CASE_IN ? 0 : GUARD_ELEMS;
    unsigned char *all;
    clm_status st;

    *out = NULL;
    if (b->count == 0)
        return clm_fail(err, CLM_E_INTERNAL, "buffer %s of a case is empty", b->name);
    all = malloc((b->count + guard) * unit);
    if (all == NULL)
        return clm_fail(err, CLM_E_NOMEM, "no memory for buffer %s of a case", b->name);
    if (b->role == CLM_CASE_OUT)
        memset(all, UNWRITTEN_BYTE, b->count * unit);
    else
        memcpy(all, b->data, b->count * unit);
    memset(all + b->count * unit, GUARD_BYTE, guard * unit);
    st = clm_buffer_create(dev, b->type, b->count + guard, out, err);
    /* In one piece: Oclgrind 21.10 takes what earlier pieces wrote for uninitialised again. */
    if (st == CLM_OK) st = clm_buffer_write(*out, 0, b->count + guard, all, err);
    free(all);
    return st;
}

static double half_value(uint16_t h)
{
    const int exponent = (h >> 10) & 31, mantissa = h & 1023;
    double v;

    if (exponent == 31)
        v = mantissa != 0 ? (double)NAN : (double)INFINITY;
    else
        v = exponent == 0 ? ldexp(mantissa, -24) : ldexp(mantissa + 1024, exponent - 25);
    return (h & 0x8000) != 0 ? -v : v;
}

static double element_value(clm_elem type, const void *data, size_t i)
{
    const unsigned char *p = (const unsigned char *)data + i * clm_elem_bytes(type);
    uint32_t bits;
    uint16_t h;
    int32_t n;
    float f;

    switch (type) {
    case CLM_ELEM_U8:
        return *p;
    case CLM_ELEM_I8:
        return (int8_t)*p;
    case CLM_ELEM_F16:
        memcpy(&h, p, sizeof h);
        return half_value(h);
    case CLM_ELEM_BF16:
        memcpy(&h, p, sizeof h);
        bits = (uint32_t)h << 16;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    case CLM_ELEM_I32:
        memcpy(&n, p, sizeof n);
        return n;
    case CLM_ELEM_F32:
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    return (double)NAN;
}

static clm_status check_guard(const clm_op_desc *op, const clm_case_buffer *b,
                              const unsigned char *guard, clm_err *err)
{
    for (size_t i = 0; i < GUARD_ELEMS * clm_elem_bytes(b->type); i++)
        if (guard[i] != GUARD_BYTE)
            return clm_fail(err, CLM_E_SELFTEST,
                            "%s wrote behind the end of buffer %s (%zu bytes on)", op->name,
                            b->name, i + 1);
    return CLM_OK;
}

clm_status clm_case_guards(const clm_op_desc *op, const clm_case_buffer *b, const clm_buffer *buf,
                           clm_err *err)
{
    unsigned char guard[GUARD_ELEMS * sizeof(float)];
    clm_status st = CLM_OK;

    if (b->role == CLM_CASE_IN) return CLM_OK;
    st = clm_buffer_read(buf, b->count, GUARD_ELEMS, guard, err);
    return st != CLM_OK ? st : check_guard(op, b, guard, err);
}

/* Compares one output. Equal bytes are equal whatever they mean (an element left unwritten on
 * purpose); a NaN that the reference computed too is right; any other NaN is wrong. */
static clm_status compare(const clm_op_desc *op, const clm_case_buffer *b, const void *got,
                          double *worst, clm_err *err)
{
    const size_t bytes = clm_elem_bytes(b->type);
    const unsigned char *g = got, *e = b->expected;
    const bool alone = b->atol > 0.0f && b->rtol == 0.0f;
    const double atol = (double)(b->atol > 0.0f ? b->atol : op->atol),
                 rtol = alone ? 0.0 : (double)(b->rtol > 0.0f ? b->rtol : op->rtol);
    size_t bad = b->count, n_bad = 0;

    for (size_t i = 0; i < b->count; i++) {
        double x, want, limit, ratio;

        if (memcmp(g + i * bytes, e + i * bytes, bytes) == 0) continue;
        x = element_value(b->type, g, i);
        want = element_value(b->type, e, i);
        if (x == want || (isnan(x) && isnan(want))) continue;
        limit = atol + rtol * fabs(want);
        ratio = fabs(x - want) / limit;
        if (!(ratio <= (double)INFINITY)) ratio = (double)INFINITY;
        if (ratio > *worst) *worst = ratio;
        if (ratio <= 1.0) continue;
        if (n_bad++ == 0) bad = i;
    }
    if (check_guard(op, b, g + b->count * bytes, err) != CLM_OK) {
        *worst = (double)INFINITY;
        return CLM_E_SELFTEST;
    }
    if (n_bad == 0) return CLM_OK;
    return clm_fail(
        err, CLM_E_SELFTEST,
        "%s: element %zu of buffer %s is %.9g instead of %.9g; %zu of %zu elements differ",
        op->name, bad, b->name, element_value(b->type, g, bad), element_value(b->type, e, bad),
        n_bad, b->count);
}

static clm_status check_outputs(const clm_op_desc *op, const clm_case *c, clm_buffer *const *bufs,
                                double *worst, clm_err *err)
{
    clm_status st = CLM_OK;

    for (size_t i = 0; i < c->n_bufs && st == CLM_OK; i++) {
        const clm_case_buffer *b = &c->bufs[i];
        void *got;

        if (b->role == CLM_CASE_IN) continue;
        got = malloc((b->count + GUARD_ELEMS) * clm_elem_bytes(b->type));
        if (got == NULL) return clm_fail(err, CLM_E_NOMEM, "no memory to check %s", op->name);
        st = clm_buffer_read(bufs[i], 0, b->count + GUARD_ELEMS, got, err);
        if (st == CLM_OK) st = compare(op, b, got, worst, err);
        free(got);
    }
    return st;
}

clm_status clm_op_check_kernel(const clm_op_desc *op, clm_device *dev, clm_kernel *kernel,
                               const clm_case *c, const int *params, double *worst, clm_err *err)
{
    clm_buffer *bufs[CLM_MAX_BUFFERS] = {NULL};
    clm_status st = CLM_OK;
    double ignored;

    if (worst == NULL) worst = &ignored;
    *worst = 0.0;
    for (size_t i = 0; i < c->n_bufs && st == CLM_OK; i++)
        st = clm_case_stage(dev, &c->bufs[i], &bufs[i], err);
    if (st == CLM_OK) st = clm_op_launch(op, kernel, &c->shape, params, bufs, err);
    if (st == CLM_OK) st = clm_device_finish(dev, err);
    if (st == CLM_OK) st = check_outputs(op, c, bufs, worst, err);
    for (size_t i = 0; i < c->n_bufs; i++) clm_buffer_destroy(bufs[i]);
    return st;
}

clm_status clm_op_check(const clm_op_desc *op, clm_device *dev, const clm_case *c,
                        const int *params, double *worst, clm_err *err)
{
    clm_program *prog;
    clm_kernel *kernel;
    clm_status st;

    if (worst != NULL) *worst = 0.0;
    st = clm_op_build(op, dev, &c->shape, params, &prog, &kernel, err);
    if (st == CLM_OK) st = clm_op_check_kernel(op, dev, kernel, c, params, worst, err);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
    return st;
}
