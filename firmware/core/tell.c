/*
 * tell.c: what is inside a controller, asked for and changed from afar (docs/protocol.md section 6.1).
 */
#include "inside.h"

#include "cost.h"
#include "kept.h"

/* The most that one value takes, with its range: the map, the name with its head, five keys, the type and
 * three numbers. */
#define VALUE_BYTES_MAX (1u + (3u + FW_NAME_BYTES_MAX) + 2u + 3u * 6u)
/* What stands behind the array: the total, and the payload's closing. */
#define TAIL_BYTES_MAX 8u

/* ---- forcing ---- */

static fw_code_t read_point(const fw_controller_t *controller, const fw_cbor_map_t *payload,
                            uint8_t *point)
{
    fw_span_t name;
    if (fw_cbor_map_name(payload, FW_KEY_FORCE_POINT, &name) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    *point = fw_points_find(&controller->runner.points, name);
    return *point == FW_POINT_NONE ? FW_CODE_UNKNOWN_POINT : FW_CODE_OK;
}

fw_code_t fw_take_force(fw_controller_t *controller, const fw_cbor_map_t *payload)
{
    uint8_t point = 0;
    int64_t value = 0;
    uint64_t length_ms = 0;
    if (fw_cbor_map_integer(payload, FW_KEY_FORCE_VALUE, -FW_INTEGER_MAX, FW_INTEGER_MAX, &value) !=
            FW_FIELD_PRESENT ||
        fw_cbor_map_unsigned(payload, FW_KEY_FORCE_DURATION_MS, FW_FORCE_MS_MAX, &length_ms) !=
            FW_FIELD_PRESENT ||
        length_ms == 0u) {
        return FW_CODE_BAD_FIELD;
    }
    fw_code_t code = read_point(controller, payload, &point);
    if (code != FW_CODE_OK) {
        return code;
    }
    if (controller->runner.is_stopped) {
        return FW_CODE_WRONG_STATE;
    }
    bool is_forced = value >= INT32_MIN && value <= INT32_MAX &&
                     fw_runner_force(&controller->runner, point, (int32_t)value,
                                     (uint32_t)length_ms, fw_now(controller));
    controller->input_news = true; /* the next scan comes soon */
    return is_forced ? FW_CODE_OK : FW_CODE_OUT_OF_RANGE;
}

fw_code_t fw_take_release(fw_controller_t *controller, const fw_cbor_map_t *payload)
{
    uint8_t point = 0;
    fw_code_t code = read_point(controller, payload, &point);
    if (code == FW_CODE_OK) {
        (void)fw_runner_release(&controller->runner, point);
        controller->input_news = true;
    }
    return code;
}

/* ---- values and parameters ---- */

/* Whether a record is a name with a value, and of which type. */
static bool is_value(const fw_record_t *record, uint8_t *type)
{
    switch (record->tag) {
    case FW_RECORD_INPUT:
    case FW_RECORD_OUTPUT:
    case FW_RECORD_VARIABLE:
    case FW_RECORD_RETAINED:
    case FW_RECORD_PARAMETER:
        *type = record->b;
        return true;
    case FW_RECORD_MACHINE:
        *type = FW_TYPE_INT;
        return true;
    case FW_RECORD_COMMAND:
        *type = FW_TYPE_BOOL;
        return true;
    default:
        return false;
    }
}

static void write_value(fw_cbor_writer_t *writer, const fw_record_t *record, uint8_t type,
                        int32_t value, bool has_range)
{
    uint8_t bytes[FW_NAME_BYTES_MAX];
    fw_span_t name = fw_record_text(record, bytes, sizeof bytes);
    fw_cbor_write_map(writer, has_range ? 5u : 3u);
    fw_cbor_put_text(writer, FW_KEY_VALUE_NAME, (const char *)name.bytes, name.length);
    fw_cbor_put_unsigned(writer, FW_KEY_VALUE_TYPE, type);
    fw_cbor_put_integer(writer, FW_KEY_VALUE_VALUE, value);
    if (has_range) {
        fw_cbor_put_integer(writer, FW_KEY_VALUE_MIN, (int32_t)record->words[2]);
        fw_cbor_put_integer(writer, FW_KEY_VALUE_MAX, (int32_t)record->words[3]);
    }
}

/* Writes the array of values, or of parameters alone, from number `from` on, as many as fit. Returns how
 * many there are in all; `*next` is the first that did not fit, or 0. */
static uint32_t write_values(const fw_controller_t *controller, fw_cbor_writer_t *writer,
                             bool of_parameters, uint32_t from, uint32_t *next)
{
    const fw_vm_t *vm = &controller->runner.vm;
    size_t mark = fw_cbor_array_begin(writer);
    size_t written = 0;
    uint32_t number = 0;
    uint16_t at = 0;
    fw_record_t record;
    *next = 0;
    while (fw_program_next(&vm->program, &at, &record)) {
        uint8_t type = 0;
        if (!is_value(&record, &type) || (of_parameters && record.tag != FW_RECORD_PARAMETER)) {
            continue;
        }
        bool fits = writer->capacity - writer->length >= VALUE_BYTES_MAX + TAIL_BYTES_MAX;
        if (number >= from && *next == 0u && fits) {
            write_value(writer, &record, type, vm->cells[record.a], of_parameters);
            written++;
        } else if (number >= from && *next == 0u) {
            *next = number;
            writer->failed = writer->failed || written == 0u; /* not here: there is no room for any */
        }
        number++;
    }
    fw_cbor_array_end(writer, mark, written);
    return number;
}

size_t fw_tell_parameters(const fw_controller_t *controller, fw_cbor_writer_t *writer,
                          uint32_t from, uint32_t *next)
{
    fw_cbor_write_unsigned(writer, FW_KEY_PARAMETERS_PARAMETERS);
    (void)write_values(controller, writer, true, from, next);
    return 1;
}

size_t fw_tell_values(const fw_controller_t *controller, fw_cbor_writer_t *writer, uint32_t from)
{
    uint32_t next = 0;
    fw_cbor_write_unsigned(writer, FW_KEY_VALUES_VALUES);
    uint32_t total = write_values(controller, writer, false, from, &next);
    fw_cbor_put_unsigned(writer, FW_KEY_VALUES_TOTAL, total);
    return 2;
}

/* ---- health ---- */

static fw_firmware_state_t firmware_state(const fw_update_t *update)
{
    if (update->step >= FW_UPDATE_STEP_HASH) {
        return FW_FIRMWARE_WAITING; /* in some seconds, if nothing is wrong with it */
    }
    switch (update->phase) {
    case FW_UPDATE_PENDING:
        return FW_FIRMWARE_WAITING;
    case FW_UPDATE_TRIAL:
        return FW_FIRMWARE_ON_TRIAL;
    case FW_UPDATE_FALLEN_BACK:
        return FW_FIRMWARE_FELL_BACK;
    default:
        return FW_FIRMWARE_SETTLED;
    }
}

/* What runs is known by slot and version alone: that is how it knows itself (update.h). */
static void tell_firmware(const fw_update_t *update, fw_cbor_writer_t *writer)
{
    const fw_update_identity_t *identity = update->identity;
    fw_cbor_put_map(writer, FW_KEY_HEALTH_FIRMWARE, 4);
    fw_cbor_put_unsigned(writer, FW_KEY_FIRMWARE_STATE, firmware_state(update));
    fw_cbor_put_unsigned(writer, FW_KEY_FIRMWARE_SLOT, identity->slot);
    fw_cbor_put_unsigned(writer, FW_KEY_FIRMWARE_VERSION, identity->version);
    fw_cbor_put_string(writer, FW_KEY_FIRMWARE_PROFILE, identity->profile);
}

size_t fw_tell_health(const fw_controller_t *controller, fw_cbor_writer_t *writer)
{
    const fw_vm_t *vm = &controller->runner.vm;
    const fw_condition_t *condition = &controller->condition;
    bool on_trial = condition->script == FW_SCRIPT_ON_TRIAL && condition->trial_left_ms > 0u;
    fw_cbor_put_unsigned(writer, FW_KEY_HEALTH_UPTIME_MS, controller->uptime_ms);
    fw_cbor_put_unsigned(writer, FW_KEY_HEALTH_BOOT_ID, controller->status.boot_id);
    fw_cbor_put_unsigned(writer, FW_KEY_HEALTH_RESET, condition->reset);
    if (condition->free_bytes > 0u) {
        fw_cbor_put_unsigned(writer, FW_KEY_HEALTH_FREE_BYTES, condition->free_bytes);
    }
    fw_cbor_put_map(writer, FW_KEY_HEALTH_SCAN, 4);
    fw_cbor_put_unsigned(writer, FW_KEY_SCAN_LATE, controller->late_scans);
    fw_cbor_put_unsigned(writer, FW_KEY_SCAN_LONGEST_GAP_MS, controller->longest_gap_ms);
    fw_cbor_put_unsigned(writer, FW_KEY_SCAN_GAP_CAUSE, controller->gap_cause);
    fw_cbor_put_unsigned(writer, FW_KEY_SCAN_COST_US,
                         FW_MICROSECONDS(fw_program_cost(&vm->program)));
    fw_cbor_put_map(writer, FW_KEY_HEALTH_SCRIPT,
                    3u + (on_trial ? 1u : 0u) + (condition->digest != NULL ? 1u : 0u));
    fw_cbor_put_unsigned(writer, FW_KEY_SCRIPT_STATE, condition->script);
    if (on_trial) {
        fw_cbor_put_unsigned(writer, FW_KEY_SCRIPT_TRIAL_LEFT_MS, condition->trial_left_ms);
    }
    fw_cbor_put_string(writer, FW_KEY_SCRIPT_TITLE, controller->script_title);
    if (condition->digest != NULL) {
        fw_cbor_put_bytes(writer, FW_KEY_SCRIPT_DIGEST, condition->digest, FW_DIGEST_BYTES);
    }
    fw_cbor_put_unsigned(writer, FW_KEY_SCRIPT_FAULTS, vm->divisions_by_zero);
    if (condition->update != NULL) {
        tell_firmware(condition->update, writer);
    }
    return 5u + (condition->free_bytes > 0u ? 1u : 0u) + (condition->update != NULL ? 1u : 0u);
}
