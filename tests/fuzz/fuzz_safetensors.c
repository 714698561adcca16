/* fuzz_safetensors.c: a safetensors file with any content. */
#include "tests/fuzz/fuzz_stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_stored(clm__safetensors_read, data, size);
    return 0;
}
