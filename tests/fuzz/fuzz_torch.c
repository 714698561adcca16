/* fuzz_torch.c: the pickle of a torch file with any content, and the archive with any content: a
 * mutated archive seldom reaches the pickle, so inputs that are no archive are read as a pickle whose
 * storages all lie in the same 256 bytes. */
#include "runtime/formats/pickle.h"
#include "tests/fuzz/fuzz_stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static clm_status find(void *context, const char *key, size_t key_size, const uint8_t **data,
                       size_t *bytes, clm_err *err)
{
    static const uint8_t storage[256];

    (void)context, (void)key, (void)key_size, (void)err;
    *data = storage;
    *bytes = sizeof storage;
    return CLM_OK;
}

static clm_status read_pickle(const char *path, const uint8_t *data, size_t size,
                              clm_stored_list *list, clm_err *err)
{
    return clm__pickle_read(path, data, size, find, NULL, list, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int archive = size >= 2 && data[0] == 'P' && data[1] == 'K';

    fuzz_stored(archive ? clm__torch_read : read_pickle, data, size);
    return 0;
}
