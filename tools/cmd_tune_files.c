/* tools/cmd_tune_files.c: `clm tune show|export|import|merge|diff`: the files that tuning writes.
 *
 * Layer    tools.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/tune_print.h"

static void clear(clm_tune_results *r)
{
    clm_tune_db_clear(&r->db);
    free(r->tries);
    memset(r, 0, sizeof *r);
}

/* A file that was named on the command line: that it is not there is wrong usage. */
static clm_status read_named(const char *path, clm_tune_db *out, clm_err *err)
{
    const clm_status st = clm_tune_db_read(path, out, err);

    return st == CLM_E_IO ? CLM_E_USAGE : st == CLM_E_LIMIT ? CLM_E_CONFIG : st;
}

/* The log beside a database: x.yaml, x.log. */
static clm_status read_log(const char *db_path, clm_tune_results *out, clm_err *err)
{
    char *path = clm_tune_log_beside(db_path);
    clm_status st;

    if (path == NULL) return CLM_OK;
    st = clm_tune_log_read(path, &out->tries, &out->n_tries, err);
    free(path);
    return st;
}

/* The file that is named, else the one of the device. */
static clm_status load(const clm_args *args, clm_tune_results *out, clm_err *err)
{
    const char *named = args->n_words > 0 ? args->words[0] : NULL;
    clm_config *config = NULL;
    char *path = NULL, *log = NULL;
    clm_status st = clm_args_config(args, &config, err);

    memset(out, 0, sizeof *out);
    out->own = clm_args_has(args, "tune_own");
    if (st == CLM_OK && named == NULL)
        st = clm_tune_paths(clm_config_settings(config)->devices[0].select,
                            clm_args_has(args, "tune_own"), &path, &log, err);
    if (st == CLM_OK) st = read_named(named != NULL ? named : path, &out->db, err);
    if (st == CLM_E_USAGE && named == NULL)
        clm_fail(err, st, "nothing is tuned for this device yet: run `clm tune` (%s)", path);
    if (st == CLM_OK) st = read_log(named != NULL ? named : path, out, err);
    free(path);
    free(log);
    clm_config_destroy(config);
    if (st != CLM_OK) clear(out);
    return st;
}

/* `format`: yaml, t4 or html. Malloc'd. */
static clm_status format_results(const clm_tune_results *r, const char *format, char **text,
                                 size_t *size, clm_err *err)
{
    clm_status st = CLM_OK;
    FILE *f;

    if (strcmp(format, "yaml") == 0) return clm_tune_db_text(&r->db, text, size, err);
    *text = NULL;
    f = open_memstream(text, size);
    if (f == NULL) return clm_fail(err, CLM_E_NOMEM, "the results: no memory");
    if (strcmp(format, "t4") == 0)
        st = clm_tune_print_t4(f, r, err);
    else
        clm_tune_print_html(f, r);
    if (fclose(f) != 0 && st == CLM_OK) st = clm_fail(err, CLM_E_NOMEM, "the results: no memory");
    return st;
}

/* Whether `path` is what standard output goes to already (/dev/stdout, `> FILE`). */
static bool is_stdout(const char *path)
{
    struct stat named, out;

    return stat(path, &named) == 0 && fstat(STDOUT_FILENO, &out) == 0 &&
           named.st_dev == out.st_dev && named.st_ino == out.st_ino;
}

/* `path` NULL: to standard output, which the program looks at at its end. */
static clm_status write_results(const clm_tune_results *r, const char *format, const char *path,
                                clm_err *err)
{
    char *text = NULL;
    size_t size;
    clm_status st = format_results(r, format, &text, &size, err);

    if (st == CLM_OK && (path == NULL || is_stdout(path)))
        fwrite(text, 1, size, stdout);
    else if (st == CLM_OK)
        st = clm_tune_write(path, text, size, err);
    free(text);
    return st;
}

/* ---- show ------------------------------------------------------------------------------------- */

static clm_status run_show(const clm_args *args, clm_err *err)
{
    const char *html = clm_args_get(args, "tune_html");
    clm_tune_results r;
    clm_status st = load(args, &r, err);

    if (st != CLM_OK) return st;
    if (html != NULL)
        st = write_results(&r, "html", html, err);
    else
        clm_tune_print_table(stdout, &r, clm_args_has(args, "tune_markdown"));
    clear(&r);
    return st;
}

static const clm_flag show_flags[] = {
    {.names = "--html",
     .value = "FILE",
     .id = "tune_html",
     .help = "write a page with pictures instead; it needs no network"},
    {.names = "--markdown", .id = "tune_markdown", .help = "a table for a document"},
    {.names = "--own", .id = "tune_own", .help = "results of your own kernels"},
    {.names = NULL},
};

const clm_command clm_cmd_tune_show = {
    .name = "tune show",
    .synopsis = "[FILE] [--html FILE] [--markdown]",
    .summary = "print what is tuned for a device",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_DEVICE,
    .flags = show_flags,
    .max_words = 1,
    .run = run_show,
};

