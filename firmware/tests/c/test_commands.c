/*
 * test_commands.c: commands from their frame to their last receipt, and the built-in scripts.
 */
#include "check.h"
#include "rig.h"

#include <stdlib.h>
#include <string.h>

static uint64_t soon(const rig_t *rig)
{
    return rig_time(rig) + 10000;
}

/* Whether the key's end came, with this stage and reason. */
static bool ended(const rig_t *rig, uint32_t correlation, fw_stage_t stage, fw_code_t reason)
{
    for (size_t i = rig->frames_count; i > 0; i--) {
        const rig_frame_t *frame = &rig->frames[i - 1];
        if (frame->header.kind == FW_KIND_RECEIPT && frame->header.correlation == correlation) {
            uint64_t told = rig_field(frame, FW_KEY_RECEIPT_REASON);
            uint64_t wanted = reason == FW_CODE_OK ? UINT64_MAX : (uint64_t)reason;
            return rig_field(frame, FW_KEY_RECEIPT_STAGE) == (uint64_t)stage && told == wanted &&
                   frame->header.destination == RIG_TOOL;
        }
    }
    return false;
}

/* The `outcome` of a key: its stage, or UINT64_MAX if it was never heard of. */
static uint64_t outcome(rig_t *rig, uint32_t number)
{
    uint8_t key[FW_COMMAND_KEY_BYTES];
    uint8_t payload[32];
    rig_key(key, number);
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, sizeof payload);
    fw_cbor_write_map(&writer, 2);
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, FW_VERB_OUTCOME);
    fw_cbor_write_unsigned(&writer, FW_KEY_OUTCOME_KEY);
    fw_cbor_write_bytes(&writer, key, sizeof key);
    uint32_t asked = rig_send(rig, FW_KIND_QUERY, 0, 0, payload, writer.length);
    const rig_frame_t *answer = rig_find(rig, FW_KIND_RESPONSE, asked);
    CHECK(rig_field(answer, FW_KEY_RESPONSE_CODE) == FW_CODE_OK);
    CHECK(rig_field(answer, FW_KEY_OUTCOME_BOOT_ID) == rig->controller->status.boot_id);
    return rig_field(answer, FW_KEY_OUTCOME_STAGE);
}

static void latch_takes_sets(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    uint32_t on = rig_set(rig, 1, soon(rig), "RL1", 1);
    rig_run(rig, 20);
    CHECK(ended(rig, on, FW_STAGE_EXECUTED, FW_CODE_OK) && rig->outputs[FW_CHANNEL_RL1] == 1);
    CHECK(rig->values[1] == 1 && outcome(rig, 1) == FW_STAGE_EXECUTED);
    /* Repeated, whatever it says now: told again, not done again. */
    uint32_t again = rig_set(rig, 1, soon(rig), "RL1", 0);
    rig_run(rig, 20);
    CHECK(ended(rig, again, FW_STAGE_EXECUTED, FW_CODE_OK) && rig->outputs[FW_CHANNEL_RL1] == 1);

    const struct {
        const char *point;
        int64_t value;
        fw_code_t code;
    } rows[] = {{"DI1", 1, FW_CODE_NOT_MANUAL},
                {"RL2", 1, FW_CODE_UNKNOWN_POINT},
                {"RL1", 2, FW_CODE_OUT_OF_RANGE},
                {"RL1", -FW_INTEGER_MAX, FW_CODE_OUT_OF_RANGE},
                {"1RL", 1, FW_CODE_BAD_FIELD},
                {"a_name_that_has_25_letters", 1, FW_CODE_BAD_FIELD}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t sent = rig_set(rig, 10 + i, soon(rig), rows[i].point, rows[i].value);
        CHECK(ended(rig, sent, FW_STAGE_REFUSED, rows[i].code));
    }
    uint32_t called = rig_call(rig, 20, soon(rig), "pulse", NULL, 0);
    CHECK(ended(rig, called, FW_STAGE_REFUSED, FW_CODE_UNKNOWN_COMMAND));
    CHECK(outcome(rig, 99) == UINT64_MAX && rig->controller->commands.executed == 1);
    rig_free(rig);
}

