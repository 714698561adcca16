/* tools/commands.h: the commands of clm; one file cmd_<name>.c each.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_COMMANDS_H
#define CLM_TOOLS_COMMANDS_H

#include "tools/args.h"

extern const clm_command clm_cmd_chat;
extern const clm_command clm_cmd_generate;
extern const clm_command clm_cmd_serve;
extern const clm_command clm_cmd_devices;
extern const clm_command clm_cmd_doctor;
extern const clm_command clm_cmd_inspect;
extern const clm_command clm_cmd_quantize;
extern const clm_command clm_cmd_tokenize;
extern const clm_command clm_cmd_eval_logits;
extern const clm_command clm_cmd_tune, clm_cmd_tune_show, clm_cmd_tune_export, clm_cmd_tune_import,
    clm_cmd_tune_merge, clm_cmd_tune_diff, clm_cmd_tune_worker;
extern const clm_command clm_cmd_bench;
extern const clm_command clm_cmd_eval_ppl;
extern const clm_command clm_cmd_eval_cmmlu, clm_cmd_eval_ceval;

#endif
