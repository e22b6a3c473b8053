/*
 * device_api.c: what the API shows of a device, and what it does to it (api.h).
 */
#include "cost.h"
#include "device_inside.h"
#include "inside.h"
#include "text.h"

/* ---- what it shows ---- */

static void copy_text(char *into, size_t room, const fw_record_t *record)
{
    fw_span_t text = fw_record_text(record, (uint8_t *)into, room - 1u);
    into[text.length] = '\0';
}

static uint8_t link_of(const fw_controller_t *controller)
{
    switch (controller->link.state) {
    case FW_LINK_LIVE:
        return FW_API_LINK_LIVE;
    case FW_LINK_CLOSED:
        return controller->settings.gateways == 0u ? FW_API_LINK_NONE : FW_API_LINK_DOWN;
    default:
        return FW_API_LINK_OPENING;
    }
}

static uint8_t gap_of(const fw_controller_t *controller)
{
    if (controller->longest_gap_ms == 0u) {
        return FW_API_GAP_NONE;
    }
    return controller->gap_cause == FW_GAP_ERASE ? FW_API_GAP_ERASE : FW_API_GAP_OTHER;
}

static uint8_t script_of(const fw_scripts_t *scripts)
{
    switch (scripts->state) {
    case FW_SCRIPT_KEPT:
        return FW_API_SCRIPT_RUNS;
    case FW_SCRIPT_ON_TRIAL:
        return FW_API_SCRIPT_ON_TRIAL;
    case FW_SCRIPT_SAFE_MODE:
        return FW_API_SCRIPT_STOPPED;
    default:
        return FW_API_SCRIPT_NONE;
    }
}

static uint8_t update_of(const fw_update_t *update)
{
    switch (update->phase) {
    case FW_UPDATE_WRITING:
        return FW_API_UPDATE_WRITING;
    case FW_UPDATE_PENDING:
        return FW_API_UPDATE_WRITTEN;
    case FW_UPDATE_TRIAL:
        return FW_API_UPDATE_ON_TRIAL;
    case FW_UPDATE_FALLEN_BACK:
        return FW_API_UPDATE_FELL_BACK;
    default:
        return FW_API_UPDATE_NONE;
    }
}

static void status(void *ctx, fw_api_status_t *into)
{
    fw_device_t *device = ctx;
    fw_controller_t *controller = &device->controller;
    const fw_machine_t *machine = device->setup->machine;
    const fw_vm_t *vm = &controller->runner.vm;
    fw_radio_t radio = {.ip = 0};
    fw_slot_view_t view;
    fw_logbook_entry_t last;
    uint64_t time_ms = 0;
    uint32_t now_ms = fw_now(controller);
    machine->radio(machine->ctx, &radio);
    bool has_script = fw_slots_active(&device->slots, FW_PAIR_SCRIPT, &view);
    const fw_slot_pair_t *pair = &device->slots.pairs[FW_PAIR_SCRIPT];
    *into = (fw_api_status_t){
        .board = controller->settings.board,
        .software = controller->settings.software,
        .uptime_ms = controller->uptime_ms,
        .time_ms = fw_clock_wall(&controller->clock, now_ms, &time_ms) ? time_ms : 0u,
        .profile = device->setup->identity.profile,
        .address = controller->settings.address,
        .enrolled = device->configuration.address,
        .version = device->setup->identity.version,
        .slot = device->setup->identity.slot,
        .reset = device->setup->reset,
        .boot_id = controller->status.boot_id,
        .free_bytes = machine->free_bytes(machine->ctx),
        .ip = radio.ip,
        .script_hash = has_script ? pair->slots[pair->active].crc : 0u,
        .trial_left_ms = fw_scripts_trial_left_ms(&device->scripts, now_ms),
        .why_last = fw_logbook_cause_before(&device->logbook, UINT32_MAX, &last) ? last.number : 0u,
        .late_scans = controller->late_scans,
        .longest_gap_ms = controller->longest_gap_ms,
        .longest_gap = gap_of(controller),
        .scan_us = FW_MICROSECONDS(fw_program_cost(&vm->program)),
        .operations = device->scripts.operations,
        .divisions_by_zero =
            (uint16_t)(vm->divisions_by_zero < UINT16_MAX ? vm->divisions_by_zero : UINT16_MAX),
        .rssi_dbm = radio.rssi_dbm,
        .link = link_of(controller),
        .gateway = controller->backoff.gateway,
        .wifi = radio.state,
        .script = script_of(&device->scripts),
        .update = update_of(&device->update),
        .update_bytes = device->is_image_begun ? device->image_bytes : 0u,
        .update_written_bytes = device->is_image_begun ? device->image_at : 0u,
        .is_access_point = radio.is_access_point,
    };
}