/* ---- export ----------------------------------------------------------------------------------- */

static clm_status run_export(const clm_args *args, clm_err *err)
{
    const char *format = clm_args_get(args, "tune_format");
    clm_tune_results r;
    clm_status st;

    if (format == NULL) format = "yaml";
    if (strcmp(format, "yaml") != 0 && strcmp(format, "t4") != 0)
        return clm_fail(err, CLM_E_USAGE, "--format: yaml and t4 are known, not '%.40s'", format);
    st = load(args, &r, err);
    if (st != CLM_OK) return st;
    st = write_results(&r, format, clm_args_get(args, "tune_output"), err);
    clear(&r);
    return st;
}

static const clm_flag export_flags[] = {
    {.names = "-o, --output",
     .value = "FILE",
     .id = "tune_output",
     .help = "write there instead of standard output"},
    {.names = "--format",
     .value = "NAME",
     .id = "tune_format",
     .help = "yaml: the database (default); t4: every candidate, as JSON that kernel_tuner reads"},
    {.names = "--own", .id = "tune_own", .help = "results of your own kernels"},
    {.names = NULL},
};

const clm_command clm_cmd_tune_export = {
    .name = "tune export",
    .synopsis = "[FILE] [-o FILE] [--format yaml|t4]",
    .summary = "write a device's results for others",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_DEVICE,
    .flags = export_flags,
    .max_words = 1,
    .run = run_export,
};

/* ---- import ----------------------------------------------------------------------------------- */

static clm_status run_import(const clm_args *args, clm_err *err)
{
    char *path = NULL;
    size_t taken = 0;
    clm_status st = clm_tune_import(args->words[0], clm_cli_observer(), &taken, &path, err);

    if (st == CLM_OK && taken == 0)
        st = clm_fail(err, CLM_E_CONFIG, "%s: no entry of it is of use here", args->words[0]);
    if (st == CLM_OK) printf("%zu entries imported into %s\n", taken, path);
    free(path);
    return st;
}

const clm_command clm_cmd_tune_import = {
    .name = "tune import",
    .synopsis = "FILE",
    .summary = "take results from another machine, checked",
    .min_words = 1,
    .max_words = 1,
    .run = run_import,
};

/* ---- merge ------------------------------------------------------------------------------------ */

static clm_status run_merge(const clm_args *args, clm_err *err)
{
    const char *path = clm_args_get(args, "tune_output");
    clm_tune_results all = {0};
    int lock = -1;
    clm_status st = path != NULL ? clm_tune_lock(path, &lock, err) : CLM_OK;

    if (st == CLM_OK) st = read_named(args->words[0], &all.db, err);
    for (size_t i = 1; i < args->n_words && st == CLM_OK; i++) {
        clm_tune_db one;

        st = read_named(args->words[i], &one, err);
        if (st == CLM_OK && !clm_tune_device_same(&one.device, &all.db.device))
            st = clm_fail(err, CLM_E_CONFIG, "%s and %s are of different devices or drivers",
                          args->words[0], args->words[i]);
        if (st == CLM_OK) st = clm_tune_db_merge(&all.db, &one, err);
        clm_tune_db_clear(&one);
    }
    if (st == CLM_OK) st = write_results(&all, "yaml", path, err);
    clm_tune_unlock(lock);
    clear(&all);
    return st;
}

static const clm_flag merge_flags[] = {
    {.names = "-o, --output",
     .value = "FILE",
     .id = "tune_output",
     .help = "write there instead of standard output"},
    {.names = NULL},
};

const clm_command clm_cmd_tune_merge = {
    .name = "tune merge",
    .synopsis = "FILE FILE... [-o FILE]",
    .summary = "put databases of one device together, the faster entry of two",
    .flags = merge_flags,
    .min_words = 2,
    .max_words = 64,
    .run = run_merge,
};

/* ---- diff ------------------------------------------------------------------------------------- */

static bool same_params(const clm_tune_entry *a, const clm_tune_entry *b)
{
    if (a->n_params != b->n_params) return false;
    for (size_t i = 0; i < a->n_params; i++)
        if (strcmp(a->params[i].name, b->params[i].name) != 0 ||
            a->params[i].value != b->params[i].value)
            return false;
    return true;
}

static size_t print_missing(const clm_tune_db *a, const clm_tune_db *b, char sign)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        const clm_tune_entry *e = &a->entries[i];

        if (clm_tune_db_find(b, &e->key) != NULL) continue;
        printf("%c %s %s: %.4g ms, ", sign, e->key.op, e->key.shape, e->ms);
        clm_tune_print_params(stdout, e->params, e->n_params);
        putchar('\n');
        n++;
    }
    return n;
}

static size_t print_changed(const clm_tune_db *a, const clm_tune_db *b)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        const clm_tune_entry *x = &a->entries[i], *y = clm_tune_db_find(b, &x->key);

        if (y == NULL || same_params(x, y)) continue;
        printf("! %s %s: %.4g -> %.4g ms\n  - ", x->key.op, x->key.shape, x->ms, y->ms);
        clm_tune_print_params(stdout, x->params, x->n_params);
        fputs("\n  + ", stdout);
        clm_tune_print_params(stdout, y->params, y->n_params);
        putchar('\n');
        n++;
    }
    return n;
}

