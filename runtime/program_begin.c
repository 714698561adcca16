/* runtime/program_begin.c: what a program does first. See runtime/clm.h. */
#include "host/map_fault.h"
#include "host/pocl_cache.h"
#include "runtime/clm.h"

void clm_program_begin(void)
{
    clm_map_faults_end_program(clm_status_exit_code(CLM_E_MODEL));
    clm_pocl_cache_prepare();
}
