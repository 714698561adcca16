/* runtime/text/chat_template.c: see chat_template.h; which template to take is in
 * chat_detect.c.
 *
 * A conversation is written as segments: runs of text that are tokenised as one, with special ids
 * between them. SentencePiece puts its space prefix in front of each segment, as the families'
 * own code does.
 */
#include "runtime/text/chat_template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/grow.h"

/* What is being built: finished ids, and the text of the segment not yet tokenised. */
typedef struct builder {
    const clm_tokenizer *tok;
    clm_err *err;
    clm_status st; /* the first failure; later calls do nothing */
    int *ids;
    size_t n_ids, room_ids;
    char *text;
    size_t n_text, room_text;
} builder;

typedef struct span {
    const char *data;
    size_t size;
} span;

/* What a call of clm_template_encode works on. */
typedef struct job {
    clm_template kind;
    const clm_tokenizer *tok;
    const clm_message *msgs;
    size_t n_msgs;
    span system; /* of all system messages, the last one */
    clm_err *err;
} job;

static const char VICUNA_SYSTEM[] = "A chat between a curious user and an artificial intelligence "
                                    "assistant. The assistant gives helpful, "
                                    "detailed, and polite answers to the user's questions.";
static const char ALPACA_SYSTEM[] = "Below is an instruction that describes a task. Write a "
                                    "response that appropriately completes the request.";

/* ---- Building -------------------------------------------------------------------------------- */

static void builder_clear(builder *b)
{
    free(b->ids);
    free(b->text);
    memset(b, 0, sizeof *b);
}

static void fail_memory(builder *b)
{
    b->st = clm_fail(b->err, CLM_E_NOMEM, "chat template: no memory");
}

/* Room for `count` more ids; false: there is none. */
static bool reserve_ids(builder *b, size_t count)
{
    int *grown = clm_grow(b->ids, &b->room_ids, b->n_ids + count, sizeof *grown);

    if (grown != NULL)
        b->ids = grown;
    else
        fail_memory(b);
    return grown != NULL;
}

static void add_bytes(builder *b, const char *data, size_t size)
{
    char *grown;

    if (b->st != CLM_OK || size == 0) return;
    grown = clm_grow(b->text, &b->room_text, b->n_text + size, 1);
    if (grown == NULL) {
        fail_memory(b);
        return;
    }
    b->text = grown;
    memcpy(b->text + b->n_text, data, size);
    b->n_text += size;
}

static void add_span(builder *b, span s)
{
    add_bytes(b, s.data, s.size);
}
static void add_text(builder *b, const char *text)
{
    add_bytes(b, text, strlen(text));
}

static void add_ids(builder *b, const int *ids, size_t count)
{
    if (b->st != CLM_OK || count == 0) return;
    if (!reserve_ids(b, count)) return;
    memcpy(b->ids + b->n_ids, ids, count * sizeof *ids);
    b->n_ids += count;
}

/* Ends a segment. */
static void end_segment(builder *b)
{
    int *ids;
    size_t count;

    if (b->st != CLM_OK || b->n_text == 0) return;
    b->st = clm_tokenizer_encode(b->tok, b->text, b->n_text, &ids, &count, b->err);
    b->n_text = 0;
    add_ids(b, ids, count);
    free(ids);
}

static void add_id(builder *b, int id)
{
    end_segment(b);
    add_ids(b, &id, 1);
}

/* A marker such as "<|im_start|>": control pieces never match text and go in as an id; others are
 * text (user-defined pieces match, a vocabulary without the marker spells it). */
static void add_marker(builder *b, const char *marker)
{
    int id = clm_tokenizer_find(b->tok, marker);

    if (id >= 0 && clm_tokenizer_is_control(b->tok, id))
        add_id(b, id);
    else
        add_text(b, marker);
}