static uint32_t force_left_ms(const fw_runner_t *runner, uint8_t point, uint32_t now_ms)
{
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        const fw_force_t *force = &runner->forces[i];
        uint32_t elapsed_ms = fw_since(now_ms, force->since_ms);
        if (force->length_ms > elapsed_ms && force->point == point) {
            return force->length_ms - elapsed_ms;
        }
    }
    return 0;
}

/* The pin of that channel, or NULL. */
static const fw_pin_t *pin_of(const fw_board_t *board, uint8_t channel)
{
    for (uint8_t i = 0; i < board->count; i++) {
        if (board->pins[i].channel == channel) {
            return &board->pins[i];
        }
    }
    return NULL;
}

static void copy_pin_name(char *into, size_t room, const fw_pin_t *pin)
{
    size_t length = fw_string_length(pin->name);
    length = length < room ? length : room - 1u;
    fw_copy((uint8_t *)into, (const uint8_t *)pin->name, length);
    into[length] = '\0';
}

static bool point(void *ctx, uint16_t *cursor, fw_api_point_t *into)
{
    fw_device_t *device = ctx;
    const fw_runner_t *runner = &device->controller.runner;
    if (*cursor >= runner->points.count) {
        return false;
    }
    uint8_t at = (uint8_t)(*cursor)++;
    const fw_point_t *shown = &runner->points.at[at];
    *into = (fw_api_point_t){
        .cause = shown->cause,
        .value = shown->value,
        .force_left_ms = force_left_ms(runner, at, fw_now(&device->controller)),
        .type = shown->type,
        .flags = shown->flags,
    };
    copy_text(into->name, sizeof into->name, &shown->record);
    const fw_pin_t *pin = pin_of(device->setup->board, fw_point_channel(shown));
    if (pin != NULL) {
        copy_pin_name(into->pin, sizeof into->pin, pin);
    }
    return true;
}

static bool command(void *ctx, uint16_t *cursor, fw_api_command_t *into)
{
    fw_device_t *device = ctx;
    fw_signature_t signature;
    uint8_t number = 0;
    if (!fw_program_next_command(&device->controller.runner.vm.program, cursor, &number,
                                 &signature)) {
        return false;
    }
    *into = (fw_api_command_t){.count = signature.arguments_count};
    copy_text(into->name, sizeof into->name, &signature.record);
    fw_record_t refusal;
    if (fw_program_refusal(&device->controller.runner.vm.program, *cursor, &refusal)) {
        copy_text(into->refusal, sizeof into->refusal, &refusal);
    }
    for (uint8_t i = 0; i < signature.arguments_count; i++) {
        const fw_record_t *argument = &signature.arguments[i];
        fw_api_argument_t *to = &into->arguments[i];
        copy_text(to->name, sizeof to->name, argument);
        to->type = argument->b;
        to->min = (int32_t)argument->words[0];
        to->max = (int32_t)argument->words[1];
    }
    return true;
}

enum { KINDS_LIVE = 5, KINDS = 8 };

static void show_state(const fw_program_t *program, uint8_t cell, fw_api_value_t *into)
{
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(program, &at, &record)) {
        if (record.tag == FW_RECORD_STATE && record.a == cell && record.b == into->value) {
            copy_text(into->state, sizeof into->state, &record);
        }
    }
}

