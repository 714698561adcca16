/* tests/fuzz/fuzz_file.h: what the harnesses share: a file in memory, and reading all weights.
 */
#ifndef CLM_TESTS_FUZZ_FUZZ_FILE_H
#define CLM_TESTS_FUZZ_FUZZ_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/formats/model_file.h"

enum { FUZZ_PATH = 64, FUZZ_COLUMNS = 1 << 16 };

/* A file in memory with this content, and a path that opens it. */
static inline int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH])
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
    return fd;
}

/* First and last row of every tensor. */
static inline void fuzz_read_weights(const clm_model_file *mf)
{
    size_t count;
    const clm_tensor *tensors = clm_model_file_tensors(mf, &count);
    float *row = malloc(FUZZ_COLUMNS * sizeof *row);

    if (row == NULL) abort();
    for (size_t i = 0; i < count; i++) {
        const clm_tensor *t = &tensors[i];

        if (t->rows == 0 || t->cols > FUZZ_COLUMNS) continue;
        if (clm_tensor_read_rows(t, 0, 1, row, NULL) != CLM_OK) abort();
        if (clm_tensor_read_rows(t, t->rows - 1, 1, row, NULL) != CLM_OK) abort();
    }
    free(row);
}

#endif
