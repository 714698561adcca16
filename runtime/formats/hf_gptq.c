/* hf_gptq.c: linear layers packed by GPTQ, in the format that AutoGPTQ wrote first; see hf_model.h
 * and clm_gptq. */
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/hf_model.h"

/* The parts of a layer. */
typedef struct parts {
    const char *base;
    const clm_stored *qweight, *qzeros, *scales, *g_idx;
} parts;

static clm_status fail_layer(const parts *p, const char *defect, clm_err *err)
{
    return clm_fail(err, CLM_E_MODEL, "%s: GPTQ layer '%s': %s", p->qweight->file, p->base, defect);
}

static bool is_matrix(const clm_stored *t, clm_dtype dtype, size_t rows, size_t cols)
{
    return t->dtype == dtype && t->rank == 2 && t->dims[0] == rows && t->dims[1] == cols;
}

static clm_status check_shapes(const parts *p, const clm_gptq *g, size_t cols, clm_err *err)
{
    const size_t per_word = 32 / (size_t)g->bits;

    if (g->stride % per_word != 0 || cols % 32 != 0 || cols == 0 || cols % g->group != 0) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: GPTQ layer '%s': %zu columns do not divide into groups of %zu, or %zu "
                        "rows into words",
                        p->qweight->file, p->base, cols, g->group, g->stride);
    }
    const size_t groups = cols / g->group;
    if (!is_matrix(p->scales, CLM_DTYPE_F16, groups, g->stride) ||
        !is_matrix(p->qzeros, CLM_DTYPE_I32, groups, g->stride / per_word)) {
        return clm_fail(
            err, CLM_E_MODEL,
            "%s: GPTQ layer '%s': scales (F16) and qzeros do not have the %zu groups that "
            "the configuration and qweight make",
            p->qweight->file, p->base, groups);
    }
    if (p->g_idx != NULL &&
        (p->g_idx->dtype != CLM_DTYPE_I32 || p->g_idx->rank != 1 || p->g_idx->dims[0] != cols))
        return fail_layer(p, "g_idx does not have one number (I32) for each column", err);
    return CLM_OK;
}

/* Whether all zeros are the middle of the range: stored less one, 7 or 127. */
static bool is_symmetric(const clm_stored *qzeros, int bits)
{
    const uint8_t middle = bits == 4 ? 0x77 : 0x7f;

    for (size_t i = 0; i < qzeros->bytes; i++)
        if (qzeros->data[i] != middle) return false;
    return true;
}

/* Groups by g_idx. When they are consecutive it is forgotten; otherwise columns are sorted by group,
 * and the order is kept. Every group must have as many columns as the others. */
static clm_status sort_columns(clm__hf *hf, const parts *p, clm_gptq *g, size_t cols,
                               const uint32_t **order, clm_err *err)
{
    const size_t groups = cols / g->group;
    clm_model_file *mf = hf->mf;
    bool consecutive = true;
    size_t *next;
    uint32_t *sorted;

    *order = NULL;
    for (size_t k = 0; k < cols; k++) {
        const uint32_t group = clm_load_u32(p->g_idx->data + 4 * k);

        if (group >= groups) return fail_layer(p, "g_idx names a group that does not exist", err);
        if (group != k / g->group) consecutive = false;
    }
    if (consecutive) return CLM_OK;
    g->g_idx = p->g_idx->data;
    next = malloc(groups * sizeof *next);
    mf->column_orders[mf->n_column_orders++] = sorted = malloc(cols * sizeof *sorted);
    if (next == NULL || sorted == NULL) {
        free(next);
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    }
    for (size_t i = 0; i < groups; i++) next[i] = i * g->group;
    for (size_t k = 0; k < cols; k++) {
        const uint32_t group = clm_load_u32(g->g_idx + 4 * k);

        if (next[group] == (group + 1) * g->group) {
            free(next);
            return fail_layer(p, "its groups (g_idx) are not of one size", err);
        }
        sorted[next[group]++] = (uint32_t)k;
    }
    free(next);
    *order = sorted;
    return CLM_OK;
}

clm_status clm__hf_gptq(clm__hf *hf, const char *base, clm_tensor *out, bool *found, clm_err *err)
{
    parts p = {.base = base, .qweight = clm__hf_find(hf, base, ".qweight")};
    clm_model_file *mf = hf->mf;
    clm_gptq *g = &mf->gptq[mf->n_gptq];
    const uint32_t *order = NULL;
    clm_status st = CLM_OK;

    *found = p.qweight != NULL;
    if (!*found) return CLM_OK;
    p.qzeros = clm__hf_find(hf, base, ".qzeros");
    p.scales = clm__hf_find(hf, base, ".scales");
    p.g_idx = clm__hf_find(hf, base, ".g_idx");
    if (hf->bits == 0)
        return fail_layer(&p, "quantize_config.json, which says how it is packed, is missing", err);
    if (p.qzeros == NULL || p.scales == NULL)
        return fail_layer(&p, "qzeros or scales are missing", err);
    if (p.qweight->dtype != CLM_DTYPE_I32 || p.qweight->rank != 2 ||
        p.qweight->dims[0] > SIZE_MAX / 8)
        return fail_layer(&p, "qweight is no matrix of I32", err);
    const size_t cols = p.qweight->dims[0] * (32 / (size_t)hf->bits);
    *g = (clm_gptq){.bits = hf->bits,
                    .group = hf->group != 0 ? hf->group : cols,
                    .stride = p.qweight->dims[1],
                    .qweight = p.qweight->data,
                    .qzeros = p.qzeros->data,
                    .scales = p.scales->data};
    st = g->group == 0 ? fail_layer(&p, "it has no columns", err) : check_shapes(&p, g, cols, err);
    if (st == CLM_OK && p.g_idx != NULL) st = sort_columns(hf, &p, g, cols, &order, err);
    if (st != CLM_OK) return st;
    g->symmetric = is_symmetric(p.qzeros, g->bits);
    mf->n_gptq++;
    *out = (clm_tensor){.name = p.qweight->name,
                        .rows = g->stride,
                        .cols = cols,
                        .bytes = p.qweight->bytes + p.qzeros->bytes + p.scales->bytes +
                                 (p.g_idx != NULL ? p.g_idx->bytes : 0),
                        .gptq = g,
                        .column_order = order};
    return CLM_OK;
}