/* The next name of a machine's, of so many kinds. */
static bool next_value(const fw_vm_t *vm, size_t count, uint16_t *cursor, fw_api_value_t *into)
{
    static const struct {
        uint32_t tag, kind, line;
    } kinds[KINDS] = {
        {FW_RECORD_VARIABLE, FW_API_VARIABLE, 1},   {FW_RECORD_RETAINED, FW_API_RETAINED, 1},
        {FW_RECORD_PARAMETER, FW_API_PARAMETER, 1}, {FW_RECORD_MACHINE, FW_API_MACHINE, 0},
        {FW_RECORD_ALARM, FW_API_ALARM, 0},         {FW_RECORD_INPUT, FW_API_INPUT, FW_INPUT_LINE},
        {FW_RECORD_OUTPUT, FW_API_OUTPUT, FW_OUTPUT_LINE}, {FW_RECORD_COMMAND, FW_API_COMMAND, 0},
    };
    fw_record_t record;
    while (fw_program_next(&vm->program, cursor, &record)) {
        for (size_t i = 0; i < count; i++) {
            if (kinds[i].tag != record.tag) {
                continue;
            }
            *into = (fw_api_value_t){
                .kind = (uint8_t)fw_word(&kinds[i].kind),
                .line = (uint16_t)fw_word(record.words + kinds[i].line),
                .type = record.b,
                .value = vm->cells[record.a],
            };
            copy_text(into->name, sizeof into->name, &record);
            if (into->kind == FW_API_PARAMETER) {
                into->min = (int32_t)record.words[2];
                into->max = (int32_t)record.words[3];
            } else if (into->kind == FW_API_MACHINE) {
                into->type = FW_TYPE_INT;
                show_state(&vm->program, record.a, into);
            } else if (into->kind == FW_API_ALARM) {
                into->type = FW_TYPE_BOOL;
                into->value = (vm->alarms >> record.a & 1u) != 0u;
            } else if (into->kind == FW_API_COMMAND) {
                into->type = FW_TYPE_BOOL;
            }
            return true;
        }
    }
    return false;
}

static bool value(void *ctx, uint16_t *cursor, fw_api_value_t *into)
{
    const fw_device_t *device = ctx;
    return next_value(&device->controller.runner.vm, KINDS_LIVE, cursor, into);
}

/* With what points and commands are in the scan, which is not what `point` tells. */
static bool shadow_value(void *ctx, uint16_t *cursor, fw_api_value_t *into)
{
    uint16_t line = 0;
    const fw_device_t *device = ctx;
    return fw_device_shadow(ctx, &line) >= FW_SHADOW_STOPPED &&
           next_value(&device->work.shadow.vm, KINDS, cursor, into);
}

/* Points are named by the script that ran then; of another one there is the pin alone, for its lines and
 * names mean nothing now. */
static void name_point(const fw_device_t *device, uint32_t origin, fw_api_why_t *into)
{
    const fw_points_t *points = &device->controller.runner.points;
    uint8_t channel = (uint8_t)(origin >> 16);
    const fw_pin_t *pin = pin_of(device->setup->board, channel);
    into->is_of_other_script = (origin & 0xFFFFu) != (device->scripts.generation & 0xFFFFu);
    if (pin != NULL) {
        into->type = pin->type;
        copy_pin_name(into->name, sizeof into->name, pin);
    }
    for (uint8_t i = 0; i < points->count && !into->is_of_other_script; i++) {
        if (fw_point_channel(&points->at[i]) == channel) {
            copy_text(into->name, sizeof into->name, &points->at[i].record);
        }
    }
}

static bool why(void *ctx, uint32_t before, fw_api_why_t *into)
{
    return fw_device_why(ctx, before, into);
}

