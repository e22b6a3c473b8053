/*
 * stand_in.c: see stand_in.h.
 */
#include "stand_in.h"

#include "zone.h"

#include <string.h>

#define TRIAL_MS 600000u
#define IMAGE_BYTES_MAX 0x6A000u

static const fw_pin_t pins[] = {
    {"DI1", FW_POINT_DIGITAL_INPUT, 0},  {"DI2", FW_POINT_DIGITAL_INPUT, 1},
    {"RL1", FW_POINT_DIGITAL_OUTPUT, 2}, {"RL2", FW_POINT_DIGITAL_OUTPUT, 3},
    {"RL3", FW_POINT_DIGITAL_OUTPUT, 4}, {"RL4", FW_POINT_DIGITAL_OUTPUT, 5},
    {"AI0", FW_POINT_ANALOGUE_INPUT, 6}, {"AO1", FW_POINT_ANALOGUE_OUTPUT, 7},
};
static const fw_board_t board = {pins, sizeof(pins) / sizeof(pins[0])};

static const char script[] =
    "# Pump house: fill the tank, and look after the house.\n"
    "in   door  = DI1 debounce 30ms\n"
    "in   run   = DI2\n"
    "in   level : num = AI0 bad below -5\n"
    "out  pump  = RL1 safe off confirm run within 2s\n"
    "out  fan   = RL2 safe hold\n"
    "out  lamp  = RL3 safe off\n"
    "out  spare = RL4 safe off manual\n"
    "retain runs : int\n"
    "param  high  : num = 80 in 50..95\n"
    "param  low   : num = 20 in 5..45\n"
    "param  delay : time = 30s in 1s..10m\n"
    "command boost(t: time in 1s..10m) refuse \"tank full\" when level > 90\n"
    "state house: idle, busy\n"
    "  from idle to busy when door\n"
    "  from busy to idle when not door\n"
    "end\n"
    "\n"
    "pump := hysteresis(level, low, high) or tp(boost, boost.t)\n"
    "fan  := tof(pump, delay)\n"
    "lamp := house.busy\n"
    "runs += 1 when rise(pump)\n"
    "alarm HIGH \"High water\" when ton(level > 95, 10s) clear level < 70\n";

/* ---- scripts ---- */

static bool put_code(void *ctx, uint32_t word)
{
    stand_in_slot_t *slot = ctx;
    slot->code[slot->code_words++] = word;
    return true;
}

static bool put_table(void *ctx, uint32_t word)
{
    stand_in_slot_t *slot = ctx;
    slot->table[slot->table_words++] = word;
    return true;
}

static stand_in_slot_t *slot_of(stand_in_t *stand_in)
{
    return &stand_in->slots[stand_in->running];
}

static stand_in_slot_t *other_slot(stand_in_t *stand_in)
{
    return &stand_in->slots[stand_in->running ^ 1u];
}

static bool compile_begin(stand_in_t *stand_in, stand_in_slot_t *slot)
{
    slot->code_words = 0;
    slot->table_words = 0;
    fw_program_sink_t sink = {slot, put_code, put_table};
    return fw_compile_begin(&stand_in->compiler, slot->source, slot->source_bytes, &board, sink);
}

static void start(stand_in_t *stand_in)
{
    const stand_in_slot_t *slot = slot_of(stand_in);
    fw_program_t program = {slot->code, slot->table, slot->code_words, slot->table_words};
    fw_runner_start(&stand_in->runner, &program, stand_in->now_ms);
    memset(stand_in->levels, 0, sizeof(stand_in->levels));
    memset(stand_in->causes, 0, sizeof(stand_in->causes));
    memset(stand_in->force_left_ms, 0, sizeof(stand_in->force_left_ms));
}

static void copy_name(char to[FW_API_NAME_BYTES], const uint32_t *name)
{
    memset(to, 0, FW_API_NAME_BYTES);
    for (uint32_t i = 0; name != NULL && i < name[0] && i < FW_NAME_BYTES_MAX; i++) {
        to[i] = (char)(name[1 + i / 4] >> (8 * (i % 4)));
    }
}

/* ---- a scan ---- */

