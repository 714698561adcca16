/* pickle.c: the stack machine; see pickle.h. What its calls make is in pickle_build.c. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/bytes.h"
#include "host/grow.h"
#include "runtime/formats/pickle_impl.h"

/* ---- Memory -------------------------------------------------------------------------------- */

clm_status clm__pickle_no_memory(clm__pickle *p)
{
    return clm_fail(p->err, CLM_E_NOMEM, "%s: no memory for its table of tensors", p->path);
}

clm_status clm__pickle_fail(clm__pickle *p, const char *defect)
{
    return clm_fail(p->err, CLM_E_MODEL, "%s: its pickle is damaged at byte %zu: %s", p->path,
                    p->at, defect);
}

static clm_status push_index(clm__pickle *p, uint32_t value)
{
    uint32_t *grown = clm_grow(p->stack, &p->stack_room, p->n_stack + 1, sizeof *grown);

    if (grown == NULL) return clm__pickle_no_memory(p);
    p->stack = grown;
    p->stack[p->n_stack++] = value;
    return CLM_OK;
}

clm_status clm__pickle_push(clm__pickle *p, clm__value value)
{
    clm__value *grown = clm_grow(p->values, &p->values_room, p->n_values + 1, sizeof *grown);

    if (grown == NULL) return clm__pickle_no_memory(p);
    p->values = grown;
    p->values[p->n_values] = value;
    return push_index(p, (uint32_t)p->n_values++);
}

clm_status clm__pickle_link(clm__pickle *p, uint32_t key, uint32_t value, uint32_t next,
                            uint32_t *cell)
{
    clm__cell *grown;

    *cell = CLM__NONE_CELL;
    if (p->n_cells == CLM__NONE_CELL) p->n_cells = 1;
    grown = clm_grow(p->cells, &p->cells_room, p->n_cells + 1, sizeof *grown);
    if (grown == NULL) return clm__pickle_no_memory(p);
    p->cells = grown;
    *cell = (uint32_t)p->n_cells;
    p->cells[p->n_cells++] = (clm__cell){key, value, next};
    return CLM_OK;
}

/* ---- The stack ----------------------------------------------------------------------------- */

/* Index of the value on top; a mark is none. */
static clm_status pop(clm__pickle *p, uint32_t *value)
{
    if (p->n_stack == 0 || p->stack[p->n_stack - 1] == CLM__MARK)
        return clm__pickle_fail(p, "a value is taken from an empty stack");
    *value = p->stack[--p->n_stack];
    return CLM_OK;
}

/* Place behind the topmost mark. */
static clm_status find_mark(clm__pickle *p, size_t *first)
{
    size_t i = p->n_stack;

    while (i > 0 && p->stack[i - 1] != CLM__MARK) i--;
    if (i == 0) return clm__pickle_fail(p, "a mark is missing");
    *first = i;
    return CLM_OK;
}

/* The top `n` values become a tuple, in place of themselves (and of the mark below, if `marked`). */
static clm_status make_tuple(clm__pickle *p, size_t n, bool marked)
{
    clm__value tuple = {.kind = CLM__TUPLE};
    uint32_t cell = CLM__NONE_CELL, value = 0;
    clm_status st = CLM_OK;

    tuple.count = (uint32_t)n;
    for (size_t i = 0; i < n && st == CLM_OK;
         i++) { /* from the last, so that the first is in front */
        st = pop(p, &value);
        if (st == CLM_OK) st = clm__pickle_link(p, value, 0, cell, &cell);
    }
    if (st != CLM_OK) return st;
    if (marked) p->n_stack--;
    tuple.first = cell;
    return clm__pickle_push(p, tuple);
}

/* Items from place `first` on (and the mark below) go into the dictionary under them. */
static clm_status set_items(clm__pickle *p, size_t first, bool marked)
{
    const size_t base = first - marked;
    clm_status st = CLM_OK;

    if ((p->n_stack - first) % 2 != 0 || base == 0 || p->stack[base - 1] == CLM__MARK)
        return clm__pickle_fail(p, "items without a dictionary");
    const uint32_t dict = p->stack[base - 1];
    if (p->values[dict].kind != CLM__DICT)
        return clm__pickle_fail(p, "items are put into something that is no dictionary");
    for (size_t i = first; i < p->n_stack && st == CLM_OK; i += 2) {
        uint32_t cell;

        if (p->stack[i] == CLM__MARK || p->stack[i + 1] == CLM__MARK)
            return clm__pickle_fail(p, "a mark stands in place of an item");
        st = clm__pickle_link(p, p->stack[i], p->stack[i + 1], p->values[dict].first, &cell);
        if (st == CLM_OK) p->values[dict].first = cell;
    }
    p->n_stack = base;
    return st;
}

