/* tests/ops/amx_emulator.h: executes tile instructions on processors that have none, so that tests run
 * the very kernels that run elsewhere, instruction by instruction.
 *
 * The processor reports an instruction it does not know as SIGILL. The handler decodes it, does on the
 * thread's own tiles what the manual says, and goes on behind it. What is wrong (a configuration that
 * is none, tiles that do not fit each other, an unknown instruction) ends the process with a sentence.
 *
 * Source   Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 * Threads  any thread may execute; install once.
 */
#ifndef CLM_TESTS_OPS_AMX_EMULATOR_H
#define CLM_TESTS_OPS_AMX_EMULATOR_H

#include <stdbool.h>

enum clm_amx_kind {
    CLM_AMX_CONFIG,
    CLM_AMX_RELEASE,
    CLM_AMX_ZERO,
    CLM_AMX_LOAD,
    CLM_AMX_STORE,
    CLM_AMX_DOT,
    CLM_AMX_KINDS
};

/* False where there is nothing to emulate: not x86-64, or not Linux. */
bool clm_amx_emulator_install(void);

/* Whether the processor has tiles: then it executes the instructions itself once it may, and before that
 * some of them, so that there is nothing to emulate. */
bool clm_amx_native(void);

/* How many instructions of a kind were emulated so far, by all threads. */
unsigned long clm_amx_emulated(enum clm_amx_kind kind);

#endif