static void remember_why(stand_in_t *stand_in, uint8_t output, fw_cause_t cause)
{
    fw_api_why_t *why = &stand_in->whys[stand_in->why_last % STAND_IN_WHYS];
    const fw_record_t *record = &stand_in->runner.outputs[output].record;
    *why = (fw_api_why_t){
        .cause = cause,
        .time_ms = stand_in->began_ms == 0 ? 0 : stand_in->began_ms + stand_in->uptime_ms,
        .uptime_ms = stand_in->uptime_ms,
        .boot_id = stand_in->boot_id,
        .number = ++stand_in->why_last,
        .value = stand_in->levels[output],
        .type = record->b == FW_TYPE_BOOL ? FW_POINT_DIGITAL_OUTPUT : FW_POINT_ANALOGUE_OUTPUT,
    };
    copy_name(why->name, record->name);
}

/* The level falls while the pump rests and rises while it works; the door opens now and then. */
static void move_inputs(stand_in_t *stand_in)
{
    const fw_runner_t *runner = &stand_in->runner;
    for (uint8_t i = 0; i < runner->inputs_count && !stand_in->is_input_fixed; i++) {
        uint32_t channel = runner->inputs[i].record.words[FW_INPUT_CHANNEL];
        uint64_t phase = stand_in->uptime_ms % 200000u;
        if (channel == 0) {
            stand_in->raw[i] = stand_in->uptime_ms % 60000u > 45000u;
        } else if (channel == 1) {
            stand_in->raw[i] = runner->outputs_count > 0 && runner->outputs[0].level != 0;
        } else {
            stand_in->raw[i] = (int32_t)(phase < 100000u ? phase : 200000u - phase);
        }
    }
}

static void give_outcome(stand_in_t *stand_in, uint32_t receipt, uint8_t stage, uint8_t reason)
{
    stand_in->receipts[receipt % STAND_IN_RECEIPTS] =
        (stand_in_receipt_t){receipt, {stage, reason, stage >= FW_STAGE_EXECUTED}};
}

static void write_outputs(stand_in_t *stand_in, uint32_t passed_ms)
{
    fw_runner_t *runner = &stand_in->runner;
    for (uint8_t i = 0; i < runner->outputs_count; i++) {
        fw_cause_t cause = {.kind = FW_CAUSE_SCRIPT,
                            .reference = runner->outputs[i].record.words[FW_OUTPUT_LINE]};
        int32_t level = runner->outputs[i].level;
        if (stand_in->force_left_ms[i] > 0) {
            uint32_t left = stand_in->force_left_ms[i];
            stand_in->force_left_ms[i] = left > passed_ms ? left - passed_ms : 0;
            level = stand_in->forced[i];
            cause = (fw_cause_t){.kind = FW_CAUSE_FORCE};
        } else if ((runner->outputs[i].record.words[FW_OUTPUT_FLAGS] & FW_OUTPUT_MANUAL) != 0) {
            cause = (fw_cause_t){.kind = FW_CAUSE_COMMAND, .reference = stand_in->receipts_given};
        }
        if (level != stand_in->levels[i]) {
            stand_in->levels[i] = level;
            stand_in->causes[i] = cause;
            remember_why(stand_in, i, cause);
        }
    }
}

void stand_in_scan(stand_in_t *stand_in, uint32_t now_ms)
{
    uint32_t passed_ms = now_ms - stand_in->now_ms;
    stand_in->uptime_ms += passed_ms;
    stand_in->now_ms = now_ms;
    move_inputs(stand_in);
    fw_zone_t zone;
    const uint8_t *text = stand_in->settings[FW_SETTING_ZONE];
    (void)fw_zone_parse(&zone, (fw_span_t){text, stand_in->setting_bytes[FW_SETTING_ZONE]});
    fw_runner_scan_t scan = {
        .raw = stand_in->raw,
        .call = stand_in->call_receipt != 0 ? &stand_in->call : NULL,
        .now_ms = now_ms,
        .zone = &zone,
        .utc = (int64_t)((stand_in->began_ms + stand_in->uptime_ms) / 1000u),
        .online = true,
        .synced = stand_in->began_ms != 0,
    };
    fw_vm_answer_t answer = fw_runner_scan(&stand_in->runner, &scan);
    if (stand_in->call_receipt != 0) {
        bool is_taken = answer == FW_VM_TAKEN;
        give_outcome(stand_in, stand_in->call_receipt,
                     is_taken ? FW_STAGE_EXECUTED : FW_STAGE_REFUSED,
                     is_taken ? FW_CODE_OK : FW_CODE_REFUSED_BY_SCRIPT);
        stand_in->call_receipt = 0;
    }
    write_outputs(stand_in, passed_ms);
    if (stand_in->is_on_trial && now_ms - stand_in->trial_ms >= TRIAL_MS) {
        stand_in->running ^= 1u;
        stand_in->is_on_trial = false;
        start(stand_in);
    }
}

