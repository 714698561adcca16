/* tests/ops/amx_emulator.c: see amx_emulator.h. */
#include "tests/ops/amx_emulator.h"

#include <stdatomic.h>

static atomic_ulong g_count[CLM_AMX_KINDS];

unsigned long clm_amx_emulated(enum clm_amx_kind kind)
{
    return atomic_load(&g_count[kind]);
}

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <xmmintrin.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };

typedef struct tile {
    uint8_t rows;
    uint16_t row_bytes;
    uint8_t data[ROWS][ROW_BYTES];
} tile;

/* One thread's tiles; `ready` between ldtilecfg and tilerelease. */
static __thread struct {
    bool ready;
    tile t[TILES];
} g_tiles;

/* A VEX instruction of the map 0F38, all that tiles have. */
typedef struct instruction {
    uint8_t prefix, opcode; /* prefix: 0 none, 2 F3, 3 F2 */
    uint8_t vvvv, mod, reg, rm;
    bool has_index;
    uint64_t address, stride; /* memory operand; stride: the scaled index */
    const uint8_t *next;
} instruction;

/* Returned to, the instruction faults again, and the process ends as it would have. */
static void give_up(const char *why)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    const char *const parts[] = {"AMX emulator: ", why, "\n"};

    for (size_t i = 0; i < 3; i++) {
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0) break;
    }
    sigaction(SIGILL, &standard, NULL);
}

static uint64_t general_register(const ucontext_t *u, unsigned number)
{
    static const int place[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};

    return (uint64_t)u->uc_mcontext.gregs[place[number]];
}

/* A displacement, which is signed. */
static uint64_t displacement(const uint8_t *p, size_t bytes)
{
    int32_t value = (int8_t)*p;

    if (bytes == 4) memcpy(&value, p, sizeof value);
    return (uint64_t)(int64_t)value;
}

/* Reads SIB byte and displacement from p on. x, b: the fourth bits of index and base. */
static const uint8_t *decode_memory(const ucontext_t *u, instruction *in, const uint8_t *p,
                                    unsigned x, unsigned b)
{
    unsigned base = in->rm;
    bool has_base = true;

    if (in->rm == 4) {
        const unsigned sib = *p++, index = ((sib >> 3) & 7) | x << 3;

        base = sib & 7;
        in->has_index = index != 4; /* that is the stack pointer's number: none */
        if (in->has_index) in->stride = general_register(u, index) << (sib >> 6);
        has_base = !(base == 5 && in->mod == 0);
    }
    if (in->rm == 5 && in->mod == 0) { /* relative to the instruction's end */
        in->address = (uint64_t)(uintptr_t)(p + 4) + displacement(p, 4);
        return p + 4;
    }
    if (has_base) in->address = general_register(u, base | b << 3);
    if (in->mod == 1) {
        in->address += displacement(p, 1);
        return p + 1;
    }
    if (in->mod == 2 || !has_base) {
        in->address += displacement(p, 4);
        return p + 4;
    }
    return p;
}

static bool decode(const ucontext_t *u, instruction *in)
{
    const uint8_t *p = (const uint8_t *)(uintptr_t)u->uc_mcontext.gregs[REG_RIP];

    memset(in, 0, sizeof *in);
    if (p[0] != 0xC4 || (p[1] & 0x1F) != 2) return false; /* three-byte VEX, map 0F38 */
    if ((p[2] & 0x84) != 0) return false;                 /* W 0, 128 bits */
    in->prefix = p[2] & 3;
    in->vvvv = (uint8_t)(~p[2] >> 3 & 15);
    in->opcode = p[3];
    in->mod = p[4] >> 6;
    in->reg = p[4] >> 3 & 7;
    in->rm = p[4] & 7;
    in->next = p + 5;
    if ((p[1] & 0x80) == 0) return false; /* there are but eight tiles */
    if (in->mod != 3)
        in->next = decode_memory(u, in, p + 5, (p[1] & 0x40) == 0, (p[1] & 0x20) == 0);
    return true;
}

/* ---- the instructions: NULL, or what is wrong ------------------------------------------------ */

static const char *config(const instruction *in)
{
    const uint8_t *c = (const uint8_t *)(uintptr_t)in->address;

    if (c[0] != 1 || c[1] != 0) return "configuration: palette is not 1, or a start row is set";
    for (size_t i = 2; i < 64; i++) {
        const bool reserved = i < 16 || (i >= 32 && i < 48) || i >= 56;

        if (reserved && c[i] != 0) return "configuration: reserved bytes are not 0";
    }
    memset(&g_tiles, 0, sizeof g_tiles);
    for (size_t t = 0; t < TILES; t++) {
        memcpy(&g_tiles.t[t].row_bytes, c + 16 + 2 * t, 2);
        g_tiles.t[t].rows = c[48 + t];
        if (g_tiles.t[t].rows > ROWS || g_tiles.t[t].row_bytes > ROW_BYTES)
            return "configuration: a tile is larger than 16 x 64 bytes";
    }
    g_tiles.ready = true;
    return NULL;
}

