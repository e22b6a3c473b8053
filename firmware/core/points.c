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

void fw_points_init(fw_points_t *points, const fw_point_profile_t *profiles, uint8_t count)
{
    points->profiles = profiles;
    points->count = count;
    points->changed = 0;
    points->undriven = 0;
    for (uint8_t i = 0; i < count; i++) {
        fw_point_t *point = &points->at[i];
        point->value = 0;
        point->flags = profiles[i].flags;
        point->cause = (fw_cause_t){.kind = FW_CAUSE_BOOT};
        if (fw_point_type_is_output(profiles[i].type)) {
            points->undriven |= (uint32_t)1 << i;
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
    if (fw_point_type_is_output(points->profiles[index].type)) {
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
        const char *known = points->profiles[i].name;
        if (fw_string_length(known) == name.length &&
            fw_equal((const uint8_t *)known, name.bytes, name.length)) {
            return i;
        }
    }
    return FW_POINT_NONE;
}

static uint32_t hash_byte(uint32_t hash, uint8_t byte)
{
    return (hash ^ byte) * 16777619u;
}

uint32_t fw_points_layout(const fw_points_t *points)
{
    uint32_t hash = 2166136261u;
    for (uint8_t i = 0; i < points->count; i++) {
        for (const char *at = points->profiles[i].name; *at != '\0'; at++) {
            hash = hash_byte(hash, (uint8_t)*at);
        }
        hash = hash_byte(hash, 0);
        hash = hash_byte(hash, points->profiles[i].type);
    }
    return hash;
}
