/* runtime/formats/pickle_impl.h: what the two halves of the unpickler share: the machine (pickle.c)
 * and what its calls make (pickle_build.c).
 *
 * Layer    runtime; included by these two only.
 */
#ifndef CLM_RUNTIME_FORMATS_PICKLE_IMPL_H
#define CLM_RUNTIME_FORMATS_PICKLE_IMPL_H

#include "runtime/formats/pickle.h"

#define CLM__MARK      UINT32_MAX /* on the stack in place of an index */
#define CLM__NONE_CELL 0u         /* the end of a chain; cells are numbered from 1 */

typedef enum clm__kind {
    CLM__PLAIN, /* None, a truth value, a real: of no use here */
    CLM__INT,
    CLM__TEXT,
    CLM__TUPLE,
    CLM__LIST, /* its items are forgotten */
    CLM__DICT,
    CLM__FUNCTION,
    CLM__STORAGE_TYPE,
    CLM__STORAGE,
    CLM__TENSOR
} clm__kind;

typedef enum clm__function {
    CLM__ORDERED_DICT,
    CLM__REBUILD_TENSOR,
    CLM__REBUILD_PARAMETER
} clm__function;

/* Values never change, but for dictionaries, which grow. */
typedef struct clm__value {
    clm__kind kind;
    bool ordered;   /* DICT: an OrderedDict */
    uint32_t count; /* TEXT: bytes; TUPLE: items */
    union {
        int64_t integer;  /* INT */
        const char *text; /* TEXT */
        uint32_t first;   /* TUPLE, DICT: first cell (a dictionary's last item is its first) */
        uint32_t index;   /* STORAGE, TENSOR: in their tables; FUNCTION, STORAGE_TYPE: which */
    };
} clm__value;

/* A link of a chain of items: tuples have no `value`. */
typedef struct clm__cell {
    uint32_t key, value, next;
} clm__cell;

typedef struct clm__storage {
    clm_dtype dtype;
    const uint8_t *data;
    size_t bytes;
} clm__storage;

/* A machine: all arrays grow with the bytes that have been read. */
typedef struct clm__pickle {
    const char *path;
    const uint8_t *data;
    size_t size, at;
    clm_storage_find find;
    void *context;
    clm_stored_list *list;
    clm_err *err;

    clm__value *values;
    clm__cell *cells;
    uint32_t *stack, *memo;
    clm__storage *storages;
    clm_stored *tensors; /* without names */
    size_t n_values, values_room, n_cells, cells_room, n_stack, stack_room, n_memo, memo_room;
    size_t n_storages, storages_room, n_tensors, tensors_room;
} clm__pickle;

clm_status clm__pickle_fail(clm__pickle *p, const char *defect);
clm_status clm__pickle_push(clm__pickle *p, clm__value value);
clm_status clm__pickle_link(clm__pickle *p, uint32_t key, uint32_t value, uint32_t next,
                            uint32_t *cell);
/* The failure of a table that cannot grow. */
clm_status clm__pickle_no_memory(clm__pickle *p);

/* pickle_build.c: pushes a function or type; anything but the known ones is refused by name. */
clm_status clm__pickle_global(clm__pickle *p, const char *module, size_t module_size,
                              const char *name, size_t name_size);
/* Pushes what values[callee] makes of values[arguments]. */
clm_status clm__pickle_call(clm__pickle *p, uint32_t callee, uint32_t arguments);
/* Pushes the storage that the tuple values[id] names. */
clm_status clm__pickle_storage(clm__pickle *p, uint32_t id);
/* Puts the tensors of the dictionary on top into the list. */
clm_status clm__pickle_finish(clm__pickle *p);

#endif