/* ---- what it shows ---- */

static void status(void *ctx, fw_api_status_t *into)
{
    stand_in_t *stand_in = ctx;
    const stand_in_slot_t *slot = slot_of(stand_in);
    uint32_t hash = 2166136261u;
    for (uint16_t i = 0; i < slot->source_bytes; i++) {
        hash = (hash ^ slot->source[i]) * 16777619u;
    }
    *into = (fw_api_status_t){
        .board = "stand-in, 4 relays",
        .software = "switchyard 0.1.0",
        .uptime_ms = stand_in->uptime_ms,
        .time_ms = stand_in->began_ms == 0 ? 0 : stand_in->began_ms + stand_in->uptime_ms,
        .address = 100042,
        .boot_id = stand_in->boot_id,
        .free_bytes = 21480,
        .ip = 0xC0A8042A,
        .script_hash = hash,
        .trial_left_ms = stand_in->is_on_trial ? TRIAL_MS - (stand_in->now_ms - stand_in->trial_ms) : 0,
        .why_last = stand_in->why_last,
        .late_scans = 3,
        .longest_gap_ms = 96,
        .longest_gap = FW_API_GAP_ERASE,
        .scan_us = 312,
        .operations = slot->operations,
        .divisions_by_zero = (uint16_t)stand_in->runner.vm.divisions_by_zero,
        .rssi_dbm = -61,
        .link = FW_API_LINK_LIVE,
        .wifi = FW_API_WIFI_JOINED,
        .script = stand_in->is_on_trial ? FW_API_SCRIPT_ON_TRIAL : FW_API_SCRIPT_RUNS,
        .update = stand_in->update,
        .update_bytes = stand_in->upload_bytes[FW_UPLOAD_FIRMWARE],
        .update_written_bytes = stand_in->upload_written[FW_UPLOAD_FIRMWARE],
    };
}

static void show_pin(fw_api_point_t *point, const fw_record_t *record)
{
    const fw_pin_t *pin = &pins[record->words[0] % board.count];
    strcpy(point->pin, pin->name);
    copy_name(point->name, record->name);
    point->type = pin->type;
}

static bool point(void *ctx, uint16_t *cursor, fw_api_point_t *into)
{
    stand_in_t *stand_in = ctx;
    const fw_runner_t *runner = &stand_in->runner;
    uint16_t at = (*cursor)++;
    if (at < runner->inputs_count) {
        show_pin(into, &runner->inputs[at].record);
        into->value = runner->vm.cells[runner->inputs[at].record.a];
        into->flags = runner->inputs[at].bad ? FW_POINT_BAD : 0u;
        into->cause = (fw_cause_t){.kind = FW_CAUSE_INPUT};
        return true;
    }
    at = (uint16_t)(at - runner->inputs_count);
    if (at >= runner->outputs_count) {
        return false;
    }
    const fw_runner_output_t *output = &runner->outputs[at];
    show_pin(into, &output->record);
    bool is_manual = (output->record.words[FW_OUTPUT_FLAGS] & FW_OUTPUT_MANUAL) != 0;
    bool confirms = output->record.words[FW_OUTPUT_FEEDBACK] != FW_CELL_NONE;
    into->value = stand_in->levels[at];
    into->cause = stand_in->causes[at];
    into->force_left_ms = stand_in->force_left_ms[at];
    into->flags = (uint8_t)((is_manual ? FW_POINT_MANUAL : 0u) | (output->fault ? FW_POINT_FAULT : 0u) |
                            (into->force_left_ms > 0 ? FW_POINT_FORCED : 0u) |
                            (confirms ? FW_POINT_CONFIRM : 0u));
    return true;
}

