/* fuzz_tokenizer.c: a tokenizer.model with any content; what is accepted tokenises a text. */
#include <stdlib.h>
#include <string.h>

#include "runtime/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "Hello \xe4\xbd\xa0\xe5\xa5\xbd  caf\xc3\xa9\n\t<s> \xff 12\xef\xbc\x91";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0)); /* of its own size: a byte too far is noticed */
    const clm_vocab vocab = {
        .sp_model = copy, .sp_model_bytes = size, .bos = -1, .eos = -1, .unk = -1, .pad = -1};
    clm_tokenizer *tok;
    clm_err err;
    int *ids = NULL;
    char *again = NULL;
    size_t count, bytes;

    if (copy == NULL) abort();
    if (size > 0) memcpy(copy, data, size);
    if (clm_tokenizer_create(&vocab, &tok, &err) == CLM_OK) {
        if (clm_tokenizer_encode(tok, text, sizeof text - 1, &ids, &count, &err) == CLM_OK)
            clm_tokenizer_decode(tok, ids, count, &again, &bytes, &err);
        free(ids);
        free(again);
        clm_tokenizer_destroy(tok);
    }
    free(copy);
    return 0;
}