/* Writes a command of a verb alone, with a key or without. */
static uint32_t send_verb(rig_t *rig, uint32_t number, bool keyed, uint64_t verb)
{
    uint8_t key[FW_COMMAND_KEY_BYTES];
    uint8_t payload[48];
    rig_key(key, number);
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, sizeof payload);
    fw_cbor_write_map(&writer, keyed ? 2 : 1);
    if (keyed) {
        fw_cbor_write_unsigned(&writer, FW_KEY_REQUEST_KEY);
        fw_cbor_write_bytes(&writer, key, sizeof key);
    }
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, verb);
    return rig_send(rig, FW_KIND_COMMAND, 0, RIG_TOOL, payload, writer.length);
}

/* The verb before key and expiry: by receipt where there is a key, by response where not. */
static void the_verb_is_judged_first(void)
{
    const struct {
        uint64_t verb;
        fw_code_t code;
    } rows[] = {{99, FW_CODE_UNSUPPORTED},
                {FW_VERB_IDENTIFY, FW_CODE_WRONG_KIND},
                {FW_VERB_ENROL, FW_CODE_WRONG_KIND},
                {FW_VERB_SET, FW_CODE_BAD_FIELD},
                {UINT16_MAX, FW_CODE_UNSUPPORTED},
                {(uint64_t)UINT16_MAX + 1u, FW_CODE_BAD_FIELD},
                {(uint64_t)FW_INTEGER_MAX, FW_CODE_BAD_FIELD}};
    rig_t *rig = rig_live("latch", true, 0);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t keyed = send_verb(rig, 1 + i, true, rows[i].verb);
        CHECK(ended(rig, keyed, FW_STAGE_REFUSED, rows[i].code));
        uint32_t bare = send_verb(rig, 0, false, rows[i].verb);
        CHECK(rig_field(rig_find(rig, FW_KIND_RESPONSE, bare), FW_KEY_RESPONSE_CODE) ==
              (uint64_t)rows[i].code);
    }
    rig_free(rig);
}

/* Seventeen at once; one a scan; none lost while the link takes nothing. */
static void the_queue_is_bounded(void)
{
    rig_t *rig = rig_live("latch", false, 264);
    uint32_t sent[FW_COMMAND_QUEUE + 1];
    rig->withheld = true;
    for (uint32_t i = 0; i <= FW_COMMAND_QUEUE; i++) {
        sent[i] = rig_set(rig, 1 + i, soon(rig), "RL1", i & 1u);
    }
    for (uint32_t i = 1; i <= FW_COMMAND_QUEUE; i++) {
        rig_jump(rig, 10);
        CHECK(rig->controller->commands.executed == i);
    }
    rig->withheld = false;
    rig_run(rig, 50);
    for (uint32_t i = 0; i < FW_COMMAND_QUEUE; i++) {
        CHECK(ended(rig, sent[i], FW_STAGE_EXECUTED, FW_CODE_OK));
    }
    CHECK(ended(rig, sent[FW_COMMAND_QUEUE], FW_STAGE_REFUSED, FW_CODE_BUSY));
    rig_free(rig);
}

static void times_are_kept(void)
{
    rig_t *rig = rig_live("latch", true, 0);
    uint32_t late = rig_set(rig, 1, rig_time(rig) + 9, "RL1", 1);
    rig_run(rig, 10);
    CHECK(ended(rig, late, FW_STAGE_EXPIRED, FW_CODE_EXPIRED));
    uint64_t tomorrow = rig_time(rig) + FW_EXPIRY_MS_MAX + FW_EXPIRY_SLACK_MS + 1000;
    uint32_t far = rig_set(rig, 2, tomorrow, "RL1", 1);
    CHECK(ended(rig, far, FW_STAGE_REFUSED, FW_CODE_OUT_OF_RANGE));
    far = rig_set(rig, 3, (uint64_t)FW_INTEGER_MAX, "RL1", 1);
    CHECK(ended(rig, far, FW_STAGE_REFUSED, FW_CODE_OUT_OF_RANGE));
    /* Taken, and then no news of the time. */
    rig_set(rig, 4, rig_time(rig) + 3600000, "RL1", 1);
    rig_disconnect(rig);
    rig_jump(rig, FW_CLOCK_STALE_AFTER_MS + 1);
    CHECK(rig->controller->commands.executed == 0 && rig->outputs[FW_CHANNEL_RL1] == 0);
    rig_disconnect(rig);
    rig_connect(rig);
    rig_run(rig, 10);
    CHECK(outcome(rig, 4) == FW_STAGE_EXPIRED);
    rig_free(rig);
}