/* A file, or a folder with the file of the device in it. */
static clm_status read_side(const char *word, const char *selector, clm_tune_db *out, clm_err *err)
{
    struct stat info;
    char *path = NULL;
    clm_status st;

    if (stat(word, &info) != 0 || !S_ISDIR(info.st_mode)) return read_named(word, out, err);
    st = clm_tune_file_in(selector, word, &path, err);
    if (st == CLM_OK) st = read_named(path, out, err);
    free(path);
    return st;
}

/* Both sides; "default" is what the operators choose by themselves, for the launches of the other one. */
static clm_status read_sides(const clm_args *args, const char *selector, clm_tune_db db[2],
                             clm_err *err)
{
    bool by_itself[2];
    clm_status st = CLM_OK;

    for (int i = 0; i < 2; i++) by_itself[i] = strcmp(args->words[i], "default") == 0;
    if (by_itself[0] && by_itself[1])
        return clm_fail(err, CLM_E_USAGE, "one of the two must be a file or a folder");
    for (int i = 0; i < 2 && st == CLM_OK; i++)
        if (!by_itself[i]) st = read_side(args->words[i], selector, &db[i], err);
    for (int i = 0; i < 2 && st == CLM_OK; i++)
        if (by_itself[i]) st = clm_tune_defaults(selector, &db[1 - i], &db[i], err);
    return st;
}

static void print_matched(void *user, const clm_tune_match *m)
{
    clm_cli_end_progress();
    clm_tune_print_match(stdout, m, user);
    fflush(stdout);
}

static clm_status time_sides(const clm_args *args, const char *selector, clm_tune_db db[2],
                             clm_err *err)
{
    clm_tune_matches sum = {.markdown = clm_args_has(args, "tune_markdown")};
    clm_tune_compare_options o = {
        .stop = clm_cli_interrupt_flag(), .user = &sum, .matched = print_matched};
    uint64_t seconds;
    clm_status st = clm_args_get_u64(args, "tune_seconds", 1, 600, 4, &seconds, err);

    if (st != CLM_OK) return st;
    o.seconds = (double)seconds;
    clm_cli_catch_interrupt(NULL);
    printf("A: %s\nB: %s\n\n", args->words[0], args->words[1]);
    st = clm_tune_compare(selector, &db[0], &db[1], &o, clm_cli_observer(), err);
    clm_cli_end_progress();
    if (sum.launches > 0) clm_tune_print_matches(stdout, &sum);
    if (st == CLM_OK && sum.launches == 0)
        st = clm_fail(err, CLM_E_CONFIG, "%s and %s have no launch in common", args->words[0],
                      args->words[1]);
    return st;
}

static clm_status run_diff(const clm_args *args, clm_err *err)
{
    clm_tune_db db[2] = {{.n = 0}};
    clm_config *config = NULL;
    const char *selector;
    clm_status st = clm_args_config(args, &config, err);

    if (st != CLM_OK) return st;
    selector = clm_config_settings(config)->devices[0].select;
    st = read_sides(args, selector, db, err);
    if (st == CLM_OK && !clm_tune_device_same(&db[0].device, &db[1].device))
        printf("# %s (%s) -> %s (%s)\n", db[0].device.name, db[0].device.driver, db[1].device.name,
               db[1].device.driver);
    if (st == CLM_OK && clm_args_has(args, "tune_time")) {
        st = time_sides(args, selector, db, err);
    } else if (st == CLM_OK) {
        if (print_missing(&db[0], &db[1], '-') + print_missing(&db[1], &db[0], '+') +
                print_changed(&db[0], &db[1]) ==
            0)
            puts("the same parameters everywhere");
    }
    clm_tune_db_clear(&db[0]);
    clm_tune_db_clear(&db[1]);
    clm_config_destroy(config);
    return st;
}

static const clm_flag diff_flags[] = {
    {.names = "--time",
     .id = "tune_time",
     .help = "check both choices and the default of each launch, and time them in turn"},
    {.names = "--seconds",
     .value = "N",
     .id = "tune_seconds",
     .help = "with --time: for each launch where they differ (default 4)"},
    {.names = "--markdown", .id = "tune_markdown", .help = "with --time: a table for a document"},
    {.names = NULL},
};

const clm_command clm_cmd_tune_diff = {
    .name = "tune diff",
    .synopsis = "A B [--time]",
    .summary = "print where two databases choose differently, and which is faster",
    .details =
        "A and B are files, folders with the device's file (a run's XDG_DATA_HOME), or `default`\n"
        "for the built-in values. --time needs the device that the files are of. Times in the\n"
        "files are of different moments, in which the machine may have been slower: only timing\n"
        "in turn tells which choice is faster.",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_DEVICE,
    .flags = diff_flags,
    .min_words = 2,
    .max_words = 2,
    .run = run_diff,
};
