/* plan.c: see plan.h. */
#include "runtime/quantize/plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/quantize/exact.h"

/* Errors in the output matrix reach the logits directly, and those in the embedding every layer, so
 * the 4-bit types keep both in 8 bits; docs/quantisation.md has the measurements. */
static const clm_quantize_type k_types[] = {
    {"int4", CLM_QTYPE_INT4, CLM_QTYPE_Q8_0, -1}, {"int8", CLM_QTYPE_Q8_0, CLM_QTYPE_Q8_0, 7},
    {"q4_0", CLM_QTYPE_Q4_0, CLM_QTYPE_Q8_0, 2},  {"q4_1", CLM_QTYPE_Q4_1, CLM_QTYPE_Q8_0, 3},
    {"q8_0", CLM_QTYPE_Q8_0, CLM_QTYPE_Q8_0, 7},  {"f16", CLM_QTYPE_F16, CLM_QTYPE_F16, 1},
    {"f32", CLM_QTYPE_F32, CLM_QTYPE_F32, 0},
};

const clm_quantize_type *clm_quantize_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof k_types / sizeof k_types[0]; i++)
        if (strcasecmp(k_types[i].name, name) == 0) return &k_types[i];
    return NULL;
}

const char *clm_quantize_type_list(void)
{
    return "int4, int8, q4_0, q4_1, q8_0, f16 or f32";
}

/* The smallest type, from `wanted` upwards, whose blocks fill the rows, and that loses nothing where
 * F16 is wanted. */
static clm_qtype type_for(clm_qtype wanted, const clm_tensor *from)
{
    clm_qtype type = wanted;

    while (from->cols % clm_qtype_info_get((uint32_t)type)->block_elems != 0)
        type = type == CLM_QTYPE_INT4 ? CLM_QTYPE_Q4_1 : CLM_QTYPE_F16;
    if (type != CLM_QTYPE_F16 || from->gptq == NULL) return type;
    return clm_exact_possible(from, CLM_QTYPE_Q8_0) ? CLM_QTYPE_Q8_0 : CLM_QTYPE_F32;
}

/* Whether F16 would have rounded the tensor, which got a type that does not. */
static bool is_kept_exact(const clm_plan_tensor *t)
{
    return t->from->gptq != NULL && t->wanted == CLM_QTYPE_F16;
}

static void tell_fallback(const clm_plan_tensor *t, const clm_observer *obs)
{
    const clm_qtype_info *info = clm_qtype_info_get((uint32_t)t->wanted);

    clm_log(obs, CLM_LOG_INFO,
            "rows of %zu elements (%s and others) are no whole blocks of %zu as %s needs: stored "
            "as %s",
            t->from->cols, t->name, info->block_elems, info->name,
            clm_qtype_name((uint32_t)t->type));
}

static void tell_kept_exact(const clm_plan *plan, const clm_observer *obs)
{
    size_t n_q8_0 = 0, n_f32 = 0;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        if (!is_kept_exact(&plan->tensors[i])) continue;
        n_q8_0 += plan->tensors[i].type == CLM_QTYPE_Q8_0;
        n_f32 += plan->tensors[i].type == CLM_QTYPE_F32;
    }
    if (n_q8_0 > 0)
        clm_log(
            obs, CLM_LOG_INFO,
            "F16 would round %zu matrices packed by GPTQ: stored as Q8_0, which holds them exactly",
            n_q8_0);
    if (n_f32 > 0)
        clm_log(obs, CLM_LOG_INFO,
                "F16 would round %zu matrices packed by GPTQ, and so would Q8_0 (desc_act, groups "
                "of 16, 8 bits with zeros, or a normalised head): stored as F32",
                n_f32);
}

/* Adds the tensor of a role in type `wanted`, or a larger one. */
static void add_tensor(clm_plan *plan, clm_weight_role role, size_t layer, clm_qtype wanted,
                       const clm_observer *obs)
{
    clm_plan_tensor *t = &plan->tensors[plan->n_tensors];

    t->from = clm_model_file_weight(plan->model, role, layer);
    clm__gguf_tensor_name(role, layer, t->name);
    t->vector = role == CLM_W_OUT_NORM || role == CLM_W_ATTN_NORM || role == CLM_W_FFN_NORM;
    t->wanted = t->vector ? CLM_QTYPE_F32 : wanted;
    t->type = type_for(t->wanted, t->from);
    t->row_bytes = clm_qtype_bytes(t->type, t->from->cols);
    t->bytes = (uint64_t)t->row_bytes * t->from->rows;
    plan->source_bytes += t->from->bytes;
    if (t->type != t->wanted) {
        bool told = is_kept_exact(t); /* in one sentence for all */

        for (size_t i = 0; i < plan->n_tensors && !told; i++)
            told = plan->tensors[i].from->cols == t->from->cols &&
                   plan->tensors[i].type == t->type && plan->tensors[i].wanted == t->wanted;
        if (!told) tell_fallback(t, obs);
        plan->n_fallbacks++;
    }
    plan->n_tensors++;
}