static bool command(void *ctx, uint16_t *cursor, fw_api_command_t *into)
{
    stand_in_t *stand_in = ctx;
    fw_record_t record;
    while (fw_program_next(&stand_in->runner.vm.program, cursor, &record)) {
        if (record.tag != FW_RECORD_COMMAND) {
            continue;
        }
        copy_name(into->name, record.name);
        into->count = record.b;
        uint16_t at = *cursor;
        for (uint8_t i = 0; i < record.b; i++) {
            fw_record_t argument;
            (void)fw_program_next(&stand_in->runner.vm.program, &at, &argument);
            fw_api_argument_t *to = &into->arguments[i];
            copy_name(to->name, argument.name);
            to->type = argument.b;
            to->min = (int32_t)argument.words[0];
            to->max = (int32_t)argument.words[1];
        }
        return true;
    }
    return false;
}

static void show_state(const fw_program_t *program, uint8_t cell, fw_api_value_t *into)
{
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(program, &at, &record)) {
        if (record.tag == FW_RECORD_STATE && record.a == cell && record.b == into->value) {
            copy_name(into->state, record.name);
        }
    }
}

static bool value(void *ctx, uint16_t *cursor, fw_api_value_t *into)
{
    static const struct {
        uint8_t tag, kind, line;
    } kinds[] = {
        {FW_RECORD_VARIABLE, FW_API_VARIABLE, 1},   {FW_RECORD_RETAINED, FW_API_RETAINED, 1},
        {FW_RECORD_PARAMETER, FW_API_PARAMETER, 1}, {FW_RECORD_MACHINE, FW_API_MACHINE, 0},
        {FW_RECORD_ALARM, FW_API_ALARM, 0},
    };
    stand_in_t *stand_in = ctx;
    const fw_vm_t *vm = &stand_in->runner.vm;
    fw_record_t record;
    while (fw_program_next(&vm->program, cursor, &record)) {
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            if (kinds[i].tag != record.tag) {
                continue;
            }
            into->kind = kinds[i].kind;
            into->line = (uint16_t)record.words[kinds[i].line];
            into->type = into->kind == FW_API_MACHINE ? FW_TYPE_INT : record.b;
            into->value = vm->cells[record.a];
            copy_name(into->name, record.name);
            if (into->kind == FW_API_PARAMETER) {
                into->min = (int32_t)record.words[2];
                into->max = (int32_t)record.words[3];
            } else if (into->kind == FW_API_MACHINE) {
                show_state(&vm->program, record.a, into);
            } else if (into->kind == FW_API_ALARM) {
                into->type = FW_TYPE_BOOL;
                into->value = (vm->alarms >> record.a & 1u) != 0;
                copy_name(into->name, &record.words[1]);
            }
            return true;
        }
    }
    return false;
}

static bool why(void *ctx, uint32_t before, fw_api_why_t *into)
{
    stand_in_t *stand_in = ctx;
    uint32_t number = before > stand_in->why_last ? stand_in->why_last : before - 1;
    if (before == 0 || number == 0 || stand_in->why_last - number >= STAND_IN_WHYS) {
        return false;
    }
    *into = stand_in->whys[(number - 1) % STAND_IN_WHYS];
    return true;
}

static size_t source(void *ctx, uint32_t at, uint8_t *into, size_t room)
{
    const stand_in_slot_t *slot = slot_of(ctx);
    if (at >= slot->source_bytes) {
        return 0;
    }
    size_t left = slot->source_bytes - at;
    size_t length = left < room ? left : room;
    memcpy(into, slot->source + at, length);
    return length;
}

/* ---- what it does ---- */

static uint8_t output_of(const stand_in_t *stand_in, fw_span_t name)
{
    for (uint8_t i = 0; i < stand_in->runner.outputs_count; i++) {
        if (fw_record_is(&stand_in->runner.outputs[i].record, name)) {
            return i;
        }
    }
    return FW_POINT_NONE;
}

