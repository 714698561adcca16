/* fuzz_gguf.c: a GGUF file with any content: opening it, and reading the rows of what was accepted. */
#include <stdint.h>

#include "tests/fuzz/fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clm_model_file *mf;
    char path[FUZZ_PATH];
    const int fd = fuzz_file(data, size, path);
    clm_err err;

    if (clm_model_file_open(path, &mf, &err) == CLM_OK) {
        fuzz_read_weights(mf);
        clm_model_file_close(mf);
    }
    close(fd);
    return 0;
}
