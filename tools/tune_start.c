/* tools/tune_start.c: starting a model, tuned for a device that is new. */
#include "runtime/tune.h"
#include "tools/cli.h"

clm_status clm_cli_engine(const clm_settings *s, clm_engine **out, clm_err *err)
{
    clm_status st;

    clm_cli_catch_interrupt(NULL);
    st = clm_tune_auto(s, clm_cli_interrupt_flag(), clm_cli_observer(), err);
    clm_cli_end_progress();
    (void)clm_cli_interrupts(); /* one that ended tuning is used up */
    clm_cli_end_on_interrupt();
    if (st != CLM_OK) return st;
    st = clm_engine_create(s, clm_cli_observer(), out, err);
    return st == CLM_OK ? clm_engine_warm_up(*out, clm_cli_observer(), err) : st;
}
