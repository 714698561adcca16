/* runtime/sampling.c: settings, and below them what the model's publisher recommends. See clm.h. */
#include <math.h>

#include "runtime/config_schema.h"
#include "runtime/engine.h"

/* What holds for a key: the setting when somebody has made it, else the advice when there is one. */
static double choose(const clm_settings *s, const char *key, double setting, double advice)
{
    const clm_key *k = clm__key_find(key);
    const bool given = k == NULL || (s->given & clm__key_bit(k)) != 0;

    return given || isnan(advice) ? setting : advice;
}

clm_sampling clm_engine_sampling(const clm_engine *e, const clm_settings *s)
{
    const clm_advice *a = clm_model_file_advice(e->file);

    return (clm_sampling){
        .temperature = choose(s, "temperature", s->temperature, a->temperature),
        .top_p = choose(s, "top_p", s->top_p, a->top_p),
        .min_p = choose(s, "min_p", s->min_p, a->min_p),
        .repetition_penalty =
            choose(s, "repetition_penalty", s->repetition_penalty, a->repetition_penalty),
        .top_k = (uint32_t)choose(s, "top_k", s->top_k, a->top_k),
        .max_new_tokens =
            (uint32_t)choose(s, "max_new_tokens", s->max_new_tokens, a->max_new_tokens),
        .stop = (const char *const *)s->stop,
        .n_stop = s->n_stop};
}
