/* runtime/sampler.h: from logits to the next token.
 *
 * Layer    runtime.
 * Source   temperature, top_k, top_p, min_p and repetition_penalty mean what they mean in the
 *          generation_config.json of Hugging Face models, applied in the order: penalty, temperature,
 *          top_k, top_p, min_p.
 */
#ifndef CLM_RUNTIME_SAMPLER_H
#define CLM_RUNTIME_SAMPLER_H

#include <stddef.h>
#include <stdint.h>
#include "runtime/clm.h"

typedef struct clm_sampler clm_sampler;

/* For a vocabulary of `vocab` ids. The same seed gives the same choices for the same logits. */
clm_status clm_sampler_create(size_t vocab, uint64_t seed, clm_sampler **out, clm_err *err);
void clm_sampler_destroy(clm_sampler *s);

/* Whether the choice is the arg max of the raw logits, so that the device can make it. */
bool clm_sampling_is_argmax(const clm_sampling *p);

/* Chooses an id. `logits` [vocab] is changed. `seen` are the ids that repetition_penalty lowers: the
 * prompt and what was generated; ids outside the vocabulary are ignored. NaN is never chosen;
 * CLM_E_MODEL when no logit is a number. */
clm_status clm_sampler_choose(clm_sampler *s, const clm_sampling *p, float *logits, const int *seen,
                              size_t n_seen, int *id, clm_err *err);

/* 64 random bits from the system; never 0. */
uint64_t clm_seed_from_system(void);

#endif
