/* tuning/user_kernel_read.c: the description of a user's kernel. */
#include <math.h>
#include <string.h>

#include "tuning/report.h"
#include "tuning/user_kernel_impl.h"

/* A name that the compiler can take: these become -D options. */
static clm_status get_name(const clm_yaml_node *node, const char **out, clm_err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    clm_status st = clm_yaml_get_text(node, out, err);

    if (st != CLM_OK) return st;
    if (strlen(*out) > 31 || strspn(*out, letters) == 0 || (*out)[strspn(*out, all)] != '\0') {
        char excerpt[CLM_YAML_EXCERPT];
        return clm_yaml_fail(node, err, "'%s' cannot be a name", clm_yaml_excerpt(excerpt, *out));
    }
    return CLM_OK;
}

static clm_status read_sizes(clm_user_kernel *k, const clm_yaml_node *map, clm_err *err)
{
    clm_status st = clm_yaml_expect(map, CLM_YAML_MAP, "a mapping of names to numbers", err);

    if (st == CLM_OK && clm_yaml_count(map) > CLM_MAX_DIMS)
        return clm_yaml_fail(map, err, "more than %d sizes", (int)CLM_MAX_DIMS);
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(map) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v)) {
        st = get_name(clm_yaml_key(v), &k->sizes[k->op.n_dims], err);
        if (st == CLM_OK)
            st = clm_yaml_get_int(v, -CLM_TUNE_MAX_VALUE, CLM_TUNE_MAX_VALUE,
                                  &k->shape.v[k->op.n_dims++], err);
    }
    return st;
}

static clm_status read_axis(clm_user_kernel *k, const clm_yaml_node *list, clm_err *err)
{
    const size_t a = k->op.n_axes;
    clm_status st = clm_yaml_expect(list, CLM_YAML_LIST, "a list of values", err);

    if (st == CLM_OK) st = get_name(clm_yaml_key(list), &k->axes[a].name, err);
    if (st == CLM_OK && (clm_yaml_count(list) == 0 || clm_yaml_count(list) > CLM_USER_MAX_VALUES))
        return clm_yaml_fail(list, err, "1 to %d values are expected", (int)CLM_USER_MAX_VALUES);
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(list) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v))
        st = clm_yaml_get_int(v, -CLM_TUNE_MAX_VALUE, CLM_TUNE_MAX_VALUE,
                              &k->values[a][k->axes[a].n_values++], err);
    k->axes[a].values = k->values[a];
    k->op.n_axes++;
    return st;
}

static clm_status read_axes(clm_user_kernel *k, const clm_yaml_node *map, clm_err *err)
{
    clm_status st = clm_yaml_expect(map, CLM_YAML_MAP, "a mapping of names to lists", err);

    if (st == CLM_OK && (clm_yaml_count(map) == 0 || clm_yaml_count(map) > CLM_MAX_AXES ||
                         clm_yaml_count(map) + k->op.n_dims > CLM_MAX_DEFINES))
        return clm_yaml_fail(map, err, "1 to %d parameters are expected", (int)CLM_MAX_AXES);
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(map) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v))
        st = read_axis(k, v, err);
    return st;
}

/* A list of expressions. */
static clm_status read_list(const clm_yaml_node *list, const char **out, size_t room, size_t *n,
                            clm_err *err)
{
    clm_status st = clm_yaml_expect(list, CLM_YAML_LIST, "a list of expressions", err);

    *n = 0;
    if (st == CLM_OK && clm_yaml_count(list) > room)
        return clm_yaml_fail(list, err, "at most %zu are expected", room);
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(list) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v))
        st = clm_yaml_get_text(v, &out[(*n)++], err);
    return st;
}

static clm_status read_launch(const clm_yaml_node *map, clm_user_launch *l, clm_err *err)
{
    const clm_yaml_node *entry = clm_yaml_find(map, "kernel"),
                        *global = clm_yaml_find(map, "global"),
                        *local = clm_yaml_find(map, "local");
    size_t n = 0;
    clm_status st;

    if (entry == NULL || global == NULL || local == NULL)
        return clm_yaml_fail(map, err, "kernel, global and local are needed");
    st = get_name(entry, &l->entry, err);
    if (st == CLM_OK) st = read_list(global, l->global, 3, &l->dims, err);
    if (st == CLM_OK) st = read_list(local, l->local, 3, &n, err);
    if (st == CLM_OK && (l->dims == 0 || n != l->dims))
        return clm_yaml_fail(local, err, "global and local need the same number of sizes, 1 to 3");
    return st;
}

