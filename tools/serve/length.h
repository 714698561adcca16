/* tools/serve/length.h: texts that are too long for the context, found before the engine has them.
 *
 * Layer    tools.
 * Threads  no state.
 */
#ifndef CLM_SERVE_LENGTH_H
#define CLM_SERVE_LENGTH_H

#include "tools/serve/request.h"

/* Bytes of all texts up to which they are not looked at: they are tokenised in about the time of one token. */
enum { CLM_LENGTH_SHORT = 32 << 10 };

/* Counts the tokens of long texts until they are more than a context of `ctx`, so that neither time nor memory
 * grow with what is refused. Never refuses what fits; what fits almost may pass, for the engine to refuse.
 * Returns CLM_OK, CLM_E_LIMIT or CLM_E_NOMEM. */
clm_status clm_length_check(const clm_request *r, const clm_tokenizer *tok, size_t ctx,
                            clm_err *err);

#endif