/* Lists are of no use in a table of tensors: their items are dropped. */
static clm_status append_items(clm__pickle *p, size_t first, bool marked)
{
    const size_t base = first - marked;

    if (base == 0 || p->stack[base - 1] == CLM__MARK ||
        p->values[p->stack[base - 1]].kind != CLM__LIST)
        return clm__pickle_fail(p, "items are appended to something that is no list");
    p->n_stack = base;
    return CLM_OK;
}

/* ---- The memo ------------------------------------------------------------------------------ */

/* Writers number from 0 on, so a number is less than the bytes of the pickle. */
static clm_status memo_put(clm__pickle *p, size_t slot)
{
    uint32_t *grown;

    if (p->n_stack == 0 || p->stack[p->n_stack - 1] == CLM__MARK)
        return clm__pickle_fail(p, "nothing is there to be remembered");
    if (slot >= p->size) return clm__pickle_fail(p, "a memo number is out of range");
    grown = clm_grow(p->memo, &p->memo_room, slot + 1, sizeof *grown);
    if (grown == NULL) return clm__pickle_no_memory(p);
    p->memo = grown;
    while (p->n_memo <= slot) p->memo[p->n_memo++] = CLM__MARK;
    p->memo[slot] = p->stack[p->n_stack - 1];
    return CLM_OK;
}

static clm_status memo_get(clm__pickle *p, size_t slot)
{
    if (slot >= p->n_memo || p->memo[slot] == CLM__MARK)
        return clm__pickle_fail(p, "a memo number is used before it is set");
    return push_index(p, p->memo[slot]);
}

/* ---- Arguments of opcodes ------------------------------------------------------------------ */

static clm_status take(clm__pickle *p, size_t n, const uint8_t **bytes)
{
    *bytes = p->data + p->at;
    if (n > p->size - p->at) return clm__pickle_fail(p, "it is cut off");
    p->at += n;
    return CLM_OK;
}

/* A little-endian number of `width` bytes (1, 2, 4 or 8). */
static clm_status take_number(clm__pickle *p, size_t width, uint64_t *value)
{
    const uint8_t *bytes;
    clm_status st = take(p, width, &bytes);

    *value = 0;
    for (size_t i = 0; st == CLM_OK && i < width; i++) *value |= (uint64_t)bytes[i] << (8 * i);
    return st;
}

static clm_status push_int(clm__pickle *p, int64_t value)
{
    return clm__pickle_push(p, (clm__value){.kind = CLM__INT, .integer = value});
}

static clm_status push_simple(clm__pickle *p, clm__kind kind)
{
    return clm__pickle_push(p, (clm__value){.kind = kind});
}

/* Text whose length is a number of `width` bytes. */
static clm_status push_text(clm__pickle *p, size_t width)
{
    uint64_t size;
    const uint8_t *bytes = p->data;
    clm_status st = take_number(p, width, &size);

    if (st == CLM_OK && size > p->size) st = clm__pickle_fail(p, "a text is longer than the file");
    if (st == CLM_OK) st = take(p, (size_t)size, &bytes);
    if (st != CLM_OK) return st;
    return clm__pickle_push(
        p, (clm__value){.kind = CLM__TEXT, .text = (const char *)bytes, .count = (uint32_t)size});
}

