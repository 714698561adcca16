/* gguf_advice.c: the publisher's recommended settings as keys of a GGUF file, read and written. */
#include <math.h>

#include "runtime/formats/gguf_model.h"

/* Names are ggml's where it has one; bounds are those of the configuration. */
static const struct {
    const char *key;
    size_t offset; /* of the double in clm_advice */
    double min, max;
    bool whole;
} clm_advice_keys[] = {
    {"general.sampling.temp", offsetof(clm_advice, temperature), 0.0, 100.0, false},
    {"general.sampling.top_k", offsetof(clm_advice, top_k), 0.0, 2147483647.0, true},
    {"general.sampling.top_p", offsetof(clm_advice, top_p), 1e-9, 1.0, false},
    {"general.sampling.min_p", offsetof(clm_advice, min_p), 0.0, 1.0, false},
    {"general.sampling.penalty_repeat", offsetof(clm_advice, repetition_penalty), 1e-3, 10.0,
     false},
    {CLM_KEY_PREFIX "sampling.max_new_tokens", offsetof(clm_advice, max_new_tokens), 1.0, 1048576.0,
     true},
};
enum { N_KEYS = sizeof clm_advice_keys / sizeof clm_advice_keys[0] };

/* A float in a file was a decimal number before: 0.3, not 0.300000012. */
static double decimal(double value)
{
    return value < 1e6 ? nearbyint(value * 1e6) / 1e6 : value;
}

void clm__gguf_read_advice(const clm_gguf *g, clm_model_file *mf)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        const clm_gguf_kv *kv = clm_gguf_find(g, clm_advice_keys[i].key);
        double value;

        if (kv == NULL || !clm_gguf_number(kv, &value)) continue;
        value = decimal(value);
        /* It is advice: what makes no sense is not taken. */
        if (!(value >= clm_advice_keys[i].min && value <= clm_advice_keys[i].max)) continue;
        if (clm_advice_keys[i].whole && value != floor(value)) continue;
        *(double *)((char *)&mf->advice + clm_advice_keys[i].offset) = value;
    }
}

void clm__gguf_put_advice(clm_gguf_writer *w, const clm_advice *advice)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        const double value = *(const double *)((const char *)advice + clm_advice_keys[i].offset);

        if (isnan(value)) continue;
        if (clm_advice_keys[i].whole)
            clm_gguf_put_u32(w, clm_advice_keys[i].key, (uint32_t)value);
        else
            clm_gguf_put_f32(w, clm_advice_keys[i].key, (float)value);
    }
}
