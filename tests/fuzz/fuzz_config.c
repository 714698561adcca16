/* fuzz_config.c: the JSON files of a model folder with any content: the input is split at NULs into
 * config.json, generation_config.json, tokenizer_config.json, quantize_config.json and an index of
 * shards. The folder has no weights, so it is never accepted: everything before them is read. */
#include <string.h>

#include "host/file.h"
#include "tests/fuzz/fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char *const names[] = {"config.json", "generation_config.json",
                                    "tokenizer_config.json", "quantize_config.json",
                                    "model.safetensors.index.json"};
enum { N_FILES = sizeof names / sizeof *names };

static char folder[FUZZ_PATH] = "/dev/shm/clm-fuzz-XXXXXX";

static void write_file(const char *name, const void *data, size_t size)
{
    char *path = clm_path_join(folder, name);
    FILE *f = fopen(path, "wb");

    if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
    free(path);
}

static void remove_file(const char *name)
{
    char *path = clm_path_join(folder, name);

    unlink(path);
    free(path);
}

static void remove_folder(void)
{
    for (size_t i = 0; i < N_FILES; i++) remove_file(names[i]);
    remove_file("tokenizer.model");
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (mkdtemp(folder) == NULL) abort();
    atexit(remove_folder);
    write_file("tokenizer.model", "x", 1); /* is not read before the weights are */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clm_model_file *mf;
    clm_err err;

    for (size_t i = 0; i < N_FILES; i++) {
        const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
        const size_t part = end != NULL && i + 1 < N_FILES ? (size_t)(end - data) : size;

        if (part > 0)
            write_file(names[i], data, part);
        else
            remove_file(names[i]);
        data += part + (end != NULL && part < size);
        size -= part + (end != NULL && part < size);
    }
    if (clm_model_file_open(folder, &mf, &err) == CLM_OK) abort();
    if (strncmp(err.text, folder, strlen(folder)) != 0) abort(); /* a message names the file */
    return 0;
}