bool fw_device_why(fw_device_t *device, uint32_t before, fw_api_why_t *into)
{
    fw_logbook_entry_t entry;
    if (!fw_logbook_cause_before(&device->logbook, before, &entry)) {
        return false;
    }
    *into = (fw_api_why_t){
        .cause = {.kind = (uint8_t)(entry.words[3] >> 24),
                  .by = entry.words[5],
                  .reference = entry.words[6]},
        .time_ms = (uint64_t)entry.words[0] * 1000u,
        .boot_id = entry.words[1],
        .uptime_ms = (uint64_t)entry.words[2] * 1000u,
        .number = entry.number,
        .value = (int32_t)entry.words[4],
    };
    name_point(device, entry.words[3], into);
    return true;
}

static size_t source(void *ctx, uint32_t at, uint8_t *into, size_t room)
{
    fw_device_t *device = ctx;
    uint16_t length = 0;
    const uint8_t *text = fw_scripts_source(&device->scripts, &length);
    if (text == NULL || at >= length) {
        return 0;
    }
    size_t count = length - at < room ? length - at : room;
    fw_copy(into, text + at, count);
    return count;
}

/* ---- switching ---- */

static fw_api_result_t problem_of(fw_code_t code)
{
    switch (code) {
    case FW_CODE_OK:
        return FW_PROBLEM_NONE;
    case FW_CODE_UNKNOWN_POINT:
        return FW_PROBLEM_UNKNOWN_POINT;
    case FW_CODE_UNKNOWN_COMMAND:
        return FW_PROBLEM_UNKNOWN_COMMAND;
    case FW_CODE_NOT_MANUAL:
        return FW_PROBLEM_NOT_MANUAL;
    case FW_CODE_OUT_OF_RANGE:
        return FW_PROBLEM_OUT_OF_RANGE;
    default:
        return FW_PROBLEM_BAD_FIELD;
    }
}

static fw_api_result_t take(fw_device_t *device, const fw_commands_scene_t *scene, fw_code_t code,
                            const fw_queued_t *queued, uint32_t *receipt)
{
    fw_controller_t *controller = &device->controller;
    if (code != FW_CODE_OK) {
        return problem_of(code);
    }
    *receipt = fw_commands_take_here(&controller->commands, scene, controller->settings.address,
                                     queued);
    return *receipt == 0u ? FW_PROBLEM_BUSY : FW_PROBLEM_NONE;
}

static fw_api_result_t set(void *ctx, fw_span_t name, int32_t wanted, uint32_t *receipt)
{
    fw_device_t *device = ctx;
    fw_commands_scene_t scene = fw_scene(&device->controller);
    fw_queued_t queued = {.kind = FW_COMMAND_SET};
    fw_code_t code = fw_commands_resolve_set(&scene, name, wanted, &queued);
    return take(device, &scene, code, &queued, receipt);
}

static fw_api_result_t call(void *ctx, fw_span_t name, const int32_t *arguments, uint8_t count,
                            uint32_t *receipt)
{
    fw_device_t *device = ctx;
    fw_commands_scene_t scene = fw_scene(&device->controller);
    fw_queued_t queued = {.kind = FW_COMMAND_CALL};
    int64_t wide[FW_ARGUMENTS_MAX];
    for (uint8_t i = 0; i < count; i++) {
        wide[i] = arguments[i];
    }
    fw_code_t code = fw_commands_resolve_call(&scene, name, wide, count, &queued);
    return take(device, &scene, code, &queued, receipt);
}

static bool outcome(void *ctx, uint32_t receipt, fw_api_outcome_t *into)
{
    fw_device_t *device = ctx;
    const fw_commands_t *commands = &device->controller.commands;
    uint8_t entry = fw_commands_find_serial(commands, receipt);
    if (receipt == 0u || entry == FW_OUTCOME_NONE || !commands->outcomes[entry].is_from_here) {
        return false;
    }
    *into = (fw_api_outcome_t){
        .stage = commands->outcomes[entry].stage,
        .reason = commands->outcomes[entry].reason,
        .is_final = commands->outcomes[entry].final,
    };
    return true;
}

