/* tools/serve/page.h: the files of tools/serve/page, which the build turns into bytes.
 *
 * Layer    tools.
 */
#ifndef CLM_SERVE_PAGE_H
#define CLM_SERVE_PAGE_H

#include <stddef.h>

typedef struct clm_page_file {
    const char *name; /* "page.js"; the table ends with NULL */
    const char *text; /* NUL-terminated */
    size_t size;      /* without the NUL */
} clm_page_file;

extern const clm_page_file clm__page_files[];

#endif
