/* tuning/key.c: see tuning/key.h. */
#include "tuning/key.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *clm_tune_reason_text(clm_tune_reason reason)
{
    static const char *const words[] = {
#define X(name, word) word,
        CLM_TUNE_REASON_LIST(X)
#undef X
    };

    return reason < CLM_TUNE_REASONS ? words[reason] : "?";
}

void clm_tune_rate(const clm_tune_device *device, double bytes, double flops, double ms,
                   double *rate, bool *arithmetic, double *share)
{
    const double s = 1e-3 * ms;
    const double memory_s = device->read_gbps > 0.0 ? bytes / (1e9 * device->read_gbps) : 0.0;
    const double math_s = device->fp32_gflops > 0.0 ? flops / (1e9 * device->fp32_gflops) : 0.0;

    *arithmetic = math_s > memory_s || (memory_s == 0.0 && flops > 20.0 * bytes);
    *rate = *share = 0.0;
    if (s <= 0.0) return;
    *rate = 1e-9 * (*arithmetic ? flops : bytes) / s;
    *share = (*arithmetic ? math_s : memory_s) / s;
    if (*share > 1.1) *share = 0.0;
}

const clm_op_desc *clm_op_find(const clm_op_table *table, const char *name)
{
    for (size_t i = 0; i < table->n; i++)
        if (strcmp(table->ops[i]->name, name) == 0) return table->ops[i];
    return NULL;
}

bool clm_tune_is_word(const char *text, const char *allowed)
{
    return *text != '\0' && text[strspn(text, allowed)] == '\0';
}

size_t clm_op_tokens_dim(const clm_op_desc *op)
{
    size_t i = 0;

    while (i < op->n_dims && strcmp(op->dims[i], "M") != 0) i++;
    return i;
}

void clm_shape_write(const clm_op_desc *op, const clm_shape *shape, char out[CLM_TUNE_SHAPE_TEXT])
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < op->n_dims && used < CLM_TUNE_SHAPE_TEXT; i++)
        used += (size_t)snprintf(out + used, CLM_TUNE_SHAPE_TEXT - used, "%s%s=%d",
                                 i > 0 ? " " : "", op->dims[i], shape->v[i]);
    for (size_t i = 0; i < 2 && used < CLM_TUNE_SHAPE_TEXT; i++) {
        char number[32];
        int digits = 1;

        if (shape->f[i] == 0.0f) continue;
        do { /* the shortest text that reads back */
            snprintf(number, sizeof number, "%.*g", digits, (double)shape->f[i]);
        } while (strtof(number, NULL) != shape->f[i] && digits++ < 9);
        used += (size_t)snprintf(out + used, CLM_TUNE_SHAPE_TEXT - used, "%sF%zu=%s",
                                 used > 0 ? " " : "", i, number);
    }
}

/* "NAME=" at `*text`, which is moved behind it. */
static bool take_name(const char **text, const char *name)
{
    const size_t n = strlen(name);

    *text += **text == ' ';
    if (strncmp(*text, name, n) != 0 || (*text)[n] != '=') return false;
    *text += n + 1;
    return true;
}

bool clm_shape_read(const clm_op_desc *op, const char *text, clm_shape *out)
{
    char again[CLM_TUNE_SHAPE_TEXT];
    const char *at = text;
    char *end;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < op->n_dims; i++) {
        long value;

        if (!take_name(&at, op->dims[i])) return false;
        errno = 0;
        value = strtol(at, &end, 10);
        if (end == at || errno != 0 || value < -(1L << 30) || value > 1L << 30) return false;
        out->v[i] = (int)value;
        at = end;
    }
    for (size_t i = 0; i < 2; i++) {
        const char *before = at;
        float value;

        if (!take_name(&at, i == 0 ? "F0" : "F1")) {
            at = before;
            continue;
        }
        value = strtof(at, &end);
        if (end == at || !isfinite(value)) return false;
        out->f[i] = value;
        at = end;
    }
    clm_shape_write(op, out, again); /* nothing behind it, no other spelling */
    return strcmp(again, text) == 0;
}

clm_status clm_tune_key_make(const clm_op_desc *op, const clm_shape *shape, clm_tune_key *out,
                             clm_err *err)
{
    memset(out, 0, sizeof *out);
    snprintf(out->op, sizeof out->op, "%s", op->name);
    clm_shape_write(op, shape, out->shape);
    return clm_op_hash(op, out->source, err);
}

bool clm_tune_key_same(const clm_tune_key *a, const clm_tune_key *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->shape, b->shape) == 0 &&
           strcmp(a->source, b->source) == 0;
}

size_t clm_params_name(const clm_op_desc *op, const int *params,
                       clm_tune_param out[CLM_TUNE_MAX_PARAMS])
{
    for (size_t i = 0; i < op->n_axes; i++) {
        snprintf(out[i].name, sizeof out[i].name, "%s", op->axes[i].name);
        out[i].value = params[i];
    }
    return op->n_axes;
}

static bool axis_has(const clm_axis *axis, int value)
{
    for (size_t i = 0; i < axis->n_values; i++)
        if (axis->values[i] == value) return true;
    return false;
}

bool clm_params_read(const clm_op_desc *op, const clm_tune_entry *entry, int params[CLM_MAX_AXES])
{
    memset(params, 0, CLM_MAX_AXES * sizeof *params);
    if (entry->n_params != op->n_axes) return false;
    for (size_t a = 0; a < op->n_axes; a++) {
        size_t found = 0;

        for (size_t i = 0; i < entry->n_params; i++) {
            if (strcmp(entry->params[i].name, op->axes[a].name) != 0) continue;
            params[a] = entry->params[i].value;
            found++;
        }
        if (found != 1 || !axis_has(&op->axes[a], params[a])) return false;
    }
    return true;
}

#define COPY(field, from) snprintf(out->field, sizeof out->field, "%s", from)

void clm_tune_device_describe(const clm_caps *caps, clm_tune_device *out)
{
    static const char *const types[] = {"cpu", "gpu", "other"};

    memset(out, 0, sizeof *out);
    COPY(vendor, caps->vendor);
    COPY(name, caps->name);
    COPY(type, types[caps->type]);
    COPY(driver, caps->driver);
    COPY(platform, caps->platform_name);
    out->units = caps->compute_units;
    snprintf(out->arch, sizeof out->arch, "%s group %zu local %llu KB%s%s%s%s", types[caps->type],
             caps->max_group_size, (unsigned long long)(caps->local_mem >> 10),
             caps->fp16 ? " fp16" : "", caps->subgroups ? " subgroups" : "",
             caps->intel_subgroups ? " intel" : "", caps->integer_dot_product ? " dot" : "");
}