static fw_api_result_t force(void *ctx, fw_span_t name, int32_t wanted, uint32_t for_ms)
{
    fw_device_t *device = ctx;
    fw_controller_t *controller = &device->controller;
    uint8_t at = fw_points_find(&controller->runner.points, name);
    if (at == FW_POINT_NONE) {
        return FW_PROBLEM_UNKNOWN_POINT;
    }
    controller->input_news = true; /* the next scan comes soon */
    if (for_ms == 0u) {
        (void)fw_runner_release(&controller->runner, at);
        return FW_PROBLEM_NONE;
    }
    if (controller->runner.is_stopped) {
        return FW_PROBLEM_WRONG_STATE;
    }
    bool is_forced = fw_runner_force(&controller->runner, at, wanted, for_ms, fw_now(controller));
    return is_forced ? FW_PROBLEM_NONE : FW_PROBLEM_OUT_OF_RANGE;
}

/* ---- scripts ---- */

static fw_api_result_t result_of(fw_scripts_result_t result)
{
    switch (result) {
    case FW_SCRIPTS_OK:
        return FW_PROBLEM_NONE;
    case FW_SCRIPTS_WAIT:
        return FW_API_WAIT;
    case FW_SCRIPTS_WRONG_STATE:
        return FW_PROBLEM_WRONG_STATE;
    case FW_SCRIPTS_OUT_OF_RANGE:
        return FW_PROBLEM_OUT_OF_RANGE;
    case FW_SCRIPTS_ERROR:
        return FW_PROBLEM_SCRIPT_ERROR;
    default:
        return FW_PROBLEM_STORE;
    }
}

static fw_api_result_t parameter(void *ctx, fw_span_t name, int32_t wanted)
{
    fw_device_t *device = ctx;
    fw_scripts_result_t result = fw_scripts_adjust(&device->scripts, name, wanted);
    return result == FW_SCRIPTS_WRONG_STATE ? FW_PROBLEM_UNKNOWN_NAME : result_of(result);
}

/* ---- firmware ---- */

#define HEAD_BYTES (FW_MANIFEST_BYTES + FW_SIGNATURE_BYTES)

static fw_api_result_t image_begin(fw_device_t *device, uint32_t bytes)
{
    if (bytes <= HEAD_BYTES || bytes > HEAD_BYTES + FW_IMAGE_BYTES_MAX) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    device->image_bytes = bytes;
    device->image_at = 0;
    device->is_image_begun = false;
    device->is_image_checking = false;
    return FW_PROBLEM_NONE;
}

static fw_api_result_t update_result(fw_update_answer_t answer)
{
    switch (answer) {
    case FW_UPDATE_OK:
        return FW_PROBLEM_NONE;
    case FW_UPDATE_BUSY:
        return FW_API_WAIT;
    case FW_UPDATE_FAULT:
        return FW_PROBLEM_STORE;
    case FW_UPDATE_BAD_OFFSET:
        return FW_PROBLEM_WRONG_STATE;
    default:
        return FW_PROBLEM_BAD_IMAGE;
    }
}

/* Takes bytes of the image proper. Those that are in flash from an upload before are passed over. */
static fw_api_result_t image_body(fw_device_t *device, fw_span_t bytes, size_t *taken)
{
    uint32_t offset = device->image_at - HEAD_BYTES;
    uint32_t wanted = fw_update_offset(&device->update);
    *taken = 0;
    if (offset < wanted) {
        *taken = wanted - offset < bytes.length ? wanted - offset : bytes.length;
        return FW_PROBLEM_NONE;
    }
    return update_result(
        fw_update_write(&device->update, offset, bytes.bytes, bytes.length, taken));
}