static fw_api_result_t set(void *ctx, fw_span_t name, int32_t wanted, uint32_t *receipt)
{
    stand_in_t *stand_in = ctx;
    uint8_t output = output_of(stand_in, name);
    if (output == FW_POINT_NONE) {
        return FW_PROBLEM_UNKNOWN_POINT;
    }
    const fw_record_t *record = &stand_in->runner.outputs[output].record;
    if ((record->words[FW_OUTPUT_FLAGS] & FW_OUTPUT_MANUAL) == 0) {
        return FW_PROBLEM_NOT_MANUAL;
    }
    if (!fw_runner_set(&stand_in->runner, output, wanted)) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    *receipt = ++stand_in->receipts_given;
    give_outcome(stand_in, *receipt, FW_STAGE_EXECUTED, FW_CODE_OK);
    return FW_PROBLEM_NONE;
}

static fw_api_result_t call(void *ctx, fw_span_t name, const int32_t *arguments, uint8_t count,
                            uint32_t *receipt)
{
    stand_in_t *stand_in = ctx;
    uint16_t cursor = 0;
    uint8_t number = 0;
    fw_api_command_t found = {0};
    while (command(stand_in, &cursor, &found)) {
        if (fw_text_is(name, found.name)) {
            break;
        }
        number++;
        found = (fw_api_command_t){0};
    }
    if (found.name[0] == '\0') {
        return FW_PROBLEM_UNKNOWN_COMMAND;
    }
    if (found.count != count) {
        return FW_PROBLEM_BAD_FIELD;
    }
    for (uint8_t i = 0; i < count; i++) {
        if (arguments[i] < found.arguments[i].min || arguments[i] > found.arguments[i].max) {
            return FW_PROBLEM_OUT_OF_RANGE;
        }
        stand_in->call.arguments[i] = arguments[i];
    }
    if (stand_in->call_receipt != 0) {
        return FW_PROBLEM_BUSY;
    }
    stand_in->call.command = number;
    *receipt = ++stand_in->receipts_given;
    stand_in->call_receipt = *receipt;
    give_outcome(stand_in, *receipt, FW_STAGE_DELIVERED, FW_CODE_OK);
    return FW_PROBLEM_NONE;
}

static bool outcome(void *ctx, uint32_t receipt, fw_api_outcome_t *into)
{
    stand_in_t *stand_in = ctx;
    const stand_in_receipt_t *found = &stand_in->receipts[receipt % STAND_IN_RECEIPTS];
    if (receipt == 0 || found->receipt != receipt) {
        return false;
    }
    *into = found->outcome;
    return true;
}

static fw_api_result_t force(void *ctx, fw_span_t name, int32_t wanted, uint32_t for_ms)
{
    stand_in_t *stand_in = ctx;
    uint8_t output = output_of(stand_in, name);
    if (output == FW_POINT_NONE) {
        return FW_PROBLEM_UNKNOWN_POINT;
    }
    if (stand_in->runner.outputs[output].record.b == FW_TYPE_BOOL && (wanted < 0 || wanted > 1)) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    stand_in->forced[output] = wanted;
    stand_in->force_left_ms[output] = for_ms;
    return FW_PROBLEM_NONE;
}

static fw_api_result_t parameter(void *ctx, fw_span_t name, int32_t wanted)
{
    stand_in_t *stand_in = ctx;
    uint16_t cursor = 0;
    fw_record_t record;
    while (fw_program_next(&stand_in->runner.vm.program, &cursor, &record)) {
        if (record.tag == FW_RECORD_PARAMETER && fw_record_is(&record, name)) {
            if (wanted < (int32_t)record.words[2] || wanted > (int32_t)record.words[3]) {
                return FW_PROBLEM_OUT_OF_RANGE;
            }
            stand_in->runner.vm.cells[record.a] = wanted;
            return FW_PROBLEM_NONE;
        }
    }
    return FW_PROBLEM_UNKNOWN_NAME;
}

/* As the flash would make one wait: a few asks. */
static bool still_waits(stand_in_t *stand_in, uint8_t asks)
{
    stand_in->waits++;
    if (stand_in->waits <= asks) {
        return true;
    }
    stand_in->waits = 0;
    return false;
}

