/* host/env.c: see host/env.h. */
#include "host/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/dot.h"

bool clm_env_switch(const char *name, bool preset)
{
    const char *value = getenv(name);

    return value == NULL || *value == '\0' ? preset : strcmp(value, "0") != 0;
}

static clm_status check_dot(const char *value, clm_err *err)
{
    char all[80] = "";
    size_t used = 0;

    for (int i = 0; i < CLM_DOT_COUNT; i++) {
        const char *name = clm_dot_name((clm_dot)i);

        if (strcmp(value, name) == 0) return CLM_OK;
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", name);
    }
    return clm_fail(err, CLM_E_CONFIG, "CLM_DOT: '%.40s' is none of %s", value, all);
}

clm_status clm_env_check(clm_err *err)
{
    static const char *const switches[] = {"CLM_KERNEL_CACHE", "CLM_AMX", "CLM_MMA", "CLM_DEBUG"};
    const char *value;

    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        value = getenv(switches[i]);
        if (value != NULL && *value != '\0' && strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
            return clm_fail(err, CLM_E_CONFIG, "%s: '%.40s' is neither 0 nor 1", switches[i],
                            value);
    }
    value = getenv("CLM_DOT");
    return value == NULL || *value == '\0' ? CLM_OK : check_dot(value, err);
}
