/*
 * host.c: sizes, fields and faults for the Rust wrapper. See host.h.
 */
#include "host.h"

size_t fw_host_controller_bytes(void)
{
    return sizeof(fw_controller_t);
}

size_t fw_host_controller_align(void)
{
    return _Alignof(fw_controller_t);
}

size_t fw_host_state_bytes(void)
{
    return sizeof(fw_controller_t) - FW_RECORD_BYTES_MAX - FW_RECORD_BUFFER_BYTES;
}

size_t fw_host_settings_bytes(void)
{
    return sizeof(fw_settings_t);
}

size_t fw_host_port_bytes(void)
{
    return sizeof(fw_port_t);
}

uint32_t fw_host_boot_id(const fw_controller_t *controller)
{
    return controller->status.boot_id;
}

uint32_t fw_host_sequence(const fw_controller_t *controller)
{
    return controller->status.sequence;
}

uint32_t fw_host_executed(const fw_controller_t *controller)
{
    return controller->commands.executed;
}

uint8_t fw_host_outcome(const fw_controller_t *controller, uint8_t place,
                        uint8_t key[FW_COMMAND_KEY_BYTES], uint32_t *serial)
{
    if (place >= controller->commands.kept) {
        return 0u;
    }
    const fw_outcome_t *outcome = &controller->commands.outcomes[place];
    for (size_t i = 0; i < FW_COMMAND_KEY_BYTES; i++) {
        key[i] = outcome->key[i];
    }
    *serial = outcome->serial;
    return outcome->stage;
}

uint32_t fw_host_backoff_wait_ms(const fw_controller_t *controller)
{
    return controller->link.wait_ms;
}

size_t fw_host_compiler_bytes(void)
{
    return sizeof(fw_compiler_t);
}

size_t fw_host_compiler_align(void)
{
    return _Alignof(fw_compiler_t);
}

size_t fw_host_vm_bytes(void)
{
    return sizeof(fw_vm_t);
}

size_t fw_host_vm_align(void)
{
    return _Alignof(fw_vm_t);
}

void fw_host_script_bytes(size_t bytes[FW_HOST_SCRIPT_STRUCTS])
{
    bytes[0] = sizeof(fw_pin_t);
    bytes[1] = sizeof(fw_board_t);
    bytes[2] = sizeof(fw_program_sink_t);
    bytes[3] = sizeof(fw_script_error_t);
    bytes[4] = sizeof(fw_program_t);
    bytes[5] = sizeof(fw_vm_call_t);
}

const fw_script_error_t *fw_host_compiler_error(const fw_compiler_t *compiler)
{
    return &compiler->error;
}

uint16_t fw_host_compiler_operations(const fw_compiler_t *compiler)
{
    return compiler->operations;
}

int32_t fw_host_vm_value(const fw_vm_t *vm, uint8_t cell)
{
    return vm->cells[cell];
}

void fw_host_vm_put(fw_vm_t *vm, uint8_t cell, int32_t value)
{
    vm->cells[cell] = value;
}

uint32_t fw_host_vm_events(const fw_vm_t *vm)
{
    return vm->events;
}

uint32_t fw_host_vm_alarms(const fw_vm_t *vm)
{
    return vm->alarms;
}

uint32_t fw_host_vm_divisions_by_zero(const fw_vm_t *vm)
{
    return vm->divisions_by_zero;
}

void fw_host_runner_structs_bytes(size_t bytes[FW_HOST_RUNNER_STRUCTS])
{
    bytes[0] = sizeof(fw_host_command_t);
    bytes[1] = sizeof(fw_host_scan_t);
    bytes[2] = sizeof(fw_host_point_t);
}

size_t fw_host_runner_bytes(void)
{
    return sizeof(fw_runner_t);
}

size_t fw_host_runner_align(void)
{
    return _Alignof(fw_runner_t);
}

size_t fw_host_zone_bytes(void)
{
    return sizeof(fw_zone_t);
}

size_t fw_host_zone_align(void)
{
    return _Alignof(fw_zone_t);
}

bool fw_host_zone_parse(fw_zone_t *zone, const uint8_t *text, size_t length)
{
    return fw_zone_parse(zone, (fw_span_t){text, length});
}

const char *fw_host_profile_name(size_t profile)
{
    const fw_profile_t *found = fw_profile_at(profile);
    return found == NULL ? NULL : found->name;
}

const fw_pin_t *fw_host_profile_pin(size_t profile, uint8_t at)
{
    const fw_profile_t *found = fw_profile_at(profile);
    return found == NULL || at >= found->pins_count ? NULL : &found->pins[at].pin;
}

