/* runtime/text/sp_shim.h: libsentencepiece behind plain C. No C++ type and no exception leaves it.
 *
 * Layer    runtime; used by tokenizer.c only.
 * Threads  read-only after creation: may be shared.
 */
#ifndef CLM_RUNTIME_TEXT_SP_SHIM_H
#define CLM_RUNTIME_TEXT_SP_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stddef.h>
#include "host/status.h"

typedef struct clm_sp clm_sp;

/* `model` is a serialised ModelProto that has been checked (sp_model.h); nothing of it is kept.
 * Returns CLM_OK, CLM_E_MODEL (the library refused it) or CLM_E_NOMEM. */
clm_status clm_sp_create(const void *model, size_t bytes, clm_sp **out, clm_err *err);
void clm_sp_destroy(clm_sp *sp);

/* Ids of `text` (any bytes); `*ids` is malloc'd, NULL when there are none. */
clm_status clm_sp_encode(const clm_sp *sp, const char *text, size_t size, int **ids, size_t *count,
                         clm_err *err);
/* Text of `ids`, all of which exist; `*text` is malloc'd and NUL-terminated. */
clm_status clm_sp_decode(const clm_sp *sp, const int *ids, size_t count, char **text, size_t *size,
                         clm_err *err);

/* Id of the piece with exactly this text, -1 when there is none. */
int clm_sp_find(const clm_sp *sp, const char *piece, size_t size);

#ifdef __cplusplus
}
#endif

#endif