static fw_api_result_t image_write(fw_device_t *device, uint32_t at, fw_span_t piece)
{
    if (at > device->image_at || piece.length > device->image_bytes ||
        at > device->image_bytes - piece.length || device->is_image_checking) {
        return FW_PROBLEM_WRONG_STATE;
    }
    size_t done = device->image_at - at;
    while (done < piece.length) {
        if (device->image_at < HEAD_BYTES) {
            device->image_head[device->image_at++] = piece.bytes[done++];
            continue;
        }
        if (!device->is_image_begun) {
            fw_api_result_t begun = update_result(fw_update_begin(
                &device->update, device->image_head, device->image_head + FW_MANIFEST_BYTES));
            if (begun != FW_PROBLEM_NONE) {
                return begun;
            }
            device->is_image_begun = true;
        }
        size_t taken = 0;
        const fw_span_t rest = {piece.bytes + done, piece.length - done};
        fw_api_result_t result = image_body(device, rest, &taken);
        if (result != FW_PROBLEM_NONE) {
            return result;
        }
        done += taken;
        device->image_at += (uint32_t)taken;
    }
    return FW_PROBLEM_NONE;
}

static fw_api_result_t image_end(fw_device_t *device)
{
    fw_update_t *update = &device->update;
    if (device->image_at != device->image_bytes || !device->is_image_begun) {
        return FW_PROBLEM_WRONG_STATE;
    }
    if (!device->is_image_checking) {
        fw_api_result_t result = update_result(fw_update_finish(update));
        device->is_image_checking = result == FW_PROBLEM_NONE;
        return result == FW_PROBLEM_NONE ? FW_API_WAIT : result;
    }
    if (update->phase == FW_UPDATE_PENDING && fw_update_is_settled(update)) {
        device->is_image_begun = false;
        return FW_PROBLEM_NONE;
    }
    if (update->phase == FW_UPDATE_NONE) {
        device->is_image_begun = false;
        return update_result((fw_update_answer_t)update->result);
    }
    return FW_API_WAIT;
}

/* ---- uploads ---- */

fw_scripts_result_t fw_device_begin_script(fw_device_t *device, uint32_t bytes, uint8_t *opening)
{
    fw_scripts_t *scripts = &device->scripts;
    uint8_t before = scripts->openings;
    fw_scripts_result_t result = fw_scripts_begin(scripts, bytes);
    if (scripts->openings != before) {
        *opening = scripts->openings;
    }
    return result == FW_SCRIPTS_OK && *opening != scripts->openings ? FW_SCRIPTS_WRONG_STATE : result;
}

/* Whether the script that is being brought is the page's own, and not one of a tool's. */
static bool is_of_page(const fw_device_t *device)
{
    return device->page_opening == device->scripts.openings;
}

static fw_api_result_t upload_begin(void *ctx, fw_upload_t what, uint32_t bytes)
{
    fw_device_t *device = ctx;
    return what == FW_UPLOAD_SCRIPT
               ? result_of(fw_device_begin_script(device, bytes, &device->page_opening))
               : image_begin(device, bytes);
}

static fw_api_result_t upload_write(void *ctx, fw_upload_t what, uint32_t at, fw_span_t piece)
{
    fw_device_t *device = ctx;
    if (what != FW_UPLOAD_SCRIPT) {
        return image_write(device, at, piece);
    }
    return is_of_page(device) ? result_of(fw_scripts_write(&device->scripts, at, piece))
                              : (fw_api_result_t)FW_PROBLEM_WRONG_STATE;
}

static fw_api_result_t upload_end(void *ctx, fw_upload_t what, fw_api_compiled_t *compiled)
{
    fw_device_t *device = ctx;
    if (what != FW_UPLOAD_SCRIPT) {
        return image_end(device);
    }
    if (!is_of_page(device)) {
        return FW_PROBLEM_WRONG_STATE;
    }
    const fw_scripts_t *scripts = &device->scripts;
    const fw_script_error_t *error = &scripts->error;
    fw_scripts_result_t result = fw_scripts_do(&device->scripts, FW_SCRIPTS_COMPILE);
    *compiled = (fw_api_compiled_t){
        .operations = scripts->operations,
        .scan_us = FW_MICROSECONDS(scripts->cost),
        .code_words = scripts->code_words,
        .table_words = scripts->table_words,
    };
    if (result == FW_SCRIPTS_ERROR) {
        *compiled = (fw_api_compiled_t){
            .expected = error->expected,
            .fix = error->fix,
            .line = error->line,
            .column = error->column,
            .length = error->length,
            .other_line = error->other_line,
        };
    }
    return result_of(result);
}