fw_result_t fw_host_runner_scan(fw_runner_t *runner, fw_recorder_t *recorder, const fw_zone_t *zone,
                                const fw_host_scan_t *scan)
{
    fw_command_t command = {0};
    if (scan->command != NULL) {
        command.cause = (fw_cause_t){.kind = FW_CAUSE_COMMAND,
                                     .by = scan->command->by,
                                     .reference = scan->command->reference};
        command.index = scan->command->index;
        command.kind = scan->command->kind;
        for (uint8_t i = 0; i < FW_ARGUMENTS_MAX; i++) {
            command.arguments[i] = scan->command->arguments[i];
        }
    }
    const fw_runner_scan_t around = {
        .raw = scan->raw,
        .command = scan->command == NULL ? NULL : &command,
        .now_ms = scan->now_ms,
        .zone = zone,
        .utc = scan->utc,
        .online = scan->online,
        .synced = scan->synced,
    };
    if (scan->leaves_nothing_out) {
        runner->leaves_out = false;
    }
    fw_result_t result = fw_runner_scan(runner, &around);
    if (scan->leaves_nothing_out) {
        runner->leaves_out = false; /* as a recorder is to see it */
    }
    fw_recorder_note(recorder, runner, &around);
    return result;
}

fw_vm_t *fw_host_runner_vm(fw_runner_t *runner)
{
    return &runner->vm;
}

uint32_t fw_host_runner_due_ms(const fw_runner_t *runner)
{
    return runner->due_ms;
}

bool fw_host_runner_point(const fw_runner_t *runner, uint8_t index, fw_host_point_t *point)
{
    if (index >= runner->points.count) {
        return false;
    }
    const fw_point_t *shown = &runner->points.at[index];
    *point = (fw_host_point_t){
        .value = shown->value,
        .by = shown->cause.by,
        .reference = shown->cause.reference,
        .kind = shown->cause.kind,
        .flags = shown->flags,
    };
    return true;
}

void fw_host_forge_source(fw_controller_t *controller, uint32_t source)
{
    controller->settings.address = source;
}

void fw_host_redial_within(fw_controller_t *controller, uint32_t wait_ms_max)
{
    if (controller->link.wait_ms > wait_ms_max) {
        controller->link.wait_ms = wait_ms_max;
    }
}

size_t fw_host_status_sample(int32_t page, uint8_t *out, size_t capacity)
{
    /* An output with a name of 24 bytes: a length, and six words. */
    uint32_t record[1u + FW_OUTPUT_WORDS + 7u] = {
        FW_RECORD_OUTPUT | (uint32_t)FW_TYPE_NUM << 16 | (uint32_t)(FW_OUTPUT_WORDS + 7u) << 24};
    record[1u + FW_OUTPUT_WORDS] = FW_NAME_BYTES_MAX;
    for (uint8_t i = 0; i < 6u; i++) {
        record[2u + FW_OUTPUT_WORDS + i] = 0x41414141u + i;
    }
    uint32_t table[FW_POINTS_MAX * (sizeof record / sizeof record[0])];
    uint16_t words = 0;
    for (uint8_t i = 0; i < FW_POINTS_MAX; i++) {
        for (size_t at = 0; at < sizeof record / sizeof record[0]; at++) {
            table[words++] = record[at];
        }
    }
    const fw_program_t program = {.table = table, .table_words = words};
    fw_points_t points;
    fw_points_init(&points, &program);
    fw_cause_t cause = {.kind = FW_CAUSE_COMMAND, .by = UINT32_MAX, .reference = UINT32_MAX};
    for (uint8_t i = 0; i < FW_POINTS_MAX; i++) {
        fw_points_set(&points, i, INT32_MIN, cause);
        points.at[i].flags = 31;
    }
    fw_status_t status;
    fw_status_init(&status, UINT32_MAX, &points, 0);
    status.sequence = UINT32_MAX;
    fw_status_time_t time = {.uptime_ms = (uint64_t)FW_INTEGER_MAX,
                             .time = (uint64_t)FW_INTEGER_MAX,
                             .time_known = true};
    fw_cbor_writer_t writer;
    bool more = false;
    bool written = true;
    fw_cbor_writer_init(&writer, out, capacity);
    if (page >= 0) {
        fw_status_full_begin(&status, &points);
        status.page = (uint8_t)page;
        written = fw_status_full_write(&status, &points, time, capacity, &writer, &more);
    }
    for (int32_t delta = -1; delta >= page && written; delta--) {
        fw_cbor_writer_init(&writer, out, capacity);
        written = fw_status_delta_write(&status, &points, time, 0, &writer);
    }
    return written ? writer.length : 0u;
}
