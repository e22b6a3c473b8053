/*
 * points.c: values, flags and causes of the points. See points.h.
 */
#include "points.h"

bool fw_point_type_is_output(uint8_t type)
{
    return type == FW_POINT_DIGITAL_OUTPUT || type == FW_POINT_ANALOGUE_OUTPUT;
}

bool fw_point_type_is_analogue(uint8_t type)
{
    return type == FW_POINT_ANALOGUE_INPUT || type == FW_POINT_ANALOGUE_OUTPUT;
}

static fw_point_t input_of(const fw_record_t *record)
{
    return (fw_point_t){
        .record = *record,
        .type = record->b == FW_TYPE_BOOL ? FW_POINT_DIGITAL_INPUT : FW_POINT_ANALOGUE_INPUT,
        .cause = {.kind = FW_CAUSE_BOOT},
    };
}

static fw_point_t output_of(const fw_record_t *record)
{
    bool is_manual = (fw_word(record->words + FW_OUTPUT_FLAGS) & FW_OUTPUT_MANUAL) != 0u;
    bool confirms = record->words[FW_OUTPUT_FEEDBACK] != FW_CELL_NONE;
    return (fw_point_t){
        .record = *record,
        .type = record->b == FW_TYPE_BOOL ? FW_POINT_DIGITAL_OUTPUT : FW_POINT_ANALOGUE_OUTPUT,
        .value = (int32_t)record->words[FW_OUTPUT_SAFE],
        .cause = {.kind = FW_CAUSE_BOOT},
        .flags = (uint8_t)((is_manual ? FW_POINT_MANUAL : 0) | (confirms ? FW_POINT_CONFIRM : 0)),
    };
}

void fw_points_init(fw_points_t *points, const fw_program_t *program)
{
    points->count = 0;
    points->changed = 0;
    points->undriven = 0;
    uint16_t at = 0;
    fw_record_t record;
    while (points->count < FW_SCRIPT_POINTS_MAX && fw_program_next(program, &at, &record)) {
        if (record.tag == FW_RECORD_INPUT) {
            points->at[points->count++] = input_of(&record);
        } else if (record.tag == FW_RECORD_OUTPUT) {
            points->undriven |= (uint32_t)1 << points->count;
            points->at[points->count++] = output_of(&record);
        }
    }
}

bool fw_points_set(fw_points_t *points, uint8_t index, int32_t value, fw_cause_t cause)
{
    fw_point_t *point = &points->at[index];
    if (point->value == value) {
        return false;
    }
    point->value = value;
    point->cause = cause;
    points->changed |= (uint32_t)1 << index;
    if (fw_point_type_is_output(point->type)) {
        points->undriven |= (uint32_t)1 << index;
    }
    return true;
}

void fw_points_flag(fw_points_t *points, uint8_t index, uint8_t flag, bool raised)
{
    fw_point_t *point = &points->at[index];
    uint8_t flags = (uint8_t)(raised ? point->flags | flag : point->flags & ~flag);
    if (flags != point->flags) {
        point->flags = flags;
        points->changed |= (uint32_t)1 << index;
    }
}

uint8_t fw_points_find(const fw_points_t *points, fw_span_t name)
{
    for (uint8_t i = 0; i < points->count; i++) {
        if (fw_record_is(&points->at[i].record, name)) {
            return i;
        }
    }
    return FW_POINT_NONE;
}

uint8_t fw_points_find_cell(const fw_points_t *points, uint8_t cell)
{
    for (uint8_t i = 0; i < points->count; i++) {
        if (points->at[i].record.a == cell) {
            return i;
        }
    }
    return FW_POINT_NONE;
}

uint8_t fw_point_channel(const fw_point_t *point)
{
    uint32_t at = fw_point_type_is_output(point->type) ? (uint32_t)FW_OUTPUT_CHANNEL
                                                       : (uint32_t)FW_INPUT_CHANNEL;
    return (uint8_t)fw_word(point->record.words + at);
}

static uint32_t hash_byte(uint32_t hash, uint8_t byte)
{
    return (hash ^ byte) * 16777619u;
}

uint32_t fw_points_layout(const fw_points_t *points)
{
    uint32_t hash = 2166136261u;
    for (uint8_t i = 0; i < points->count; i++) {
        uint8_t bytes[FW_NAME_BYTES_MAX];
        fw_span_t name = fw_record_text(&points->at[i].record, bytes, sizeof bytes);
        for (size_t at = 0; at < name.length; at++) {
            hash = hash_byte(hash, name.bytes[at]);
        }
        hash = hash_byte(hash, 0);
        hash = hash_byte(hash, points->at[i].type);
    }
    return hash;
}
