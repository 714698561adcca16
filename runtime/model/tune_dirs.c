/* runtime/model/tune_dirs.c: see runtime/model/tune_dirs.h. */
#include "runtime/model/tune_dirs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/file.h"
#include "runtime/ops/ops.h"

clm_op_table clm__op_table(void)
{
    clm_op_table table;

    table.ops = clm_ops(&table.n);
    return table;
}

char *clm__tuning_user_dir(void)
{
    return clm_dir_data("tuning");
}

char *clm__tuning_shipped_dir(void)
{
    static const char *const places[] = {"../tuning/db", "../share/clm/tuning"};
    char program[4096], *path = NULL;
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    if (n <= 0) return NULL;
    program[n] = '\0';
    if (strrchr(program, '/') != NULL) *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (asprintf(&path, "%s/%s", program, places[i]) < 0) return NULL;
        if (clm_file_is_dir(path)) return path;
        free(path);
    }
    return NULL;
}

clm_status clm__tuning_load(const clm_caps *caps, const clm_observer *obs, clm_tuning **out,
                            clm_err *err)
{
    const clm_op_table table = clm__op_table();
    char *user = clm__tuning_user_dir(), *shipped = clm__tuning_shipped_dir();
    clm_status st = clm_tuning_open(&table, caps, user, shipped, obs, out, err);

    free(user);
    free(shipped);
    return st;
}

clm_status clm__tuning_look(const clm_caps *caps, const clm_observer *obs, bool *known,
                            clm_err *err)
{
    const clm_op_table table = clm__op_table();
    char *user = clm__tuning_user_dir(), *shipped = clm__tuning_shipped_dir();
    clm_status st = clm_tuning_look(&table, caps, user, shipped, obs, known, err);

    free(user);
    free(shipped);
    return st;
}