static clm_status get_type(const clm_yaml_node *node, clm_elem *out, clm_err *err)
{
    static const struct {
        const char *name;
        clm_elem type;
    } all[] = {{"f32", CLM_ELEM_F32}, {"i32", CLM_ELEM_I32}, {"i8", CLM_ELEM_I8},
               {"u8", CLM_ELEM_U8},   {"f16", CLM_ELEM_F16}, {"bf16", CLM_ELEM_BF16}};
    const char *text;
    clm_status st = clm_yaml_get_text(node, &text, err);

    for (size_t i = 0; st == CLM_OK && i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].name, text) == 0) {
            *out = all[i].type;
            return CLM_OK;
        }
    return st != CLM_OK
               ? st
               : clm_yaml_fail(node, err, "one of f32, i32, i8, u8, f16, bf16 is expected");
}

static clm_status read_range(const clm_yaml_node *list, clm_user_arg *a, clm_err *err)
{
    const clm_yaml_range any = {-1e30, 1e30, false};
    clm_status st = clm_yaml_expect(list, CLM_YAML_LIST, "a list of two numbers", err);

    if (st == CLM_OK && clm_yaml_count(list) != 2)
        return clm_yaml_fail(list, err, "a list of two numbers is expected");
    if (st == CLM_OK) st = clm_yaml_get_f64(clm_yaml_first(list), any, &a->low, err);
    if (st == CLM_OK)
        st = clm_yaml_get_f64(clm_yaml_next(clm_yaml_first(list)), any, &a->high, err);
    if (st == CLM_OK && a->low > a->high) return clm_yaml_fail(list, err, "the range is empty");
    return st;
}

/* Whether all numbers of the range are of the buffer's type; bytes of either sign are both. */
static bool fits_type(const clm_user_arg *a)
{
    const double least = a->type == CLM_ELEM_I32 ? INT32_MIN : -128,
                 most = a->type == CLM_ELEM_I32 ? INT32_MAX : 255;

    if (a->type != CLM_ELEM_I32 && a->type != CLM_ELEM_I8 && a->type != CLM_ELEM_U8) return true;
    return a->low >= least && a->high <= most;
}

static clm_status read_arg(const clm_yaml_node *map, clm_user_arg *a, clm_err *err)
{
    clm_status st = clm_yaml_expect(map, CLM_YAML_MAP, "a mapping", err);
    double number;

    *a = (clm_user_arg){
        .kind = CLM_USER_BUFFER, .type = CLM_ELEM_F32, .low = -1, .high = 1, .seed = 1};
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(map) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v)) {
        if (clm_yaml_key_is(v, "buffer")) {
            st = get_name(v, &a->name, err);
        } else if (clm_yaml_key_is(v, "int")) {
            a->kind = CLM_USER_INT;
            st = clm_yaml_get_text(v, &a->value, err);
        } else if (clm_yaml_key_is(v, "float")) {
            a->kind = CLM_USER_FLOAT;
            st = clm_yaml_get_f64(v, (clm_yaml_range){-3e38, 3e38, false}, &number, err);
            if (st == CLM_OK) a->number = (float)number;
        } else if (clm_yaml_key_is(v, "type")) {
            st = get_type(v, &a->type, err);
        } else if (clm_yaml_key_is(v, "count")) {
            st = clm_yaml_get_text(v, &a->value, err);
        } else if (clm_yaml_key_is(v, "output")) {
            st = clm_yaml_get_bool(v, &a->output, err);
        } else if (clm_yaml_key_is(v, "range")) {
            st = read_range(v, a, err);
        } else if (clm_yaml_key_is(v, "seed")) {
            st = clm_yaml_get_u64(v, 0, UINT32_MAX, &a->seed, err);
        } else {
            st = clm_yaml_fail(v, err, "an argument has no such key");
        }
    }
    if (st == CLM_OK && a->kind == CLM_USER_BUFFER && !fits_type(a))
        return clm_yaml_fail(map, err, "the range does not fit the buffer's type");
    if (st == CLM_OK && a->kind == CLM_USER_BUFFER && (a->name == NULL || a->value == NULL))
        return clm_yaml_fail(map, err,
                             "a buffer needs its name and `count`, else it is {int: ...} "
                             "or {float: ...}");
    return st;
}

