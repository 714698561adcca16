/* verify.c: clm_model_verify. See runtime/clm.h. */
#include "host/hash.h"
#include "runtime/clm.h"
#include "runtime/formats/bytes.h"
#include "runtime/formats/gguf_model.h"

/* Sum of `size` mapped bytes, giving back memory on the way. */
static uint64_t sum_mapped(const clm_map *map, const uint8_t *data, size_t size, clm_checksum *c)
{
    enum { STEP = 64 << 20 };

    for (size_t at = 0; at < size; at += STEP) {
        clm_checksum_add(c, data + at, size - at < STEP ? size - at : STEP);
        if (size - at > STEP) clm_map_drop(map);
    }
    return clm_checksum_take(c);
}

static clm_status verify_tensors(const clm_gguf *g, const clm_map *map, const clm_observer *obs,
                                 clm_err *err)
{
    size_t count;
    const clm_gguf_tensor *tensors = clm_gguf_tensors(g, &count);
    const clm_gguf_kv *sums;
    clm_checksum *c = NULL;
    clm_status st = clm_gguf_get_array(g, CLM_KEY_CHECKSUMS, CLM_GGUF_U64, &sums, err);

    if (st != CLM_OK) return st;
    if (sums == NULL)
        return clm_fail(err, CLM_E_MODEL,
                        "%s: has no checksums; only files that clm quantize wrote have them",
                        clm_gguf_path(g));
    if (sums->count != count)
        return clm_fail(err, CLM_E_MODEL, "%s: %zu checksums for %zu tensors", clm_gguf_path(g),
                        sums->count, count);
    st = clm_checksum_create(&c, err);
    for (size_t i = 0; i < count && st == CLM_OK; i++) {
        if (sum_mapped(map, tensors[i].data, tensors[i].bytes, c) !=
            clm_load_u64(sums->data + 8 * i))
            st = clm_fail(err, CLM_E_MODEL,
                          "%s: tensor '%.*s' is damaged: its data do not have their checksum",
                          clm_gguf_path(g), (int)tensors[i].name.size, tensors[i].name.data);
        clm_progress(obs, "checking", i + 1, count);
    }
    clm_map_drop(map);
    clm_checksum_destroy(c);
    return st;
}

clm_status clm_model_verify(const char *path, const clm_observer *obs, clm_err *err)
{
    clm_map map = {0};
    clm_gguf *g = NULL;
    clm_status st = clm_map_open(path, &map, err);

    if (st != CLM_OK) return CLM_E_MODEL; /* the sentence says what is wrong with the file */
    st = clm_gguf_parse(path, map.data, map.size, &g, err);
    if (st == CLM_OK) st = verify_tensors(g, &map, obs, err);
    clm_gguf_destroy(g);
    clm_map_close(&map);
    return st;
}
