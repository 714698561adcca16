/* host/vectorise.h: loops that are worth the processor's widest vectors.
 *
 * Layer    host; includes nothing.
 *
 * A function marked CLM_VECTORISED is compiled for several instruction sets, and the one for the
 * processor is chosen when the program starts. What it calls must be marked CLM_PART to become part
 * of each version. Sanitizers do not get along with the choosing.
 */
#ifndef CLM_HOST_VECTORISE_H
#define CLM_HOST_VECTORISE_H

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(CLM_SANITIZED)
#define CLM_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLM_VECTORISED
#endif
#define CLM_PART static inline __attribute__((always_inline))

#endif
