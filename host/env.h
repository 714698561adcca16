/* host/env.h: switches that come from the environment; README.md has the list.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_ENV_H
#define CLM_HOST_ENV_H

#include <stdbool.h>
#include "host/status.h"

/* Whether the switch `name` is on: 0 is off, 1 is on; not set, or empty, is `preset`. */
bool clm_env_switch(const char *name, bool preset);

/* Whether the values of all switches, and of CLM_DOT, are such as they may have. Returns CLM_OK or CLM_E_CONFIG. */
clm_status clm_env_check(clm_err *err);

#endif