int32_t clm_plan_file_type(const clm_plan *plan)
{
    int32_t file_type = plan->type->file_type;
    size_t most = 0;

    for (size_t i = 0; i < sizeof k_types / sizeof k_types[0]; i++) {
        size_t count = 0;

        for (size_t j = 0; j < plan->n_tensors; j++)
            count += !plan->tensors[j].vector && plan->tensors[j].type == k_types[i].layers;
        if (count <= most) continue;
        most = count;
        file_type = k_types[i].file_type;
    }
    return file_type;
}

static clm_status write_header(const clm_plan *plan, const uint64_t *sums, uint64_t *places,
                               uint8_t **header, size_t *bytes, uint64_t *data_bytes, clm_err *err)
{
    clm_gguf_writer *w = NULL;
    clm_status st = clm_gguf_writer_create(&w, err);

    *header = NULL;
    if (st == CLM_OK) st = clm_plan_put_keys(plan, w, err);
    if (st != CLM_OK) goto out;
    clm_gguf_put_string(w, CLM_KEY_WEIGHTS, plan->type->name);
    clm_gguf_put_u64s(w, CLM_KEY_CHECKSUMS, sums, plan->n_tensors);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const clm_plan_tensor *t = &plan->tensors[i];
        const uint64_t place =
            clm_gguf_put_tensor(w, t->name, t->from->rows, t->from->cols, t->vector, t->type);

        if (places != NULL) places[i] = place;
    }
    if (data_bytes != NULL) *data_bytes = clm_gguf_writer_data_bytes(w);
    st = clm_gguf_writer_finish(w, header, bytes, err);
out:
    clm_gguf_writer_destroy(w);
    return st;
}

/* Finds out where data lie, from a header with empty sums. */
static clm_status place_tensors(clm_plan *plan, clm_err *err)
{
    uint64_t *sums = calloc(plan->n_tensors, sizeof *sums),
             *places = calloc(plan->n_tensors, sizeof *places), data_bytes = 0;
    uint8_t *header = NULL;
    clm_status st;

    if (sums == NULL || places == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "quantize: no memory");
        goto out;
    }
    st = write_header(plan, sums, places, &header, &plan->header_bytes, &data_bytes, err);
    if (st != CLM_OK) goto out;
    for (size_t i = 0; i < plan->n_tensors; i++)
        plan->tensors[i].place = plan->header_bytes + places[i];
    plan->file_bytes = plan->header_bytes + data_bytes;
out:
    free(sums);
    free(places);
    free(header);
    return st;
}

clm_status clm_plan_create(const clm_model_file *model, const clm_quantize_type *type,
                           const clm_quantize_type *head, const clm_quantize_type *embedding,
                           const clm_observer *obs, clm_plan *out, clm_err *err)
{
    enum { LAYER_ROLES = CLM_W_DOWN - CLM_W_ATTN_NORM + 1, OTHERS = 3 };
    const clm_hparams *hp = clm_model_file_hparams(model);
    const clm_qtype head_type = head != NULL ? head->layers : type->ends,
                    embedding_type = embedding != NULL ? embedding->layers : type->ends;
    clm_status st;

    memset(out, 0, sizeof *out);
    out->model = model;
    out->type = type;
    out->tensors = calloc(OTHERS + hp->n_layers * LAYER_ROLES, sizeof *out->tensors);
    if (out->tensors == NULL) return clm_fail(err, CLM_E_NOMEM, "quantize: no memory");
    /* A tied matrix serves as both; the output asks for more. */
    add_tensor(out, CLM_W_EMBED, 0, hp->tied_head ? head_type : embedding_type, obs);
    for (size_t layer = 0; layer < hp->n_layers; layer++)
        for (int role = CLM_W_ATTN_NORM; role <= CLM_W_DOWN; role++)
            add_tensor(out, (clm_weight_role)role, layer, type->layers, obs);
    add_tensor(out, CLM_W_OUT_NORM, 0, CLM_QTYPE_F32, obs);
    if (!hp->tied_head) add_tensor(out, CLM_W_HEAD, 0, head_type, obs);
    tell_kept_exact(out, obs);
    st = place_tensors(out, err);
    if (st != CLM_OK) clm_plan_clear(out);
    return st;
}

void clm_plan_clear(clm_plan *plan)
{
    free(plan->tensors);
    memset(plan, 0, sizeof *plan);
}

clm_status clm_plan_header(const clm_plan *plan, const uint64_t *sums, uint8_t **header,
                           clm_err *err)
{
    size_t bytes = 0;
    clm_status st = write_header(plan, sums, NULL, header, &bytes, NULL, err);

    if (st == CLM_OK && bytes != plan->header_bytes) { /* the source file was changed under us */
        free(*header);
        *header = NULL;
        st = clm_fail(err, CLM_E_MODEL, "%s: changed while it was read",
                      clm_model_file_path(plan->model));
    }
    return st;
}