/* Every look at the count finds a millisecond more, as on a chip with much to do: the time goes on as
 * before, and commands are as fresh as they were. */
static void a_poll_takes_its_time(void)
{
    rig_t *rig = rig_live("latch", true, 0);
    rig->is_slow = true;
    for (uint8_t key = 1; key <= 20u; key++) {
        uint32_t sent = rig_set(rig, key, rig_time(rig) + 10000u, "RL1", key % 2u);
        rig_run(rig, 30);
        CHECK(ended(rig, sent, FW_STAGE_EXECUTED, FW_CODE_OK));
        uint64_t time = 0;
        CHECK(fw_clock_wall(&rig->controller->clock, rig->controller->scanned_ms, &time));
        CHECK(time <= rig_time(rig) && time + 1000u > rig_time(rig));
    }
    rig_free(rig);
}

/* The ring forgets the oldest, never what is under way; a new session repeats no receipt. */
static void thirty_two_are_remembered(void)
{
    rig_t *rig = rig_live("follow", false, 0);
    const int64_t off = 0;
    rig->inputs[FW_CHANNEL_DI1] = 1;
    rig_run(rig, 50);
    rig->feedback = false; /* DI2 stays on, so the call waits for its confirmation */
    rig_call(rig, 1, soon(rig), "enable", &off, 1);
    rig_run(rig, 20);
    for (uint32_t i = 2; i < 102; i++) {
        rig_set(rig, i, soon(rig), "RL1", 1);
    }
    CHECK(outcome(rig, 1) == FW_STAGE_EXECUTED);
    CHECK(outcome(rig, 101) == FW_STAGE_REFUSED && outcome(rig, 60) == UINT64_MAX);
    CHECK(rig->controller->commands.kept == FW_OUTCOMES_KEPT);
    rig_disconnect(rig);
    rig_connect(rig);
    rig_run(rig, 20);
    rig_forget(rig);
    rig_run(rig, 100);
    CHECK(rig_count(rig, FW_KIND_RECEIPT) == 0 || rig->ended[1]);
    rig_free(rig);
}

static void pulse_lasts_its_time(void)
{
    rig_t *rig = rig_live("pulse", false, 0);
    const int64_t length = 500;
    const int64_t bad[] = {99, 60001, 1, FW_INTEGER_MAX};
    uint32_t sent = rig_call(rig, 1, soon(rig), "pulse", &length, 1);
    rig_run(rig, 490);
    CHECK(ended(rig, sent, FW_STAGE_EXECUTED, FW_CODE_OK) && rig->outputs[FW_CHANNEL_RL1] == 1);
    rig_run(rig, 30);
    CHECK(rig->outputs[FW_CHANNEL_RL1] == 0 && rig->values[1] == 0);
    for (uint32_t i = 0; i < 4; i++) {
        sent = rig_call(rig, 10 + i, soon(rig), "pulse", &bad[i], 1);
        CHECK(ended(rig, sent, FW_STAGE_REFUSED, FW_CODE_OUT_OF_RANGE));
    }
    for (uint32_t count = 0; count <= FW_ARGUMENTS_MAX; count += 2) {
        sent = rig_call(rig, 20 + count, soon(rig), "pulse", bad, count);
        CHECK(ended(rig, sent, FW_STAGE_REFUSED, FW_CODE_BAD_FIELD));
    }
    rig_free(rig);
}

