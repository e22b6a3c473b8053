/*
 * status.c: full status and deltas. See status.h.
 */
#include "status.h"

/* Most that the parts can take, for splitting into pages before values are known. */
#define VALUE_BYTES_MAX 5u
/* Its key, and the head of a text that is 24 bytes long takes two. */
#define NAME_HEAD_BYTES_MAX (1u + 2u)
#define CAUSE_BYTES_MAX (1u + 2u + 6u + 6u)
/* Map head, index, type, value, flags, cause; the name comes on top. */
#define POINT_BYTES_MAX (1u + 3u + 2u + (1u + VALUE_BYTES_MAX) + 3u + (1u + CAUSE_BYTES_MAX))
#define DELTA_POINT_BYTES_MAX (1u + 3u + (1u + VALUE_BYTES_MAX) + 3u + (1u + CAUSE_BYTES_MAX))
/* Map head, boot id, sequence, page, pages, uptime, time, head of the points, layout. */
#define FULL_HEAD_BYTES_MAX (1u + 6u + 6u + 2u + 2u + 10u + 10u + 3u + 6u)
#define DELTA_HEAD_BYTES_MAX (1u + 6u + 6u + 10u + 10u + 3u)

_Static_assert(FULL_HEAD_BYTES_MAX + POINT_BYTES_MAX + NAME_HEAD_BYTES_MAX + FW_NAME_BYTES_MAX <=
                   FW_RECORD_BYTES_MIN - FW_TAG_BYTES - FW_HEADER_BYTES,
               "every page must hold at least one point");

void fw_status_init(fw_status_t *status, uint32_t boot_id, const fw_points_t *points,
                    uint32_t now_ms)
{
    status->boot_id = boot_id;
    status->sequence = 0;
    status->layout = fw_points_layout(points);
    status->delta_at_ms = now_ms;
    status->page = 0;
    status->full = false;
}

void fw_status_relayout(fw_status_t *status, fw_points_t *points)
{
    status->layout = fw_points_layout(points);
    fw_status_full_begin(status, points);
}

void fw_status_full_begin(fw_status_t *status, fw_points_t *points)
{
    status->full = true;
    status->page = 0;
    points->changed = 0;
}

/* The end of the page that begins at point `first`. */
static uint8_t page_end(const fw_points_t *points, uint8_t first, size_t payload_bytes_max)
{
    size_t bytes = FULL_HEAD_BYTES_MAX;
    uint8_t end = first;
    while (end < points->count) {
        bytes += POINT_BYTES_MAX + NAME_HEAD_BYTES_MAX + points->at[end].record.name[0];
        if (end > first && bytes > payload_bytes_max) {
            break;
        }
        end++;
    }
    return end;
}

static uint8_t pages_count(const fw_points_t *points, size_t payload_bytes_max)
{
    uint8_t pages = 0;
    uint8_t first = 0;
    do {
        first = page_end(points, first, payload_bytes_max);
        pages++;
    } while (first < points->count);
    return pages;
}

void fw_status_write_cause(fw_cbor_writer_t *writer, const fw_cause_t *cause)
{
    bool by = cause->kind == FW_CAUSE_COMMAND;
    bool reference = by || cause->kind == FW_CAUSE_SCRIPT || cause->kind == FW_CAUSE_SCHEDULE;
    fw_cbor_write_map(writer, 1u + (by ? 1u : 0u) + (reference ? 1u : 0u));
    fw_cbor_put_unsigned(writer, FW_KEY_CAUSE_KIND, cause->kind);
    if (by) {
        fw_cbor_put_unsigned(writer, FW_KEY_CAUSE_BY, cause->by);
    }
    if (reference) {
        fw_cbor_put_unsigned(writer, FW_KEY_CAUSE_REFERENCE, cause->reference);
    }
}

static void write_point(fw_cbor_writer_t *writer, const fw_points_t *points, uint8_t index,
                        bool whole)
{
    const fw_point_t *point = &points->at[index];
    fw_cbor_write_map(writer, whole ? 6u : 4u);
    fw_cbor_put_unsigned(writer, FW_KEY_POINT_INDEX, index);
    if (whole) {
        fw_cbor_write_unsigned(writer, FW_KEY_POINT_NAME);
        uint8_t bytes[FW_NAME_BYTES_MAX];
        fw_span_t name = fw_record_text(&point->record, bytes, sizeof bytes);
        fw_cbor_write_text(writer, (const char *)name.bytes, name.length);
        fw_cbor_put_unsigned(writer, FW_KEY_POINT_TYPE, point->type);
    }
    fw_cbor_put_integer(writer, FW_KEY_POINT_VALUE, point->value);
    fw_cbor_put_unsigned(writer, FW_KEY_POINT_FLAGS, point->flags);
    fw_cbor_write_unsigned(writer, FW_KEY_POINT_CAUSE);
    fw_status_write_cause(writer, &point->cause);
}

