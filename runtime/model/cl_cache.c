/* runtime/model/cl_cache.c: the caches of keys and values of the OpenCL backend, one for each layer of each
 * sequence. See backend.h, add_sequence.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/model/backend_cl_impl.h"
#include "runtime/model/shapes.h"
#include "runtime/ops/kv_layout.h"

/* Of one sequence. */
static void clear(const clm_backend_cl *b, clm_cl_kv *layers)
{
    for (size_t i = 0; i < b->part.n; i++) {
        clm_buffer_destroy(layers[i].k);
        clm_buffer_destroy(layers[i].v);
        clm_buffer_destroy(layers[i].k_scale);
        clm_buffer_destroy(layers[i].v_scale);
        clm_buffer_destroy(layers[i].k_max);
    }
}

/* Of one sequence: its caches, one a layer. */
static clm_status create(clm_backend_cl *b, clm_cl_kv *layers, clm_err *err)
{
    clm_elem type = clm_cache_elem((int)b->kv.type);
    size_t positions = clm_kv_scales(b->kv.n_kv_heads, b->kv.ctx);
    size_t count = clm_kv_elems(b->kv.n_kv_heads, b->kv.head_dim, b->kv.ctx);
    size_t blocks = clm_kv_blocks(b->kv.n_kv_heads, b->kv.ctx);
    clm_status st = CLM_OK;

    memset(layers, 0, b->part.n * sizeof *layers);
    for (size_t i = 0; i < b->part.n && st == CLM_OK; i++) {
        clm_cl_kv *l = &layers[i];
        st = clm_buffer_create(b->dev, type, count, &l->k, err);
        if (st == CLM_OK) st = clm_buffer_create(b->dev, type, count, &l->v, err);
        if (st == CLM_OK && b->kv.type == CLM_KV_INT8)
            st = clm_buffer_create(b->dev, CLM_ELEM_F16, positions, &l->k_scale, err);
        if (st == CLM_OK && b->kv.type == CLM_KV_INT8)
            st = clm_buffer_create(b->dev, CLM_ELEM_F16, positions, &l->v_scale, err);
        if (st == CLM_OK) st = clm_buffer_create(b->dev, CLM_ELEM_F32, blocks, &l->k_max, err);
    }
    if (st != CLM_OK)
        return clm_fail_context(err, st, "key-value cache for %zu tokens (try a smaller ctx_size)",
                                b->kv.ctx);
    return CLM_OK;
}

/* A cache beside the first must fit: some drivers promise memory that is not there, and what has been promised for caches,
 * but not been written to, still counts as free in the system. */
static clm_status check_room(const clm_backend_cl *b, uint64_t bytes, clm_err *err)
{
    const clm_device_memory memory = clm_device_memory_now(b->dev);
    const uint64_t taken = b->kv_bytes + (memory.known ? 0 : b->weight_bytes);

    if (b->n_seqs == 0 || taken + bytes <= memory.free / 10 * 9) return CLM_OK;
    return clm_fail(err, CLM_E_DEVMEM,
                    "a cache for one more answer needs %.1f GB, and the device has %.1f GB left",
                    (double)bytes * 1e-9,
                    memory.free > taken ? (double)(memory.free - taken) * 1e-9 : 0.0);
}

clm_status clm__cl_add_sequence(clm_backend *base, clm_err *err)
{
    clm_backend_cl *b = (clm_backend_cl *)base;
    const size_t n = b->part.n;
    const uint64_t bytes = n * clm_kv_layer_bytes(&b->kv);
    clm_status st = check_room(b, bytes, err);
    clm_cl_kv *layers;
    clm_cl_plan **plans;

    if (st != CLM_OK) return st;
    layers = realloc(b->layers, (b->n_seqs + 1) * n * sizeof *layers);
    if (layers != NULL) b->layers = layers;
    plans = realloc(b->plans, (b->n_seqs + 1) * sizeof *plans);
    if (plans != NULL) b->plans = plans;
    if (layers == NULL || plans == NULL)
        return clm_fail(err, CLM_E_NOMEM, "key-value cache: no memory");
    b->plans[b->n_seqs] = NULL;
    st = create(b, b->layers + b->n_seqs * n, err);
    if (st != CLM_OK) {
        clear(b, b->layers + b->n_seqs * n);
        return st;
    }
    b->kv_bytes += bytes;
    b->n_seqs++;
    return CLM_OK;
}

void clm__cl_drop_sequence(clm_backend *base)
{
    clm_backend_cl *b = (clm_backend_cl *)base;

    b->n_seqs--;
    clear(b, b->layers + b->n_seqs * b->part.n);
    clm__cl_plan_destroy(b->plans[b->n_seqs]);
    b->kv_bytes -= b->part.n * clm_kv_layer_bytes(&b->kv);
}