static void follow_confirms_or_fails(void)
{
    for (unsigned stuck = 0; stuck < 2; stuck++) {
        rig_t *rig = rig_live("follow", stuck != 0, 0);
        const int64_t off = 0;
        rig->inputs[FW_CHANNEL_DI1] = 1;
        rig_run(rig, 50);
        CHECK(rig->outputs[FW_CHANNEL_RL1] == 1);
        rig->feedback = stuck == 0;
        uint32_t sent = rig_call(rig, 1, soon(rig), "enable", &off, 1);
        rig_run(rig, 20);
        CHECK(rig->outputs[FW_CHANNEL_RL1] == 0);
        rig_run(rig, 2500);
        CHECK(ended(rig, sent, stuck == 0 ? FW_STAGE_CONFIRMED : FW_STAGE_FAILED,
                    stuck == 0 ? FW_CODE_OK : FW_CODE_NOT_CONFIRMED));
        CHECK(!rig->controller->runner.is_awaited);
        rig_free(rig);
    }
}

/* A change before the feedback came ends the wait for the call before it. */
static void follow_is_overtaken(void)
{
    rig_t *rig = rig_live("follow", true, 0);
    const int64_t off = 0;
    const int64_t on = 1;
    rig->inputs[FW_CHANNEL_DI1] = 1;
    rig_run(rig, 50);
    rig->feedback = false;
    uint32_t first = rig_call(rig, 1, soon(rig), "enable", &off, 1);
    uint32_t second = rig_call(rig, 2, soon(rig), "enable", &on, 1);
    rig_run(rig, 50);
    CHECK(ended(rig, first, FW_STAGE_FAILED, FW_CODE_NOT_CONFIRMED));
    CHECK(ended(rig, second, FW_STAGE_CONFIRMED, FW_CODE_OK));
    rig_free(rig);
}

/* Whether some receipt for that command says so in words. */
static bool has_detail(const rig_t *rig, uint32_t correlation, const char *text)
{
    for (size_t i = 0; i < rig->frames_count; i++) {
        const rig_frame_t *frame = &rig->frames[i];
        fw_cbor_map_t map;
        fw_span_t detail;
        if (frame->header.kind == FW_KIND_RECEIPT && frame->header.correlation == correlation &&
            fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK &&
            fw_cbor_map_text(&map, FW_KEY_RECEIPT_DETAIL, &detail) == FW_FIELD_PRESENT) {
            return detail.length == strlen(text) && memcmp(detail.bytes, text, strlen(text)) == 0;
        }
    }
    return false;
}

static void ramp_moves_and_refuses(void)
{
    rig_t *rig = rig_live("ramp", false, 0);
    const int64_t up[] = {100000, 50000};
    uint32_t sent = rig_call(rig, 1, soon(rig), "ramp", up, 2);
    rig_run(rig, 1000);
    CHECK(ended(rig, sent, FW_STAGE_EXECUTED, FW_CODE_OK));
    CHECK(rig->outputs[FW_CHANNEL_AO1] > 45000 && rig->outputs[FW_CHANNEL_AO1] < 55000);
    rig_run(rig, 1200);
    CHECK(rig->outputs[FW_CHANNEL_AO1] == 100000 && rig->values[1] == 100000);
    rig->inputs[FW_CHANNEL_AI0] = INT32_MIN;
    rig_run(rig, 20);
    sent = rig_call(rig, 2, soon(rig), "ramp", up, 2);
    rig_run(rig, 20);
    CHECK(ended(rig, sent, FW_STAGE_REFUSED, FW_CODE_REFUSED_BY_SCRIPT));
    CHECK(has_detail(rig, sent, "AI0 is out of range"));
    rig->inputs[FW_CHANNEL_AI0] = 0;
    rig_run(rig, 20);
    /* A clock that leaps while a ramp runs overshoots nothing. */
    const int64_t down[] = {0, 50000};
    rig_call(rig, 3, soon(rig), "ramp", down, 2);
    rig_jump(rig, 10);
    rig_jump(rig, 3000000);
    CHECK(rig->outputs[FW_CHANNEL_AO1] == 0);
    rig_free(rig);
}