static fw_api_result_t trial(void *ctx, fw_trial_t what)
{
    fw_device_t *device = ctx;
    if (what == FW_TRIAL_BEGIN && !is_of_page(device)) {
        return FW_PROBLEM_WRONG_STATE;
    }
    fw_scripts_work_t work = what == FW_TRIAL_BEGIN    ? FW_SCRIPTS_TRY
                             : what == FW_TRIAL_COMMIT ? FW_SCRIPTS_KEEP
                                                       : FW_SCRIPTS_REVERT;
    return result_of(fw_scripts_do(&device->scripts, work));
}

/* ---- around it ---- */

static fw_api_result_t look_around(void *ctx)
{
    fw_device_t *device = ctx;
    const fw_machine_t *machine = device->setup->machine;
    return machine->look_around(machine->ctx) ? FW_PROBLEM_NONE : FW_API_WAIT;
}

static bool network(void *ctx, uint16_t *cursor, fw_api_network_t *into)
{
    fw_device_t *device = ctx;
    const fw_machine_t *machine = device->setup->machine;
    return machine->network(machine->ctx, (*cursor)++, into);
}

static bool setup_is_open(void *ctx)
{
    const fw_device_t *device = ctx;
    return device->setup->machine->setup_is_open(device->setup->machine->ctx);
}

static uint8_t hardware(void *ctx, uint8_t into[FW_HARDWARE_BYTES_MAX])
{
    const fw_device_t *device = ctx;
    const fw_machine_t *machine = device->setup->machine;
    return machine->hardware == NULL ? 0u : machine->hardware(machine->ctx, into);
}

static uint8_t wifi(void *ctx, uint32_t *ip)
{
    const fw_device_t *device = ctx;
    const fw_machine_t *machine = device->setup->machine;
    fw_radio_t radio = {.ip = 0};
    machine->radio(machine->ctx, &radio);
    *ip = radio.ip;
    return radio.state;
}

static void hold_erases(void *ctx, bool held)
{
    fw_device_t *device = ctx;
    device->flash.is_held = held;
}

static void restart(void *ctx)
{
    fw_device_restart(ctx);
}

void fw_device_restart(fw_device_t *device)
{
    /* What is retained is kept as it is now, as after an adjustment. */
    device->controller.commands.has_adjusted = true;
    fw_logbook_save_now(&device->logbook);
    device->must_restart = true;
    device->restart_ms = fw_now(&device->controller);
}

static void random_bytes(void *ctx, uint8_t *into, size_t length)
{
    const fw_device_t *device = ctx;
    device->setup->port->random(device->setup->port->ctx, into, length);
}

const fw_api_controller_t fw_device_api = {
    .status = status,
    .point = point,
    .command = command,
    .value = value,
    .why = why,
    .source = source,
    .recording = fw_device_recording,
    .keep_recording = fw_device_keep_recording,
    .breakpoint = fw_device_breakpoint,
    .step = fw_device_step,
    .let_go = fw_device_let_go,
    .shadow = fw_device_shadow,
    .shadow_value = shadow_value,
    .set = set,
    .call = call,
    .outcome = outcome,
    .force = force,
    .parameter = parameter,
    .upload_begin = upload_begin,
    .upload_write = upload_write,
    .upload_end = upload_end,
    .trial = trial,
    .setting = fw_device_setting,
    .change_settings = fw_device_change_settings,
    .enrol = fw_device_enrol,
    .look_around = look_around,
    .network = network,
    .verifier = fw_device_verifier,
    .setup_is_open = setup_is_open,
    .hardware = hardware,
    .wifi = wifi,
    .hold_erases = hold_erases,
    .restart = restart,
    .random = random_bytes,
};
