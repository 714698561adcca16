/* fuzz_csv.c: a CSV file with any content: its table has rows of one width, in the order of their lines, or it is refused
 * with a sentence. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clm_csv table;
    clm_err err = {""};
    size_t bytes = 0;

    if (clm_csv_parse((const char *)data, size, "file", &table, &err) != CLM_OK) {
        if (err.text[0] == '\0') abort();
    } else if (table.n_rows == 0 || table.n_fields == 0) {
        abort();
    }
    for (size_t i = 0; i < table.n_rows; i++) {
        for (size_t j = 0; j < table.n_fields; j++) bytes += strlen(table.rows[i].fields[j]);
        if (i > 0 && table.rows[i].line < table.rows[i - 1].line) abort();
    }
    if (bytes > size) abort();
    clm_csv_clear(&table);
    return 0;
}