/* A request with a name, and up to two numbers. */
static uint32_t ask(rig_t *rig, uint8_t kind, uint16_t verb, const char *name, int64_t value,
                    uint64_t length_ms)
{
    uint8_t payload[128];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, sizeof payload);
    fw_cbor_write_map(&writer, length_ms == 0u ? 2u : 4u);
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, verb);
    fw_cbor_write_unsigned(&writer, FW_KEY_FORCE_POINT);
    fw_cbor_write_string(&writer, name);
    if (length_ms != 0u) {
        fw_cbor_write_unsigned(&writer, FW_KEY_FORCE_VALUE);
        fw_cbor_write_integer(&writer, value);
        fw_cbor_write_unsigned(&writer, FW_KEY_FORCE_DURATION_MS);
        fw_cbor_write_unsigned(&writer, length_ms);
    }
    return rig_send(rig, kind, 0, RIG_TOOL, payload, writer.length);
}

static uint64_t code_of(const rig_t *rig, uint32_t correlation)
{
    const rig_frame_t *answer = rig_find(rig, FW_KIND_RESPONSE, correlation);
    return answer == NULL ? UINT64_MAX : rig_field(answer, FW_KEY_RESPONSE_CODE);
}

static void outputs_are_forced_from_afar(void)
{
    rig_t *rig = rig_live("follow", false, 0);
    static const struct {
        const char *point;
        int64_t value;
        uint64_t length_ms;
        fw_code_t code;
    } rows[] = {
        {"RL1", 2, 1000, FW_CODE_OUT_OF_RANGE},
        {"RL1", INT64_C(1) << 40, 1000, FW_CODE_OUT_OF_RANGE},
        {"DI1", 1, 1000, FW_CODE_OUT_OF_RANGE},
        {"RL9", 1, 1000, FW_CODE_UNKNOWN_POINT},
        {"RL1", 1, FW_FORCE_MS_MAX + 1u, FW_CODE_BAD_FIELD},
        {"RL1", 1, 0, FW_CODE_BAD_FIELD},
        {"RL1", 1, 1000, FW_CODE_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t asked = ask(rig, FW_KIND_CONFIGURE, FW_VERB_FORCE, rows[i].point, rows[i].value,
                             rows[i].length_ms);
        rig_run(rig, 20);
        CHECK(code_of(rig, asked) == rows[i].code);
    }
    CHECK(rig->outputs[FW_CHANNEL_RL1] == 1 && rig->values[2] == 1);
    rig_run(rig, 900);
    CHECK(rig->outputs[FW_CHANNEL_RL1] == 1);
    rig_run(rig, 110);
    CHECK(rig->outputs[FW_CHANNEL_RL1] == 0);
    ask(rig, FW_KIND_CONFIGURE, FW_VERB_FORCE, "RL1", 1, 60000);
    rig_run(rig, 20);
    CHECK(rig->outputs[FW_CHANNEL_RL1] == 1);
    uint32_t asked = ask(rig, FW_KIND_CONFIGURE, FW_VERB_RELEASE, "RL1", 0, 0);
    rig_run(rig, 20);
    CHECK(code_of(rig, asked) == FW_CODE_OK && rig->outputs[FW_CHANNEL_RL1] == 0);
    rig_free(rig);
}

/* A script with more names than one record holds. */
static const char many_names[] =
    "in a = DI1\nparam p0 : int = 5 in 0..9\n"
    "param a_rather_long_name_p1 : time = 1s in 1s..2s\n"
    "param a_rather_long_name_p2 : int = 2 in 0..9\nparam a_rather_long_name_p3 : int = 3\n"
    "param a_rather_long_name_p4 : int = 4 in 0..9\nparam a_rather_long_name_p5 : num = 5\n"
    "param a_rather_long_name_p6 : int = 6 in 0..9\nparam a_rather_long_name_p7 : int = 7\n"
    "var n : int\nn := p0\n";

static void parameters_are_adjusted_and_told(void)
{
    rig_t *rig = rig_live("latch", false, FW_RECORD_BYTES_MIN);
    CHECK(compile(many_names));
    start(many_names);
    static fw_program_t program;
    program = vm.program;
    fw_controller_run(rig->controller, &program, "many");
    rig_run(rig, 50);
    const fw_vm_t *runs = &rig->controller->runner.vm;
    uint32_t sent = rig_adjust(rig, 1, soon(rig), "p0", 7);
    rig_run(rig, 20);
    CHECK(ended(rig, sent, FW_STAGE_EXECUTED, FW_CODE_OK));
    CHECK(runs->cells[cell("n") - vm.cells] == 7);
    CHECK(rig->controller->commands.has_adjusted);
    sent = rig_adjust(rig, 2, soon(rig), "p0", 10);
    CHECK(ended(rig, sent, FW_STAGE_REFUSED, FW_CODE_OUT_OF_RANGE));
    sent = rig_adjust(rig, 3, soon(rig), "n", 1);
    CHECK(ended(rig, sent, FW_STAGE_REFUSED, FW_CODE_UNKNOWN_POINT));

    rig_forget(rig);
    uint32_t asked = rig_query(rig, FW_VERB_PARAMETERS);
    rig_run(rig, 100);
    size_t pages = 0;
    size_t last = 0;
    for (size_t i = 0; i < rig->frames_count; i++) {
        const fw_frame_header_t *header = &rig->frames[i].header;
        if (header->kind == FW_KIND_RESPONSE && header->correlation == asked) {
            pages++;
            last = (header->flags & FW_FLAG_MORE) == 0u ? pages : last;
        }
    }
    CHECK(pages > 1u && last == pages);
    asked = rig_query(rig, FW_VERB_VALUES);
    rig_run(rig, 50);
    const rig_frame_t *values = rig_find(rig, FW_KIND_RESPONSE, asked);
    CHECK(values != NULL && rig_field(values, FW_KEY_VALUES_TOTAL) == 10);
    asked = rig_query(rig, FW_VERB_HEALTH);
    rig_run(rig, 50);
    const rig_frame_t *health = rig_find(rig, FW_KIND_RESPONSE, asked);
    CHECK(health != NULL && rig_field(health, FW_KEY_HEALTH_RESET) == FW_RESET_POWER);
    rig_free(rig);
}

/* Of the longest time without a scan, and of no other. */
static void a_late_scan_tells_why(void)
{
    static const struct {
        uint32_t ms;
        uint8_t stall;
        uint8_t cause; /* that is told afterwards */
    } rows[] = {
        {100, FW_GAP_ERASE, FW_GAP_ERASE},
        {60, FW_GAP_UNKNOWN, FW_GAP_ERASE},
        {15, FW_GAP_COMPILE, FW_GAP_ERASE},
        {101, FW_GAP_UNKNOWN, FW_GAP_UNKNOWN},
    };
    rig_t *rig = rig_live("ramp", false, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rig_run(rig, 100);
        rig->controller->runner.leaves_out = false; /* as on a chip */
        rig->controller->runner.due_ms = 0;
        rig->controller->stall = rows[i].stall;
        rig_jump(rig, rows[i].ms);
        uint32_t asked = rig_query(rig, FW_VERB_HEALTH);
        const rig_frame_t *health = rig_find(rig, FW_KIND_RESPONSE, asked);
        fw_cbor_map_t map, scan;
        uint64_t cause = UINT64_MAX;
        CHECK(health != NULL &&
              fw_cbor_open(health->payload, health->header.payload_bytes, &map) == FW_CBOR_OK &&
              fw_cbor_map_map(&map, FW_KEY_HEALTH_SCAN, &scan) == FW_FIELD_PRESENT &&
              fw_cbor_map_unsigned(&scan, FW_KEY_SCAN_GAP_CAUSE, UINT8_MAX, &cause) ==
                  FW_FIELD_PRESENT);
        CHECK(cause == rows[i].cause);
    }
    CHECK(rig->controller->longest_gap_ms == 101u);
    rig_free(rig);
}

void test_commands(void)
{
    latch_takes_sets();
    the_verb_is_judged_first();
    the_queue_is_bounded();
    times_are_kept();
    a_poll_takes_its_time();
    thirty_two_are_remembered();
    pulse_lasts_its_time();
    follow_confirms_or_fails();
    follow_is_overtaken();
    ramp_moves_and_refuses();
    outputs_are_forced_from_afar();
    parameters_are_adjusted_and_told();
    a_late_scan_tells_why();
}
