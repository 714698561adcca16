/* tuning/expr.h: whole-number expressions over names, as users write them for their own kernels.
 *
 * Layer    tuning.
 * Threads  no state.
 *
 * 64-bit integers, decimal. From weak to strong: || ; && ; == != ; < <= > >= ; + - ; * / % ; - ! ;
 * then (...), min(a, b), max(a, b), ceil_div(a, b). Comparisons give 0 or 1; && and || leave out
 * what they need not know. Overflow and division by zero are errors.
 */
#ifndef CLM_TUNING_EXPR_H
#define CLM_TUNING_EXPR_H

#include <stddef.h>
#include <stdint.h>
#include "host/status.h"

enum { CLM_EXPR_MAX_TEXT = 1000 };

typedef struct clm_expr_name {
    const char *name;
    int64_t value;
} clm_expr_name;

/* Returns CLM_OK or CLM_E_CONFIG; the sentence quotes the expression. */
clm_status clm_expr_eval(const char *text, const clm_expr_name *names, size_t n, int64_t *out,
                         clm_err *err);

#endif
