/* tools/commands.h: the commands of clm; one file cmd_<name>.c each.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_COMMANDS_H
#define CLM_TOOLS_COMMANDS_H

#include "tools/args.h"

extern const clm_command clm_cmd_chat;
extern const clm_command clm_cmd_generate;
extern const clm_command clm_cmd_devices;
extern const clm_command clm_cmd_inspect;
extern const clm_command clm_cmd_quantize;
extern const clm_command clm_cmd_tokenize;
extern const clm_command clm_cmd_eval_logits;
extern const clm_command clm_cmd_bench;
extern const clm_command clm_cmd_eval_ppl;

/* Also what --list-devices does. */
clm_status clm_print_devices(const char *selector, bool json, clm_err *err);

#endif