static const char *move(const instruction *in, bool load)
{
    tile *t = &g_tiles.t[in->reg];

    if (!g_tiles.ready) return "a tile is used before ldtilecfg";
    if (!in->has_index) return "a tile is moved without a stride";
    for (size_t row = 0; row < t->rows; row++) {
        void *memory = (void *)(uintptr_t)(in->address + row * in->stride);

        if (load)
            memcpy(t->data[row], memory, t->row_bytes);
        else
            memcpy(memory, t->data[row], t->row_bytes);
    }
    return NULL;
}

/* Number `i` of a row of bf16. */
static float bf16_at(const uint8_t *row, size_t i)
{
    uint16_t upper;
    uint32_t bits;
    float f;

    memcpy(&upper, row + 2 * i, sizeof upper);
    bits = (uint32_t)upper << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void dot_rows(tile *c, const tile *a, const tile *b)
{
    for (size_t m = 0; m < c->rows; m++) {
        for (size_t n = 0; n < c->row_bytes / 4u; n++) {
            float even = 0.0f, odd = 0.0f, sum;

            for (size_t p = 0; p < a->row_bytes / 4u; p++) {
                even += bf16_at(a->data[m], 2 * p) * bf16_at(b->data[p], 2 * n);
                odd += bf16_at(a->data[m], 2 * p + 1) * bf16_at(b->data[p], 2 * n + 1);
            }
            memcpy(&sum, c->data[m] + 4 * n, sizeof sum);
            sum += even + odd;
            memcpy(c->data[m] + 4 * n, &sum, sizeof sum);
        }
    }
}

static const char *dot(const instruction *in)
{
    enum { FLUSH = 0x8040 }; /* numbers below the normal range are 0, as input and as result */
    tile *c = &g_tiles.t[in->reg];
    const tile *a = &g_tiles.t[in->rm], *b = &g_tiles.t[in->vvvv & 7];
    const unsigned before = _mm_getcsr();

    if (!g_tiles.ready) return "a tile is used before ldtilecfg";
    if (in->vvvv >= TILES || in->reg == in->rm || in->reg == in->vvvv || in->rm == in->vvvv)
        return "a product of tiles that are not three";
    if (a->row_bytes / 4 != b->rows || a->rows != c->rows || b->row_bytes != c->row_bytes)
        return "a product of tiles that do not fit";
    _mm_setcsr(before | FLUSH);
    dot_rows(c, a, b);
    _mm_setcsr(before);
    return NULL;
}

static const char *execute(const instruction *in, enum clm_amx_kind *kind)
{
    const unsigned what = (unsigned)in->opcode << 8 | in->prefix;
    const bool memory = in->mod != 3;

    if (what == 0x4900 && memory && in->reg == 0) {
        *kind = CLM_AMX_CONFIG;
        return config(in);
    }
    if (what == 0x4900 && !memory && in->reg == 0 && in->rm == 0) {
        *kind = CLM_AMX_RELEASE;
        memset(&g_tiles, 0, sizeof g_tiles);
        return NULL;
    }
    if (what == 0x4903 && !memory) {
        *kind = CLM_AMX_ZERO;
        if (!g_tiles.ready) return "a tile is used before ldtilecfg";
        memset(g_tiles.t[in->reg].data, 0, sizeof g_tiles.t[in->reg].data);
        return NULL;
    }
    if (what == 0x4B03 && memory) {
        *kind = CLM_AMX_LOAD;
        return move(in, true);
    }
    if (what == 0x4B02 && memory) {
        *kind = CLM_AMX_STORE;
        return move(in, false);
    }
    if (what == 0x5C02 && !memory) {
        *kind = CLM_AMX_DOT;
        return dot(in);
    }
    return "an instruction that is none of tiles";
}

static void on_illegal(int number, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    instruction in;
    enum clm_amx_kind kind = CLM_AMX_CONFIG;
    const char *wrong = "an instruction that is none of tiles";

    (void)number;
    (void)info;
    if (decode(u, &in)) wrong = execute(&in, &kind);
    if (wrong != NULL) {
        give_up(wrong);
        return;
    }
    atomic_fetch_add(&g_count[kind], 1);
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)in.next;
}

bool clm_amx_emulator_install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};

    action.sa_sigaction = on_illegal;
    return sigaction(SIGILL, &action, NULL) == 0;
}

bool clm_amx_native(void)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & 1u << 24) != 0;
}

#else

bool clm_amx_emulator_install(void)
{
    return false;
}

bool clm_amx_native(void)
{
    return false;
}

#endif