static fw_api_result_t upload_begin(void *ctx, fw_upload_t what, uint32_t bytes)
{
    stand_in_t *stand_in = ctx;
    if (what == FW_UPLOAD_SCRIPT && stand_in->is_on_trial) {
        return FW_PROBLEM_WRONG_STATE; /* the other slot is what it would go back to */
    }
    if (what == FW_UPLOAD_FIRMWARE && bytes > IMAGE_BYTES_MAX) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    if (still_waits(stand_in, 5)) {
        return FW_API_WAIT;
    }
    stand_in->upload_bytes[what] = bytes;
    stand_in->upload_written[what] = 0;
    if (what == FW_UPLOAD_SCRIPT) {
        stand_in->is_written = false;
        stand_in->is_compiling = false;
        other_slot(stand_in)->source_bytes = 0;
    } else {
        stand_in->update = FW_API_UPDATE_WRITING;
    }
    return FW_PROBLEM_NONE;
}

static fw_api_result_t upload_write(void *ctx, fw_upload_t what, uint32_t at, fw_span_t piece)
{
    stand_in_t *stand_in = ctx;
    uint32_t *written = &stand_in->upload_written[what];
    if (at + piece.length <= *written) {
        return FW_PROBLEM_NONE;
    }
    if (at != *written || at + piece.length > stand_in->upload_bytes[what]) {
        return FW_PROBLEM_WRONG_STATE;
    }
    if (at / 4096u != (at + piece.length) / 4096u && still_waits(stand_in, 2)) {
        return FW_API_WAIT;
    }
    if (what == FW_UPLOAD_SCRIPT) {
        stand_in_slot_t *slot = other_slot(stand_in);
        memcpy(slot->source + at, piece.bytes, piece.length);
        slot->source_bytes = (uint16_t)(at + piece.length);
    } else if (at == 0 && piece.length > 0) {
        stand_in->first_byte = piece.bytes[0];
    }
    *written += (uint32_t)piece.length;
    return FW_PROBLEM_NONE;
}

static fw_api_result_t compile_on(stand_in_t *stand_in, fw_api_compiled_t *into)
{
    stand_in_slot_t *slot = other_slot(stand_in);
    const fw_compiler_t *compiler = &stand_in->compiler;
    if (!stand_in->is_compiling) {
        stand_in->is_compiling = true;
        (void)compile_begin(stand_in, slot);
        return FW_API_WAIT;
    }
    fw_compile_state_t state = fw_compile_step(&stand_in->compiler);
    if (state == FW_COMPILE_MORE) {
        return FW_API_WAIT;
    }
    stand_in->is_compiling = false;
    if (state == FW_COMPILE_FAILED) {
        *into = (fw_api_compiled_t){
            .expected = compiler->error.expected,
            .fix = compiler->error.fix,
            .line = compiler->error.line,
            .column = compiler->error.column,
            .length = compiler->error.length,
            .other_line = compiler->error.other_line,
        };
        return FW_PROBLEM_SCRIPT_ERROR;
    }
    slot->operations = compiler->operations;
    stand_in->is_written = true;
    *into = (fw_api_compiled_t){
        .operations = compiler->operations,
        .code_words = slot->code_words,
        .table_words = slot->table_words,
    };
    return FW_PROBLEM_NONE;
}

static fw_api_result_t upload_end(void *ctx, fw_upload_t what, fw_api_compiled_t *compiled)
{
    stand_in_t *stand_in = ctx;
    if (stand_in->upload_written[what] != stand_in->upload_bytes[what]) {
        return FW_PROBLEM_WRONG_STATE;
    }
    if (what == FW_UPLOAD_SCRIPT) {
        return compile_on(stand_in, compiled);
    }
    if (still_waits(stand_in, 30)) {
        return FW_API_WAIT;
    }
    if (stand_in->first_byte != 0xEA) {
        stand_in->update = FW_API_UPDATE_NONE;
        return FW_PROBLEM_BAD_IMAGE;
    }
    stand_in->update = FW_API_UPDATE_WRITTEN;
    return FW_PROBLEM_NONE;
}