/* BOS or EOS that the template cannot do without. */
static void add_required(builder *b, int id, const char *what, clm_template kind)
{
    if (b->st != CLM_OK) return;
    if (id < 0)
        b->st = clm_fail(b->err, CLM_E_MODEL,
                         "the vocabulary has no %s id, which the template %s needs", what,
                         clm_template_name(kind));
    else
        add_id(b, id);
}

static void add_eos(builder *b, clm_template kind)
{
    add_required(b, clm_tokenizer_eos(b->tok), "end-of-text", kind);
}

static void add_bos_if_asked(builder *b)
{
    if (clm_tokenizer_add_bos(b->tok)) add_id(b, clm_tokenizer_bos(b->tok));
}

static span text_of(const clm_message *m)
{
    span s = {m->text, m->size};
    return s;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static span stripped(const clm_message *m)
{
    span s = text_of(m);

    while (s.size > 0 && is_blank(s.data[0])) {
        s.data++;
        s.size--;
    }
    while (s.size > 0 && is_blank(s.data[s.size - 1])) s.size--;
    return s;
}

/* ---- The templates: messages from..n_msgs-1 and the system message ----------------------------- */

static bool is_user(const job *j, size_t i)
{
    return j->msgs[i].role == CLM_ROLE_USER;
}
static bool is_system(const job *j, size_t i)
{
    return j->msgs[i].role == CLM_ROLE_SYSTEM;
}

/* Whether the prompt for the next answer has to be added. */
static bool wants_prompt(const job *j)
{
    return j->n_msgs == 0 || j->msgs[j->n_msgs - 1].role != CLM_ROLE_ASSISTANT;
}

/* One text. A system message stands in front of the first turn. */
static void write_baichuan_instruction(const job *j, size_t from, builder *b)
{
    add_span(b, j->system);
    for (size_t i = from; i < j->n_msgs; i++) {
        if (is_system(j, i)) continue;
        if (is_user(j, i)) {
            add_text(b, "\nHuman:");
            add_span(b, text_of(&j->msgs[i]));
            add_text(b, "\n\nAssistant:");
        } else {
            add_span(b, text_of(&j->msgs[i]));
        }
    }
    end_segment(b);
}

/* A segment per round: BOS, "[INST] question [/INST] answer ", EOS. */
static void write_llama2(const job *j, size_t from, builder *b)
{
    bool open = false, system_done = j->system.size == 0;

    for (size_t i = from; i < j->n_msgs; i++) {
        if (is_system(j, i)) continue;
        if (is_user(j, i) || !open)
            add_required(b, clm_tokenizer_bos(b->tok), "begin-of-text", j->kind);
        if (is_user(j, i)) {
            add_text(b, "[INST] ");
            if (!system_done) {
                add_text(b, "<<SYS>>\n");
                add_span(b, j->system);
                add_text(b, "\n<</SYS>>\n\n");
                system_done = true;
            }
            add_span(b, stripped(&j->msgs[i]));
            add_text(b, " [/INST]");
            open = true;
        } else {
            add_text(b, " ");
            add_span(b, stripped(&j->msgs[i]));
            add_text(b, " ");
            add_eos(b, j->kind);
            open = false;
        }
    }
    end_segment(b);
}

static void write_alpaca(const job *j, size_t from, builder *b)
{
    span preamble = {ALPACA_SYSTEM, sizeof ALPACA_SYSTEM - 1};

    add_bos_if_asked(b);
    add_span(b, j->system.size > 0 ? j->system : preamble);
    for (size_t i = from; i < j->n_msgs; i++) {
        if (is_system(j, i)) continue;
        if (is_user(j, i)) add_text(b, "\n\n### Instruction:\n");
        add_span(b, text_of(&j->msgs[i]));
        if (is_user(j, i)) add_text(b, "\n\n### Response:");
    }
    end_segment(b);
}

static void write_vicuna(const job *j, size_t from, builder *b)
{
    span preamble = {VICUNA_SYSTEM, sizeof VICUNA_SYSTEM - 1};

    add_bos_if_asked(b);
    add_span(b, j->system.size > 0 ? j->system : preamble);
    add_text(b, " ");
    for (size_t i = from; i < j->n_msgs; i++) {
        if (is_system(j, i)) continue;
        if (is_user(j, i)) {
            add_text(b, "USER: ");
            add_span(b, text_of(&j->msgs[i]));
            add_text(b, " ");
        } else {
            add_text(b, "ASSISTANT: ");
            add_span(b, text_of(&j->msgs[i]));
            add_eos(b, j->kind);
        }
    }
    if (wants_prompt(j)) add_text(b, "ASSISTANT:");
    end_segment(b);
}

static void write_ziya(const job *j, size_t from, builder *b)
{
    add_bos_if_asked(b);
    if (j->system.size > 0) {
        add_span(b, j->system);
        add_text(b, "\n");
    }
    for (size_t i = from; i < j->n_msgs; i++) {
        if (is_system(j, i)) continue;
        add_marker(b, is_user(j, i) ? "<human>" : "<bot>");
        add_text(b, ":");
        add_span(b, is_user(j, i) ? stripped(&j->msgs[i]) : text_of(&j->msgs[i]));
        if (i + 1 < j->n_msgs || is_user(j, i)) add_text(b, "\n");
    }
    if (wants_prompt(j)) {
        add_marker(b, "<bot>");
        add_text(b, ":");
    }
    end_segment(b);
}

static void add_chatml_turn(builder *b, const char *role, span text)
{
    add_marker(b, "<|im_start|>");
    add_text(b, role);
    add_text(b, "\n");
    add_span(b, text);
    add_marker(b, "<|im_end|>");
    add_text(b, "\n");
}

static void write_chatml(const job *j, size_t from, builder *b)
{
    add_bos_if_asked(b);
    if (j->system.size > 0) add_chatml_turn(b, "system", j->system);
    for (size_t i = from; i < j->n_msgs; i++)
        if (!is_system(j, i))
            add_chatml_turn(b, is_user(j, i) ? "user" : "assistant", text_of(&j->msgs[i]));
    if (wants_prompt(j)) {
        add_marker(b, "<|im_start|>");
        add_text(b, "assistant\n");
    }
    end_segment(b);
}

static void write_none(const job *j, size_t from, builder *b)
{
    add_bos_if_asked(b);
    add_span(b, j->system);
    for (size_t i = from; i < j->n_msgs; i++)
        if (!is_system(j, i)) add_span(b, text_of(&j->msgs[i]));
    end_segment(b);
}

static void write_messages(const job *j, size_t from, builder *b)
{
    switch (j->kind) {
    case CLM_TEMPLATE_BAICHUAN_INSTRUCTION:
        write_baichuan_instruction(j, from, b);
        break;
    case CLM_TEMPLATE_LLAMA2:
        write_llama2(j, from, b);
        break;
    case CLM_TEMPLATE_ALPACA:
        write_alpaca(j, from, b);
        break;
    case CLM_TEMPLATE_VICUNA:
        write_vicuna(j, from, b);
        break;
    case CLM_TEMPLATE_ZIYA:
        write_ziya(j, from, b);
        break;
    case CLM_TEMPLATE_CHATML:
        write_chatml(j, from, b);
        break;
    default:
        write_none(j, from, b);
        break;
    }
}

/* ---- Which rounds fit -------------------------------------------------------------------------- */

/* Where the round that ends before message `end` begins: at a user turn, or at the first message. */
static size_t round_start(const job *j, size_t end)
{
    while (end > 0 && !is_user(j, --end)) continue;
    return end;
}

/* Fresh ids of messages from.. in `b`. */
static clm_status encode_from(const job *j, size_t from, builder *b)
{
    builder_clear(b);
    b->tok = j->tok;
    b->err = j->err;
    write_messages(j, from, b);
    return b->st;
}

/* Encodes as many whole rounds as fit. The text of all of them is tokenised as one, so a length is
 * only known by trying; the rounds are halved until the boundary is found. */
static clm_status encode_fitting(const job *j, size_t max_input, builder *b, size_t *from)
{
    size_t *starts = NULL, n = 0, low = 0, high;
    clm_status st = encode_from(j, 0, b);

    *from = 0;
    if (st != CLM_OK || max_input == 0 || b->n_ids <= max_input) return st;
    starts = calloc(j->n_msgs + 1, sizeof *starts);
    if (starts == NULL) return clm_fail(j->err, CLM_E_NOMEM, "chat template: no memory");
    for (size_t end = j->n_msgs; end > 0; end = starts[n - 1]) starts[n++] = round_start(j, end);
    /* starts[0] is the newest round, taken in any case; starts[n - 1] == 0 is known not to fit. */
    high = n > 0 ? n - 1 : 0;
    while (high > low + 1) {
        size_t middle = low + (high - low) / 2;
        st = encode_from(j, starts[middle], b);
        if (st != CLM_OK) goto out;
        if (b->n_ids <= max_input)
            low = middle;
        else
            high = middle;
    }
    *from = n > 0 ? starts[low] : 0;
    st = encode_from(j, *from, b);
out:
    free(starts);
    return st;
}

/* ---- baichuan-chat ----------------------------------------------------------------------------- */

/* A model's files may state the ids. Both generations of the family use 195 and 196, whose pieces
 * have different names; a vocabulary in which they lie elsewhere is taken by the names of
 * Baichuan-13B. */
static bool find_baichuan_ids(const clm_tokenizer *tok, int *user, int *assistant)
{
    if (clm_tokenizer_roles(tok, user, assistant)) return true;
    *user = 195;
    *assistant = 196;
    if (clm_tokenizer_find(tok, "<reserved_106>") == 195 &&
        clm_tokenizer_find(tok, "<reserved_107>") == 196)
        return true; /* Baichuan2 */
    *user = clm_tokenizer_find(tok, "<reserved_102>");
    *assistant = clm_tokenizer_find(tok, "<reserved_103>");
    return *user >= 0 && *assistant >= 0;
}

/* Ids of one round; `b` is empty. */
static clm_status encode_baichuan_round(const job *j, size_t from, size_t end, const int ids[2],
                                        builder *b)
{
    int eos = clm_tokenizer_eos(j->tok);

    b->tok = j->tok;
    b->err = j->err;
    for (size_t i = from; i < end; i++) {
        if (is_system(j, i)) continue;
        add_id(b, ids[is_user(j, i) ? 0 : 1]);
        add_span(b, text_of(&j->msgs[i]));
        end_segment(b);
        if (!is_user(j, i)) {
            if (eos < 0 && b->st == CLM_OK)
                b->st =
                    clm_fail(j->err, CLM_E_MODEL,
                             "the vocabulary has no end-of-text id, which the template %s needs",
                             clm_template_name(j->kind));
            add_ids(b, &eos, 1);
        }
    }
    return b->st;
}

/* Puts `front` in front of what `b` has. */
static void prepend(builder *b, const builder *front)
{
    if (front->n_ids == 0 || !reserve_ids(b, front->n_ids)) return;
    memmove(b->ids + front->n_ids, b->ids, b->n_ids * sizeof *b->ids);
    memcpy(b->ids, front->ids, front->n_ids * sizeof *b->ids);
    b->n_ids += front->n_ids;
}

/* The publisher's rule: the newest round, then older ones while all fit; a system text in front of
 * everything. The room is counted before the final id 196 is added, so a history that fills it
 * exactly loses its first id in the end, as with the publisher. */
static clm_status encode_baichuan_chat(const job *j, size_t max_input, builder *b, size_t *from)
{
    builder system, round;
    size_t end = j->n_msgs, room = max_input == 0 ? SIZE_MAX : max_input;
    int ids[2];

    memset(&system, 0, sizeof system);
    memset(&round, 0, sizeof round);
    b->tok = system.tok = j->tok;
    b->err = system.err = j->err;
    *from = end;
    if (!find_baichuan_ids(j->tok, &ids[0], &ids[1]))
        return clm_fail(
            j->err, CLM_E_MODEL,
            "the vocabulary lacks <reserved_102> and <reserved_103>, which the template %s needs",
            clm_template_name(j->kind));
    add_span(&system, j->system);
    end_segment(&system);
    b->st = system.st;
    room -= system.n_ids < room ? system.n_ids : room;
    while (end > 0 && b->st == CLM_OK) {
        size_t start = round_start(j, end);
        b->st = encode_baichuan_round(j, start, end, ids, &round);
        if (b->st == CLM_OK && b->n_ids > 0 && (b->n_ids > room || round.n_ids > room - b->n_ids))
            break;
        if (b->st == CLM_OK) prepend(b, &round);
        builder_clear(&round);
        *from = end = start;
    }
    if (b->st == CLM_OK) prepend(b, &system);
    if (wants_prompt(j)) add_ids(b, &ids[1], 1);
    builder_clear(&round);
    builder_clear(&system);
    return b->st;
}

/* ---- The public functions ------------------------------------------------------------------------ */

clm_status clm_template_encode(clm_template t, const clm_tokenizer *tok, const clm_message *msgs,
                               size_t n_msgs, size_t max_input, int **ids, size_t *count,
                               size_t *n_dropped, clm_err *err)
{
    job j = {t, tok, msgs, n_msgs, {"", 0}, err};
    size_t from = 0;
    clm_status st;
    builder b;

    *ids = NULL;
    *count = 0;
    if (n_dropped != NULL) *n_dropped = 0;
    memset(&b, 0, sizeof b);
    for (size_t i = 0; i < n_msgs; i++)
        if (is_system(&j, i)) j.system = text_of(&msgs[i]);
    if (t == CLM_TEMPLATE_BAICHUAN_CHAT)
        st = encode_baichuan_chat(&j, max_input, &b, &from);
    else
        st = encode_fitting(&j, max_input, &b, &from);
    if (st != CLM_OK) goto out;
    if (max_input > 0 && b.n_ids > max_input) {
        memmove(b.ids, b.ids + (b.n_ids - max_input), max_input * sizeof *b.ids);
        b.n_ids = max_input;
    }
    for (size_t i = 0; i < from && n_dropped != NULL; i++) *n_dropped += !is_system(&j, i);
    if (b.n_ids > 0) *ids = b.ids;
    *count = b.n_ids;
    if (b.n_ids > 0) b.ids = NULL; /* handed over */
out:
    builder_clear(&b);
    return st;
}

size_t clm_template_stop_ids(clm_template t, const clm_tokenizer *tok, int ids[4])
{
    static const char *const chatml[] = {"<|im_end|>", "<|im_start|>", "<|endoftext|>", NULL};
    static const char *const ziya[] = {"<human>", NULL};
    const char *const *names = NULL;
    size_t n = 0;

    if (t == CLM_TEMPLATE_BAICHUAN_CHAT && find_baichuan_ids(tok, &ids[0], &ids[1])) return 2;
    if (t == CLM_TEMPLATE_CHATML) names = chatml;
    if (t == CLM_TEMPLATE_ZIYA) names = ziya;
    for (; names != NULL && *names != NULL; names++) {
        int id = clm_tokenizer_find(tok, *names);
        if (id >= 0) ids[n++] = id;
    }
    return n;
}

const char *clm_template_stop_text(clm_template t)
{
    switch (t) {
    case CLM_TEMPLATE_BAICHUAN_INSTRUCTION:
        return "\nHuman:";
    case CLM_TEMPLATE_ALPACA:
        return "\n\n### Instruction:";
    case CLM_TEMPLATE_ZIYA:
        return "<human>:";
    case CLM_TEMPLATE_CHATML:
        return "<|im_end|>";
    default:
        return NULL;
    }
}