/* LONG1, LONG4: two's complement of up to 8 bytes. */
static clm_status push_long(clm__pickle *p, size_t width)
{
    uint64_t size, value = 0;
    const uint8_t *bytes = p->data;
    clm_status st = take_number(p, width, &size);

    if (st == CLM_OK && size > 8) st = clm__pickle_fail(p, "a number of more than 64 bits");
    if (st == CLM_OK) st = take(p, (size_t)size, &bytes);
    if (st != CLM_OK) return st;
    if (size > 0 && bytes[size - 1] >= 0x80) value = UINT64_MAX;
    for (size_t i = 0; i < size; i++) {
        value &= ~((uint64_t)0xff << (8 * i));
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return push_int(p, (int64_t)value);
}

static clm_status take_line(clm__pickle *p, const char **text, size_t *size)
{
    const uint8_t *start = p->data + p->at;
    const uint8_t *end = memchr(start, '\n', p->size - p->at);

    *text = "";
    *size = 0;
    if (end == NULL) return clm__pickle_fail(p, "it is cut off");
    *text = (const char *)start;
    *size = (size_t)(end - start);
    p->at += *size + 1;
    return CLM_OK;
}

/* ---- Opcodes ------------------------------------------------------------------------------- */

static clm_status op_global(clm__pickle *p)
{
    const char *module, *name = "";
    size_t module_size, name_size = 0;
    clm_status st = take_line(p, &module, &module_size);

    if (st == CLM_OK) st = take_line(p, &name, &name_size);
    return st == CLM_OK ? clm__pickle_global(p, module, module_size, name, name_size) : st;
}

static clm_status op_stack_global(clm__pickle *p)
{
    uint32_t name = 0, module = 0;
    clm_status st = pop(p, &name);

    if (st == CLM_OK) st = pop(p, &module);
    if (st != CLM_OK) return st;
    const clm__value *n = &p->values[name], *m = &p->values[module];
    if (n->kind != CLM__TEXT || m->kind != CLM__TEXT)
        return clm__pickle_fail(p, "the name of a function is no text");
    return clm__pickle_global(p, m->text, m->count, n->text, n->count);
}

static clm_status op_reduce(clm__pickle *p)
{
    uint32_t arguments = 0, callee = 0;
    clm_status st = pop(p, &arguments);

    if (st == CLM_OK) st = pop(p, &callee);
    return st == CLM_OK ? clm__pickle_call(p, callee, arguments) : st;
}

static clm_status op_persistent(clm__pickle *p)
{
    uint32_t id = 0;
    clm_status st = pop(p, &id);

    return st == CLM_OK ? clm__pickle_storage(p, id) : st;
}

/* State of an object: torch gives its OrderedDicts an attribute `_metadata`, without which they
 * mean the same. Nothing else may have a state. */
static clm_status op_build(clm__pickle *p)
{
    uint32_t state = 0;
    clm_status st = pop(p, &state);

    if (st != CLM_OK) return st;
    if (p->n_stack == 0 || p->stack[p->n_stack - 1] == CLM__MARK ||
        !p->values[p->stack[p->n_stack - 1]].ordered || p->values[state].kind != CLM__DICT)
        return clm__pickle_fail(p, "BUILD of something else than an OrderedDict");
    return CLM_OK;
}

static clm_status op_proto(clm__pickle *p)
{
    uint64_t version;
    clm_status st = take_number(p, 1, &version);

    if (st == CLM_OK && (version < 2 || version > 5)) {
        return clm_fail(p->err, CLM_E_MODEL, "%s: pickle protocol %" PRIu64 "; 2 to 5 are read",
                        p->path, version);
    }
    return st;
}

/* Names of opcodes that Python knows and torch's tables of tensors have no need for. */
static const struct {
    uint8_t code;
    const char *name;
} k_refused[] = {
    {'i', "INST"},
    {'o', "OBJ"},
    {0x81, "NEWOBJ"},
    {0x92, "NEWOBJ_EX"},
    {0x82, "EXT1"},
    {0x83, "EXT2"},
    {0x84, "EXT4"},
    {'P', "PERSID"},
    {'I', "INT"},
    {'L', "LONG"},
    {'S', "STRING"},
    {'V', "UNICODE"},
    {'F', "FLOAT"},
    {'d', "DICT"},
    {'l', "LIST"},
    {'p', "PUT"},
    {'g', "GET"},
    {'1', "POP_MARK"},
    {'2', "DUP"},
    {'0', "POP"},
    {'B', "BINBYTES"},
    {'C', "SHORT_BINBYTES"},
    {0x8e, "BINBYTES8"},
    {0x8f, "EMPTY_SET"},
    {0x90, "ADDITEMS"},
    {0x91, "FROZENSET"},
    {0x96, "BYTEARRAY8"},
    {0x97, "NEXT_BUFFER"},
    {0x98, "READONLY_BUFFER"},
};

static clm_status fail_opcode(clm__pickle *p, uint8_t code)
{
    for (size_t i = 0; i < sizeof k_refused / sizeof *k_refused; i++) {
        if (k_refused[i].code == code) {
            return clm_fail(p->err, CLM_E_MODEL,
                            "%s: its pickle has the opcode %s, which no table of tensors needs: "
                            "refused",
                            p->path, k_refused[i].name);
        }
    }
    return clm_fail(p->err, CLM_E_MODEL, "%s: its pickle has the unknown opcode 0x%02x at byte %zu",
                    p->path, code, p->at - 1);
}

/* Opcodes that push a constant or work on the memo. */
static clm_status step_constant(clm__pickle *p, uint8_t code)
{
    uint64_t n = 0;
    clm_status st;

    switch (code) {
    case 'N':  /* NONE */
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        return push_simple(p, CLM__PLAIN);
    case 'K': /* BININT1 */
    case 'M': /* BININT2 */
        st = take_number(p, code == 'K' ? 1 : 2, &n);
        return st == CLM_OK ? push_int(p, (int64_t)n) : st;
    case 'J': /* BININT */
        st = take_number(p, 4, &n);
        return st == CLM_OK ? push_int(p, (int32_t)(uint32_t)n) : st;
    case 0x8a: /* LONG1 */
        return push_long(p, 1);
    case 0x8b: /* LONG4 */
        return push_long(p, 4);
    case 'G': /* BINFLOAT */
        st = take_number(p, 8, &n);
        return st == CLM_OK ? push_simple(p, CLM__PLAIN) : st;
    case 'X': /* BINUNICODE */
    case 'T': /* BINSTRING */
        return push_text(p, 4);
    case 0x8c: /* SHORT_BINUNICODE */
    case 'U':  /* SHORT_BINSTRING */
        return push_text(p, 1);
    case 0x8d: /* BINUNICODE8 */
        return push_text(p, 8);
    case 'q': /* BINPUT */
    case 'r': /* LONG_BINPUT */
        st = take_number(p, code == 'q' ? 1 : 4, &n);
        return st == CLM_OK ? memo_put(p, (size_t)n) : st;
    case 0x94: /* MEMOIZE */
        return memo_put(p, p->n_memo);
    case 'h': /* BINGET */
    case 'j': /* LONG_BINGET */
        st = take_number(p, code == 'h' ? 1 : 4, &n);
        return st == CLM_OK ? memo_get(p, (size_t)n) : st;
    default:
        return fail_opcode(p, code);
    }
}

/* Opcodes that build something of what is on the stack; the rest are constants. */
static clm_status step(clm__pickle *p, uint8_t code)
{
    uint64_t n;
    size_t first = 0;
    clm_status st = CLM_OK;

    switch (code) {
    case 0x80:
        return op_proto(p);
    case 0x95: /* FRAME: how much to read at once, of no meaning here */
        st = take_number(p, 8, &n);
        if (st == CLM_OK && n > p->size - p->at) st = clm__pickle_fail(p, "a frame is cut off");
        return st;
    case '(':
        return push_index(p, CLM__MARK);
    case ')':
        return push_simple(p, CLM__TUPLE);
    case ']':
        return push_simple(p, CLM__LIST);
    case '}':
        return push_simple(p, CLM__DICT);
    case 't': /* TUPLE */
    case 'e': /* APPENDS */
    case 'u': /* SETITEMS */
        st = find_mark(p, &first);
        if (st != CLM_OK) return st;
        if (code == 't') return make_tuple(p, p->n_stack - first, true);
        return code == 'e' ? append_items(p, first, true) : set_items(p, first, true);
    case 0x85: /* TUPLE1 */
    case 0x86:
    case 0x87:
        return make_tuple(p, (size_t)(code - 0x84), false);
    case 'a': /* APPEND */
        return p->n_stack < 2 ? clm__pickle_fail(p, "the stack is empty")
                              : append_items(p, p->n_stack - 1, false);
    case 's': /* SETITEM */
        return p->n_stack < 3 ? clm__pickle_fail(p, "the stack is empty")
                              : set_items(p, p->n_stack - 2, false);
    case 'c':
        return op_global(p);
    case 0x93:
        return op_stack_global(p);
    case 'R':
        return op_reduce(p);
    case 'Q':
        return op_persistent(p);
    case 'b':
        return op_build(p);
    default:
        return step_constant(p, code);
    }
}

static clm_status run(clm__pickle *p)
{
    clm_status st = CLM_OK;

    while (st == CLM_OK) {
        const uint8_t *code;

        st = take(p, 1, &code);
        if (st != CLM_OK) break;
        if (*code == '.') return CLM_OK;
        st = step(p, *code);
    }
    return st;
}

clm_status clm__pickle_read(const char *path, const uint8_t *data, size_t size,
                            clm_storage_find find, void *context, clm_stored_list *list,
                            clm_err *err)
{
    clm__pickle p = {.path = path,
                     .data = data,
                     .size = size,
                     .find = find,
                     .context = context,
                     .list = list,
                     .err = err};
    clm_status st;

    if (size > CLM_PICKLE_MAX) {
        return clm_fail(err, CLM_E_MODEL, "%s: its pickle has %zu bytes; %d are supported", path,
                        size, CLM_PICKLE_MAX);
    }
    st = run(&p);
    if (st == CLM_OK) st = clm__pickle_finish(&p);
    free(p.values);
    free(p.cells);
    free(p.stack);
    free(p.memo);
    free(p.storages);
    free(p.tensors);
    return st;
}