static fw_api_result_t trial(void *ctx, fw_trial_t what)
{
    stand_in_t *stand_in = ctx;
    bool may = what == FW_TRIAL_BEGIN ? stand_in->is_written && !stand_in->is_on_trial
                                      : stand_in->is_on_trial;
    if (!may) {
        return FW_PROBLEM_WRONG_STATE;
    }
    if (what != FW_TRIAL_COMMIT) {
        stand_in->running ^= 1u;
        start(stand_in);
    }
    stand_in->is_written = false;
    stand_in->is_on_trial = what == FW_TRIAL_BEGIN;
    stand_in->trial_ms = stand_in->now_ms;
    return FW_PROBLEM_NONE;
}

/* ---- settings ---- */

static uint8_t setting(void *ctx, fw_setting_t which, uint8_t into[FW_SETTING_BYTES_MAX])
{
    stand_in_t *stand_in = ctx;
    if (which != FW_SETTING_WIFI_PASSWORD) {
        memcpy(into, stand_in->settings[which], stand_in->setting_bytes[which]);
    }
    return stand_in->setting_bytes[which];
}

static bool is_good_setting(fw_setting_t which, fw_span_t text)
{
    fw_zone_t zone;
    switch (which) {
    case FW_SETTING_HOST:
        return text.length >= 1 && text.length <= FW_NAME_BYTES_MAX;
    case FW_SETTING_WIFI:
        return text.length <= FW_SSID_BYTES_MAX;
    case FW_SETTING_WIFI_PASSWORD:
        return text.length == 0 || text.length >= 8;
    case FW_SETTING_GATEWAY_1:
    case FW_SETTING_GATEWAY_2:
        return text.length == 0 || memchr(text.bytes, ':', text.length) != NULL;
    case FW_SETTING_ZONE:
        return fw_zone_parse(&zone, text);
    default:
        return text.length >= 1;
    }
}

static fw_api_result_t change_settings(void *ctx, const fw_span_t settings[FW_SETTINGS],
                                       uint8_t *wrong)
{
    stand_in_t *stand_in = ctx;
    for (uint8_t i = 0; i < FW_SETTINGS; i++) {
        if (settings[i].bytes != NULL && !is_good_setting((fw_setting_t)i, settings[i])) {
            *wrong = i;
            return FW_PROBLEM_OUT_OF_RANGE;
        }
    }
    if (still_waits(stand_in, 5)) {
        return FW_API_WAIT;
    }
    if (stand_in->is_store_broken) {
        return FW_PROBLEM_STORE;
    }
    for (uint8_t i = 0; i < FW_SETTINGS; i++) {
        if (settings[i].bytes != NULL) {
            memcpy(stand_in->settings[i], settings[i].bytes, settings[i].length);
            stand_in->setting_bytes[i] = (uint8_t)settings[i].length;
        }
    }
    return FW_PROBLEM_NONE;
}

static fw_api_result_t look_around(void *ctx)
{
    stand_in_t *stand_in = ctx;
    if (!stand_in->is_looking) {
        stand_in->is_looking = true;
        stand_in->looked_ms = stand_in->now_ms;
    }
    if (stand_in->now_ms - stand_in->looked_ms < 1500) {
        return FW_API_WAIT;
    }
    stand_in->is_looking = false;
    return FW_PROBLEM_NONE;
}

static bool network(void *ctx, uint16_t *cursor, fw_api_network_t *into)
{
    static const struct {
        const char *ssid;
        int8_t rssi;
        bool secured;
    } networks[] = {
        {"Pump yard", -48, true}, {"Workshop \"B\"", -63, true}, {"\xe6\xb0\xb4\xe5\xa1\x94", -70, true},
        {"guest", -77, false},    {"printer-setup", -85, false},
    };
    (void)ctx;
    uint16_t at = (*cursor)++;
    if (at >= sizeof(networks) / sizeof(networks[0])) {
        return false;
    }
    into->ssid_bytes = (uint8_t)strlen(networks[at].ssid);
    memcpy(into->ssid, networks[at].ssid, into->ssid_bytes);
    into->rssi_dbm = networks[at].rssi;
    into->is_secured = networks[at].secured;
    return true;
}

