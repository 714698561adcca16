/* runtime/formats/pickle.h: reads the pickle of a torch checkpoint, and nothing else.
 *
 * A pickle is a program for a stack machine that may call any function of Python. This machine knows
 * four functions (an OrderedDict, a tensor, a parameter, and a storage by its number), computes
 * nothing else, and refuses every other name and opcode by name. It keeps no Python objects: lists
 * lose their items, texts stay where they are in the file.
 *
 * Layer    runtime; included by runtime/formats/ only.
 * Threads  no state.
 * Source   Python's pickletools, torch/serialization.py (the zip format of torch 1.6 and later).
 */
#ifndef CLM_RUNTIME_FORMATS_PICKLE_H
#define CLM_RUNTIME_FORMATS_PICKLE_H

#include "runtime/formats/stored.h"

enum { CLM_PICKLE_MAX = 8 << 20 }; /* real ones have some hundred bytes a tensor */

/* Finds the bytes of a storage by its key ("0"). The key is not terminated; it has been checked to
 * be letters, digits, '_' and '-' only. Returns CLM_OK or an error that names the file. */
typedef clm_status (*clm_storage_find)(void *context, const char *key, size_t key_size,
                                       const uint8_t **data, size_t *bytes, clm_err *err);

/* Appends the tensors of the dictionary that the pickle makes. `path` names the file in messages.
 * Returns CLM_OK, CLM_E_MODEL or CLM_E_NOMEM. */
clm_status clm__pickle_read(const char *path, const uint8_t *data, size_t size,
                            clm_storage_find find, void *context, clm_stored_list *list,
                            clm_err *err);

#endif