static void write_order(fw_cbor_writer_t *writer, const fw_status_t *status, uint32_t sequence)
{
    fw_cbor_put_unsigned(writer, FW_KEY_STATUS_BOOT_ID, status->boot_id);
    fw_cbor_put_unsigned(writer, FW_KEY_STATUS_SEQUENCE, sequence);
}

static void write_time(fw_cbor_writer_t *writer, fw_status_time_t time)
{
    fw_cbor_put_unsigned(writer, FW_KEY_STATUS_UPTIME_MS, time.uptime_ms);
    if (time.time_known) {
        fw_cbor_put_unsigned(writer, FW_KEY_STATUS_TIME, time.time);
    }
}

bool fw_status_full_write(fw_status_t *status, const fw_points_t *points, fw_status_time_t time,
                          size_t payload_bytes_max, fw_cbor_writer_t *writer, bool *more)
{
    uint8_t pages = pages_count(points, payload_bytes_max);
    uint8_t first = 0;
    for (uint8_t page = 0; page < status->page; page++) {
        first = page_end(points, first, payload_bytes_max);
    }
    uint8_t end = page_end(points, first, payload_bytes_max);

    fw_cbor_write_map(writer, time.time_known ? 8u : 7u);
    write_order(writer, status, status->sequence);
    fw_cbor_put_unsigned(writer, FW_KEY_STATUS_PAGE, status->page);
    fw_cbor_put_unsigned(writer, FW_KEY_STATUS_PAGES, pages);
    write_time(writer, time);
    fw_cbor_put_array(writer, FW_KEY_STATUS_POINTS, (size_t)(end - first));
    for (uint8_t index = first; index < end; index++) {
        write_point(writer, points, index, true);
    }
    fw_cbor_put_unsigned(writer, FW_KEY_STATUS_LAYOUT, status->layout);
    if (writer->failed) {
        return false;
    }
    status->page++;
    *more = status->page < pages;
    status->full = *more;
    return true;
}

uint32_t fw_status_delta_due_ms(const fw_status_t *status, const fw_points_t *points,
                                uint32_t now_ms)
{
    if (points->changed == 0u) {
        return UINT32_MAX;
    }
    for (uint8_t i = 0; i < points->count; i++) {
        bool changed = ((points->changed >> i) & 1u) != 0u;
        if (changed && !fw_point_type_is_analogue(points->at[i].type)) {
            return 0;
        }
    }
    uint32_t elapsed = now_ms - status->delta_at_ms;
    return elapsed >= FW_STATUS_ANALOGUE_INTERVAL_MS ? 0u
                                                     : FW_STATUS_ANALOGUE_INTERVAL_MS - elapsed;
}

/* The changed points that a delta of so many bytes can surely hold, lowest first. */
static uint32_t delta_points(const fw_points_t *points, size_t room, uint8_t *count)
{
    uint32_t chosen = 0;
    size_t bytes = DELTA_HEAD_BYTES_MAX;
    *count = 0;
    for (uint8_t i = 0; i < points->count; i++) {
        if (((points->changed >> i) & 1u) == 0u) {
            continue;
        }
        bytes += DELTA_POINT_BYTES_MAX;
        if (bytes > room) {
            break;
        }
        chosen |= (uint32_t)1 << i;
        (*count)++;
    }
    return chosen;
}

bool fw_status_delta_write(fw_status_t *status, fw_points_t *points, fw_status_time_t time,
                           uint32_t now_ms, fw_cbor_writer_t *writer)
{
    uint8_t count = 0;
    uint32_t chosen = delta_points(points, writer->capacity - writer->length, &count);
    if (count == 0u) {
        return false;
    }
    uint32_t sequence = status->sequence + 1u;
    fw_cbor_write_map(writer, time.time_known ? 5u : 4u);
    write_order(writer, status, sequence);
    write_time(writer, time);
    fw_cbor_put_array(writer, FW_KEY_STATUS_POINTS, count);
    for (uint8_t i = 0; i < points->count; i++) {
        if (((chosen >> i) & 1u) != 0u) {
            write_point(writer, points, i, false);
        }
    }
    if (writer->failed) {
        return false;
    }
    status->sequence = sequence;
    status->delta_at_ms = now_ms;
    points->changed &= ~chosen;
    return true;
}