static clm_status read_args(clm_user_kernel *k, const clm_yaml_node *list, clm_err *err)
{
    size_t n_bufs = 0, n_out = 0;
    clm_status st = clm_yaml_expect(list, CLM_YAML_LIST, "a list", err);

    if (st == CLM_OK && clm_yaml_count(list) > CLM_USER_MAX_ARGS)
        return clm_yaml_fail(list, err, "more than %d arguments", (int)CLM_USER_MAX_ARGS);
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(list) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v)) {
        clm_user_arg *a = &k->args[k->n_args++];

        st = read_arg(v, a, err);
        n_bufs += a->kind == CLM_USER_BUFFER;
        n_out += a->kind == CLM_USER_BUFFER && a->output;
    }
    if (st == CLM_OK && (n_bufs > CLM_MAX_BUFFERS || n_out == 0))
        return clm_yaml_fail(list, err,
                             "1 to %d buffers are expected, one of them with `output: true`",
                             (int)CLM_MAX_BUFFERS);
    return st;
}

static clm_status read_tolerance(clm_user_kernel *k, const clm_yaml_node *map, clm_err *err)
{
    clm_status st = clm_yaml_expect(map, CLM_YAML_MAP, "a mapping", err);

    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(map) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v)) {
        double number = 0.0;

        if (!clm_yaml_key_is(v, "absolute") && !clm_yaml_key_is(v, "relative"))
            return clm_yaml_fail(v, err, "absolute and relative are expected");
        st = clm_yaml_get_f64(v, (clm_yaml_range){0.0, 1e30, false}, &number, err);
        *(clm_yaml_key_is(v, "absolute") ? &k->op.atol : &k->op.rtol) = (float)number;
    }
    return st;
}

static clm_status read_key(clm_user_kernel *k, const clm_yaml_node *v, clm_err *err)
{
    if (clm_yaml_key_is(v, "sizes") || clm_yaml_key_is(v, "kernel") ||
        clm_yaml_key_is(v, "global") || clm_yaml_key_is(v, "local"))
        return CLM_OK; /* read apart */
    if (clm_yaml_key_is(v, "parameters")) return read_axes(k, v, err);
    if (clm_yaml_key_is(v, "constraints"))
        return read_list(v, k->constraints, CLM_USER_MAX_CONSTRAINTS, &k->n_constraints, err);
    if (clm_yaml_key_is(v, "arguments")) return read_args(k, v, err);
    if (clm_yaml_key_is(v, "reference")) return read_launch(v, &k->reference, err);
    if (clm_yaml_key_is(v, "tolerance")) return read_tolerance(k, v, err);
    if (clm_yaml_key_is(v, "bytes")) return clm_yaml_get_text(v, &k->bytes, err);
    if (clm_yaml_key_is(v, "flops")) return clm_yaml_get_text(v, &k->flops, err);
    return clm_yaml_fail(v, err, "the description of a kernel has no such key");
}

clm_status clm__user_kernel_read(clm_user_kernel *k, clm_err *err)
{
    const clm_yaml_node *root = clm_yaml_root(k->doc), *sizes;
    clm_status st;

    if (root == NULL || clm_yaml_kind_of(root) != CLM_YAML_MAP)
        return clm_fail(err, CLM_E_CONFIG,
                        "the description of a kernel is a mapping; this is none");
    sizes = clm_yaml_find(root, "sizes");
    st = sizes != NULL ? read_sizes(k, sizes, err) : CLM_OK;
    if (st == CLM_OK) st = read_launch(root, &k->launch, err);
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(root) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v))
        st = read_key(k, v, err);
    if (st == CLM_OK && (k->op.n_axes == 0 || k->n_args == 0 || k->reference.dims == 0))
        return clm_yaml_fail(root, err, "parameters, arguments and reference are needed");
    return st;
}