static bool verifier(void *ctx, uint8_t into[FW_VERIFIER_BYTES])
{
    const stand_in_t *stand_in = ctx;
    memcpy(into, stand_in->verifier, FW_VERIFIER_BYTES);
    return stand_in->has_verifier;
}

static fw_api_result_t change_verifier(void *ctx, const uint8_t bytes[FW_VERIFIER_BYTES])
{
    stand_in_t *stand_in = ctx;
    if (still_waits(stand_in, 5)) {
        return FW_API_WAIT;
    }
    if (stand_in->is_store_broken) {
        return FW_PROBLEM_STORE;
    }
    memcpy(stand_in->verifier, bytes, FW_VERIFIER_BYTES);
    stand_in->has_verifier = true;
    return FW_PROBLEM_NONE;
}

static bool setup_is_open(void *ctx)
{
    const stand_in_t *stand_in = ctx;
    return stand_in->is_setup_open;
}

static void restart(void *ctx)
{
    stand_in_t *stand_in = ctx;
    stand_in->restarts++;
}

static void random_bytes(void *ctx, uint8_t *into, size_t length)
{
    stand_in_t *stand_in = ctx;
    for (size_t i = 0; i < length; i++) {
        stand_in->random_state ^= stand_in->random_state >> 12;
        stand_in->random_state ^= stand_in->random_state << 25;
        stand_in->random_state ^= stand_in->random_state >> 27;
        into[i] = (uint8_t)((stand_in->random_state * 0x2545F4914F6CDD1Du) >> 56);
    }
}

/* ---- the whole ---- */

static void put_setting(stand_in_t *stand_in, fw_setting_t which, const char *text)
{
    stand_in->setting_bytes[which] = (uint8_t)strlen(text);
    memcpy(stand_in->settings[which], text, strlen(text));
}

void stand_in_init(stand_in_t *stand_in, uint64_t seed, uint64_t began_ms, uint32_t now_ms)
{
    memset(stand_in, 0, sizeof(*stand_in));
    stand_in->random_state = seed * 2 + 1;
    stand_in->began_ms = began_ms;
    stand_in->now_ms = now_ms;
    random_bytes(stand_in, (uint8_t *)&stand_in->boot_id, sizeof(stand_in->boot_id));
    stand_in->is_setup_open = true;
    put_setting(stand_in, FW_SETTING_NAME, "Pump house 3");
    put_setting(stand_in, FW_SETTING_HOST, "pump-house-3");
    put_setting(stand_in, FW_SETTING_WIFI, "Pump yard");
    put_setting(stand_in, FW_SETTING_WIFI_PASSWORD, "very secret");
    put_setting(stand_in, FW_SETTING_GATEWAY_1, "gateway.example:7400");
    put_setting(stand_in, FW_SETTING_ZONE, "CET-1CEST,M3.5.0,M10.5.0/3");
    stand_in_slot_t *slot = slot_of(stand_in);
    slot->source_bytes = sizeof(script) - 1;
    memcpy(slot->source, script, slot->source_bytes);
    (void)compile_begin(stand_in, slot);
    while (fw_compile_step(&stand_in->compiler) == FW_COMPILE_MORE) {
    }
    slot->operations = stand_in->compiler.operations;
    start(stand_in);
    stand_in->interface = (fw_api_controller_t){
        .ctx = stand_in,
        .status = status,
        .point = point,
        .command = command,
        .value = value,
        .why = why,
        .source = source,
        .set = set,
        .call = call,
        .outcome = outcome,
        .force = force,
        .parameter = parameter,
        .upload_begin = upload_begin,
        .upload_write = upload_write,
        .upload_end = upload_end,
        .trial = trial,
        .setting = setting,
        .change_settings = change_settings,
        .look_around = look_around,
        .network = network,
        .verifier = verifier,
        .change_verifier = change_verifier,
        .setup_is_open = setup_is_open,
        .restart = restart,
        .random = random_bytes,
    };
}

const fw_api_controller_t *stand_in_interface(stand_in_t *stand_in)
{
    return &stand_in->interface;
}

size_t stand_in_bytes(void)
{
    return sizeof(stand_in_t);
}
