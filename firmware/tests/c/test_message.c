/*
 * test_message.c: the golden messages through the core's readers and writer.
 *
 * The core has no structs for messages: it reads a field where it needs it. So the schema stands
 * here as a table of keys, types and ranges, and the core's readers must find every field of a good
 * message with its value, and something wrong in every bad one. Each good message is also written
 * again, item by item, and must come out as the same bytes.
 */
#include "cbor.h"
#include "check.h"
#include "code.h"
#include "commands.h"
#include "golden.h"
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_MAX FW_INTEGER_MAX
#define U32_MAX 4294967295

enum { PATH_ROOM = 96 };

typedef enum {
    FORM_UNSIGNED, /* min ... max */
    FORM_INTEGER,
    FORM_BOOLEAN,
    FORM_BYTES, /* max of them, exactly */
    FORM_PIECE, /* min ... max of them */
    FORM_NAME,
    FORM_TITLE,
    FORM_TEXT, /* min ... max bytes */
    FORM_ADDRESSES,
    FORM_ARGUMENTS,
    FORM_TYPES, /* of values */
    FORM_SIGNATURES,
    FORM_MAP,  /* of schema `inner` */
    FORM_MAPS, /* an array of such */
} form_t;

typedef struct {
    const char *type;
    const char *name;
    uint8_t key;
    form_t form;
    bool optional;
    int64_t min, max;
    const char *inner;
} field_t;

#define MUST false
#define MAY true

static const field_t schema[] = {
    {"controller_hello", "version", 0, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"controller_hello", "record_bytes_max", 1, FORM_UNSIGNED, MUST, 264, 65535, NULL},
    {"hello_reply", "version", 0, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"hello_reply", "record_bytes_max", 1, FORM_UNSIGNED, MUST, 264, 65535, NULL},
    {"hello_reply", "time", 2, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"hello_reply", "ping_interval_ms", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"hello_reply", "address", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"tool_hello", "version", 0, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"tool_hello", "token", 1, FORM_TEXT, MAY, 0, 128, NULL},
    {"tool_hello", "installation", 2, FORM_BYTES, MAY, 0, 16, NULL},
    {"tool_hello", "software", 3, FORM_TITLE, MUST, 0, 0, NULL},
    {"tool_welcome", "version", 0, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"tool_welcome", "time", 2, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"tool_welcome", "ping_interval_ms", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"tool_welcome", "address", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"tool_welcome", "account", 5, FORM_TITLE, MUST, 0, 0, NULL},
    {"tool_welcome", "role", 6, FORM_UNSIGNED, MUST, 1, 4, NULL},
    {"tool_welcome", "gateway", 7, FORM_BYTES, MUST, 0, 16, NULL},
    {"ping_reply", "time", 0, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"error", "code", 0, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"error", "detail", 1, FORM_TEXT, MAY, 0, 200, NULL},

    {"request.snapshot", "controller", 3, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"request.outcome", "key", 3, FORM_BYTES, MUST, 0, 16, NULL},
    {"request.subscribe", "controllers", 3, FORM_ADDRESSES, MAY, 1, 256, NULL},
    {"request.lookup", "address", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"request.receipt", "key", 3, FORM_BYTES, MUST, 0, 16, NULL},
    {"request.enrol", "title", 3, FORM_TITLE, MUST, 0, 0, NULL},
    {"request.enrol", "site", 4, FORM_UNSIGNED, MAY, 1, U32_MAX, NULL},
    {"command.set", "key", 0, FORM_BYTES, MUST, 0, 16, NULL},
    {"command.set", "expiry", 1, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"command.set", "point", 3, FORM_NAME, MUST, 0, 0, NULL},
    {"command.set", "value", 4, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"command.set", "wait", 5, FORM_BOOLEAN, MAY, 0, 0, NULL},
    {"command.call", "key", 0, FORM_BYTES, MUST, 0, 16, NULL},
    {"command.call", "expiry", 1, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"command.call", "command", 3, FORM_NAME, MUST, 0, 0, NULL},
    {"command.call", "arguments", 4, FORM_ARGUMENTS, MUST, 0, FW_ARGUMENTS_MAX, NULL},
    {"command.call", "wait", 5, FORM_BOOLEAN, MAY, 0, 0, NULL},
    {"command.adjust", "key", 0, FORM_BYTES, MUST, 0, 16, NULL},
    {"command.adjust", "expiry", 1, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"command.adjust", "parameter", 3, FORM_NAME, MUST, 0, 0, NULL},
    {"command.adjust", "value", 4, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"command.adjust", "wait", 5, FORM_BOOLEAN, MAY, 0, 0, NULL},
    {"request.values", "from", 3, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"request.log", "before", 3, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"request.transfer_read", "content", 3, FORM_UNSIGNED, MUST, 1, FW_CONTENT_RECORDING, NULL},
    {"request.transfer_read", "offset", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"request.force", "point", 3, FORM_NAME, MUST, 0, 0, NULL},
    {"request.force", "value", 4, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"request.force", "duration_ms", 5, FORM_UNSIGNED, MUST, 1, FW_FORCE_MS_MAX, NULL},
    {"request.release", "point", 3, FORM_NAME, MUST, 0, 0, NULL},
    {"request.transfer_open", "content", 3, FORM_UNSIGNED, MUST, 1, FW_CONTENT_FIRMWARE_IMAGE,
     NULL},
    {"request.transfer_open", "size", 4, FORM_UNSIGNED, MUST, 1, FW_TRANSFER_BYTES_MAX, NULL},
    {"request.transfer_open", "digest", 5, FORM_BYTES, MUST, 0, 32, NULL},
    {"request.transfer_write", "offset", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"request.transfer_write", "bytes", 4, FORM_PIECE, MUST, 1, FW_TRANSFER_PIECE_BYTES_MAX, NULL},
    {"request.transfer_commit", "digest", 3, FORM_BYTES, MUST, 0, 32, NULL},
    {"request.transfer_commit", "keep", 4, FORM_BOOLEAN, MUST, 0, 0, NULL},
    {"request.trial", "keep", 3, FORM_BOOLEAN, MUST, 0, 0, NULL},
    {"request.rekey", "key", 3, FORM_BYTES, MAY, 0, 32, NULL},

    {"answer.identify", "title", 3, FORM_TITLE, MUST, 0, 0, NULL},
    {"answer.identify", "software", 4, FORM_TITLE, MUST, 0, 0, NULL},
    {"answer.identify", "peer_kind", 5, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"answer.describe", "behaviour", 3, FORM_TITLE, MUST, 0, 0, NULL},
    {"answer.describe", "commands", 4, FORM_SIGNATURES, MUST, 0, FW_SIGNATURES_MAX, NULL},
    {"answer.outcome", "boot", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.outcome", "stage", 4, FORM_UNSIGNED, MAY, 0, 255, NULL},
    {"answer.outcome", "reason", 5, FORM_UNSIGNED, MAY, 0, 255, NULL},
    {"answer.outcome", "final", 6, FORM_BOOLEAN, MAY, 0, 0, NULL},
    {"answer.subscribe", "count", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.lookup", "address", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.lookup", "online", 4, FORM_BOOLEAN, MUST, 0, 0, NULL},
    {"answer.lookup", "since", 5, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"answer.lookup", "title", 6, FORM_TITLE, MUST, 0, 0, NULL},
    {"answer.receipt", "stage", 3, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"answer.receipt", "at", 4, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"answer.receipt", "reason", 5, FORM_UNSIGNED, MAY, 0, 255, NULL},
    {"answer.receipt", "final", 6, FORM_BOOLEAN, MUST, 0, 0, NULL},
    {"answer.enrol", "controller", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.enrol", "key", 4, FORM_BYTES, MUST, 0, 32, NULL},
    {"answer.parameters", "parameters", 3, FORM_MAPS, MUST, 0, FW_NAMES_MAX, "parameter"},
    {"parameter", "name", 0, FORM_NAME, MUST, 0, 0, NULL},
    {"parameter", "type", 1, FORM_UNSIGNED, MUST, 0, FW_TYPE_TIME, NULL},
    {"parameter", "value", 2, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"parameter", "min", 3, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"parameter", "max", 4, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"answer.values", "values", 3, FORM_MAPS, MUST, 0, FW_NAMES_MAX, "value"},
    {"answer.values", "total", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"value", "name", 0, FORM_NAME, MUST, 0, 0, NULL},
    {"value", "type", 1, FORM_UNSIGNED, MUST, 0, FW_TYPE_TIME, NULL},
    {"value", "value", 2, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"answer.log", "entries", 3, FORM_MAPS, MUST, 0, FW_LOG_ENTRIES_MAX, "entry"},
    {"entry", "number", 0, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"entry", "time", 1, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"entry", "uptime_ms", 2, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"entry", "about", 3, FORM_TEXT, MUST, 0, 200, NULL},
    {"entry", "value", 4, FORM_INTEGER, MAY, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"entry", "cause", 5, FORM_MAP, MUST, 0, 0, "cause"},
    {"answer.health", "uptime_ms", 3, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"answer.health", "boot", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.health", "reset", 5, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"answer.health", "free_bytes", 6, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"answer.health", "scan", 7, FORM_MAP, MUST, 0, 0, "scan"},
    {"answer.health", "script", 8, FORM_MAP, MUST, 0, 0, "script"},
    {"answer.health", "firmware", 9, FORM_MAP, MAY, 0, 0, "firmware"},
    {"scan", "late", 0, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"scan", "longest_gap_ms", 1, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"scan", "gap_cause", 2, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"scan", "cost_us", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"script", "state", 0, FORM_UNSIGNED, MUST, 0, FW_SCRIPT_SAFE_MODE, NULL},
    {"script", "trial_left_ms", 1, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"script", "title", 2, FORM_TITLE, MAY, 0, 0, NULL},
    {"script", "digest", 3, FORM_BYTES, MAY, 0, 32, NULL},
    {"script", "faults", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"firmware", "state", 0, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"firmware", "slot", 1, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"firmware", "version", 2, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"firmware", "profile", 3, FORM_TITLE, MUST, 0, 0, NULL},
    {"answer.transfer_read", "size", 3, FORM_UNSIGNED, MUST, 0, FW_TRANSFER_BYTES_MAX, NULL},
    {"answer.transfer_read", "bytes", 4, FORM_PIECE, MUST, 0, FW_TRANSFER_PIECE_BYTES_MAX, NULL},
    {"answer.transfer_read", "digest", 5, FORM_BYTES, MUST, 0, 32, NULL},
    {"answer.transfer_open", "offset", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.transfer_write", "offset", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.transfer_commit", "fault", 3, FORM_MAP, MAY, 0, 0, "fault"},
    {"fault", "line", 0, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"fault", "column", 1, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"fault", "expected", 2, FORM_TEXT, MUST, 0, 200, NULL},
    {"fault", "fix", 3, FORM_TEXT, MAY, 0, 200, NULL},
    {"fault", "other_line", 4, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"answer.happened", "last", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.alarm", "last", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"answer.refused", "code", 0, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"answer.refused", "detail", 1, FORM_TEXT, MAY, 0, 200, NULL},
    {"answer.refused", "verb", 2, FORM_UNSIGNED, MUST, 0, 65535, NULL},

    {"event.announce", "boot", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"event.announce", "features", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"event.announce", "software", 5, FORM_TITLE, MUST, 0, 0, NULL},
    {"event.announce", "board", 6, FORM_TITLE, MUST, 0, 0, NULL},
    {"event.announce", "layout", 7, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"event.presence", "controller", 3, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"event.presence", "online", 4, FORM_BOOLEAN, MUST, 0, 0, NULL},
    {"event.presence", "since", 5, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"event.presence", "title", 6, FORM_TITLE, MUST, 0, 0, NULL},
    {"event.presence", "boot", 7, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"event.presence", "features", 8, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"event.presence", "software", 9, FORM_TITLE, MAY, 0, 0, NULL},
    {"event.presence", "board", 10, FORM_TITLE, MAY, 0, 0, NULL},
    {"event.presence", "reason", 11, FORM_UNSIGNED, MAY, 0, 255, NULL},
    {"event.note", "text", 3, FORM_TEXT, MUST, 1, 200, NULL},
    {"event.happened", "number", 3, FORM_UNSIGNED, MUST, 1, U32_MAX, NULL},
    {"event.happened", "time", 4, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"event.happened", "text", 5, FORM_TEXT, MUST, 0, 200, NULL},
    {"event.happened", "values", 6, FORM_ARGUMENTS, MUST, 0, FW_EVENT_VALUES_MAX, NULL},
    {"event.happened", "types", 7, FORM_TYPES, MUST, 0, FW_EVENT_VALUES_MAX, NULL},
    {"event.alarm", "number", 3, FORM_UNSIGNED, MUST, 1, U32_MAX, NULL},
    {"event.alarm", "time", 4, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"event.alarm", "level", 5, FORM_UNSIGNED, MUST, 0, FW_ALARM_HIGH, NULL},
    {"event.alarm", "text", 6, FORM_TEXT, MUST, 0, 200, NULL},
    {"event.alarm", "raised", 7, FORM_BOOLEAN, MUST, 0, 0, NULL},
    {"event.alarm", "alarm", 8, FORM_UNSIGNED, MUST, 0, 255, NULL},

    {"status.full", "boot", 0, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"status.full", "sequence", 1, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"status.full", "page", 2, FORM_UNSIGNED, MUST, 0, 15, NULL},
    {"status.full", "pages", 3, FORM_UNSIGNED, MUST, 1, 16, NULL},
    {"status.full", "uptime_ms", 4, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"status.full", "time", 5, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"status.full", "points", 6, FORM_MAPS, MUST, 0, FW_POINTS_MAX, "point.full"},
    {"status.full", "layout", 7, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"status.delta", "boot", 0, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"status.delta", "sequence", 1, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"status.delta", "uptime_ms", 4, FORM_UNSIGNED, MUST, 0, INTEGER_MAX, NULL},
    {"status.delta", "time", 5, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"status.delta", "points", 6, FORM_MAPS, MUST, 0, FW_POINTS_MAX, "point.delta"},
    {"point.full", "index", 0, FORM_UNSIGNED, MUST, 0, 31, NULL},
    {"point.full", "name", 1, FORM_NAME, MUST, 0, 0, NULL},
    {"point.full", "type", 2, FORM_UNSIGNED, MUST, 0, 3, NULL},
    {"point.full", "value", 3, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"point.full", "flags", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"point.full", "cause", 5, FORM_MAP, MUST, 0, 0, "cause"},
    {"point.delta", "index", 0, FORM_UNSIGNED, MUST, 0, 31, NULL},
    {"point.delta", "value", 3, FORM_INTEGER, MUST, -INTEGER_MAX, INTEGER_MAX, NULL},
    {"point.delta", "flags", 4, FORM_UNSIGNED, MUST, 0, U32_MAX, NULL},
    {"point.delta", "cause", 5, FORM_MAP, MUST, 0, 0, "cause"},
    {"cause", "kind", 0, FORM_UNSIGNED, MUST, 0, 8, NULL},
    {"cause", "by", 1, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},
    {"cause", "reference", 2, FORM_UNSIGNED, MAY, 0, U32_MAX, NULL},

    {"receipt", "key", 0, FORM_BYTES, MUST, 0, 16, NULL},
    {"receipt", "stage", 1, FORM_UNSIGNED, MUST, 0, 255, NULL},
    {"receipt", "at", 2, FORM_UNSIGNED, MAY, 0, INTEGER_MAX, NULL},
    {"receipt", "reason", 3, FORM_UNSIGNED, MAY, 0, 255, NULL},
    {"receipt", "detail", 4, FORM_TEXT, MAY, 0, 200, NULL},
    {"receipt", "final", 5, FORM_BOOLEAN, MUST, 0, 0, NULL},
};

/* A message being read: what is expected of it, how much was found, and whether all was well. */
typedef struct {
    const golden_message_t *golden;
    size_t found;
    bool bad;
} reading_t;

static const golden_field_t *golden_find(const golden_message_t *golden, const char *path)
{
    for (size_t i = 0; i < golden->fields_count; i++) {
        if (strcmp(golden->fields[i].path, path) == 0) {
            return &golden->fields[i];
        }
    }
    return NULL;
}

/* Compares a number that was read. In a bad message there is nothing to compare with. */
static void meet_number(reading_t *reading, const char *path, golden_form_t form, int64_t value)
{
    if (reading->golden->error != NULL) {
        return;
    }
    const golden_field_t *field = golden_find(reading->golden, path);
    reading->found++;
    CHECK_NOTE(field != NULL && field->form == form && field->integer == value,
               reading->golden->name);
}

static void meet_text(reading_t *reading, const char *path, fw_span_t span, bool as_hex)
{
    if (reading->golden->error != NULL) {
        return;
    }
    const golden_field_t *field = golden_find(reading->golden, path);
    reading->found++;
    CHECK_NOTE(field != NULL && field->form == GOLDEN_TEXT, reading->golden->name);
    if (field == NULL || field->form != GOLDEN_TEXT) {
        return;
    }
    if (as_hex) {
        size_t length = 0;
        uint8_t *bytes = bytes_from_hex(field->text, &length);
        CHECK_NOTE(length == span.length && memcmp(bytes, span.bytes, length) == 0,
                   reading->golden->name);
        free(bytes);
    } else {
        CHECK_NOTE(strlen(field->text) == span.length &&
                       memcmp(field->text, span.bytes, span.length) == 0,
                   reading->golden->name);
    }
}

/* Joins the parts of a path; one too long ends the run, as it would be a mistake in a vector. */
static void path_join(char out[PATH_ROOM], const char *head, const char *middle, const char *tail)
{
    if (strlen(head) + strlen(middle) + strlen(tail) >= PATH_ROOM) {
        printf("expected a path of less than %d bytes: %s\n", PATH_ROOM, head);
        exit(2);
    }
    strcpy(out, head);
    strcat(out, middle);
    strcat(out, tail);
}

static void read_map(reading_t *reading, const fw_cbor_map_t *map, const char *type,
                     const char *prefix);

/* The items of an array, each by its own rule. */
static void read_list(reading_t *reading, const field_t *field, const char *path,
                      fw_cbor_list_t list)
{
    char item_path[PATH_ROOM];
    char number_text[16];
    meet_number(reading, path, GOLDEN_COUNT, (int64_t)list.left);
    reading->bad = reading->bad || (int64_t)list.left < field->min;
    fw_cbor_item_t item;
    for (unsigned index = 0; fw_cbor_next(&list, &item); index++) {
        (void)snprintf(number_text, sizeof number_text, "%u", index);
        path_join(item_path, path, ".", number_text);
        bool number = item.type == FW_CBOR_UNSIGNED ||
                      (item.type == FW_CBOR_NEGATIVE && field->form == FORM_ARGUMENTS);
        fw_cbor_map_t inner;
        if (field->form == FORM_MAPS && fw_cbor_item_map(&item, &inner)) {
            char inner_path[PATH_ROOM];
            path_join(inner_path, item_path, ".", "");
            read_map(reading, &inner, field->inner, inner_path);
        } else if (field->form == FORM_SIGNATURES && item.type == FW_CBOR_TEXT &&
                   fw_text_valid(item.span)) {
            meet_text(reading, item_path, item.span, false);
        } else if ((field->form == FORM_ADDRESSES && number && item.integer <= U32_MAX) ||
                   (field->form == FORM_ARGUMENTS && number) ||
                   (field->form == FORM_TYPES && number && item.integer <= FW_TYPE_TIME)) {
            meet_number(reading, item_path, GOLDEN_INTEGER, item.integer);
        } else {
            reading->bad = true;
        }
    }
}

/* A stage that is not in the table would end nothing, so it is refused (section 11). */
static bool stage_known(int64_t stage)
{
    return (stage >= FW_STAGE_QUEUED && stage <= FW_STAGE_CONFIRMED) ||
           (stage >= FW_STAGE_EXPIRED && stage <= FW_STAGE_UNKNOWN);
}

static fw_field_t read_number(reading_t *reading, const fw_cbor_map_t *map, const field_t *field,
                              const char *path)
{
    int64_t integer = 0;
    uint64_t wide = 0;
    bool truth = false;
    fw_field_t found = FW_FIELD_ABSENT;
    if (field->form == FORM_BOOLEAN) {
        found = fw_cbor_map_bool(map, field->key, &truth);
        integer = truth ? 1 : 0;
    } else if (field->form == FORM_UNSIGNED) {
        found = fw_cbor_map_unsigned(map, field->key, (uint64_t)field->max, &wide);
        integer = (int64_t)wide;
        bool stage = strcmp(field->name, "stage") == 0;
        if (found == FW_FIELD_PRESENT &&
            (integer < field->min || (stage && !stage_known(integer)))) {
            found = FW_FIELD_BAD;
        }
        if (strcmp(field->name, "peer_kind") == 0 && integer > 5) {
            integer = 5;
        }
    } else {
        found = fw_cbor_map_integer(map, field->key, field->min, field->max, &integer);
    }
    if (found == FW_FIELD_ABSENT && strcmp(field->name, "wait") == 0) {
        meet_number(reading, path, GOLDEN_BOOLEAN, 0); /* left out, it is false */
    }
    if (found == FW_FIELD_PRESENT) {
        meet_number(reading, path, field->form == FORM_BOOLEAN ? GOLDEN_BOOLEAN : GOLDEN_INTEGER,
                    integer);
    }
    return found;
}

static fw_field_t read_text(reading_t *reading, const fw_cbor_map_t *map, const field_t *field,
                            const char *path)
{
    fw_span_t span = {0};
    fw_cbor_item_t item;
    fw_field_t found = FW_FIELD_ABSENT;
    switch (field->form) {
    case FORM_BYTES:
        found = fw_cbor_map_bytes(map, field->key, (size_t)field->max, (size_t)field->max, &span);
        break;
    case FORM_PIECE:
        found = fw_cbor_map_bytes(map, field->key, (size_t)field->min, (size_t)field->max, &span);
        break;
    case FORM_NAME:
        found = fw_cbor_map_name(map, field->key, &span);
        break;
    case FORM_TITLE:
        found = fw_cbor_map_title(map, field->key, &span);
        break;
    default:
        if (field->max == (int64_t)FW_TEXT_BYTES_MAX) {
            found = fw_cbor_map_text(map, field->key, &span);
        } else if (fw_cbor_map_find(map, field->key, &item)) {
            span = item.span;
            found = item.type == FW_CBOR_TEXT && (int64_t)span.length <= field->max
                        ? FW_FIELD_PRESENT
                        : FW_FIELD_BAD;
        }
        if (found == FW_FIELD_PRESENT && (int64_t)span.length < field->min) {
            found = FW_FIELD_BAD;
        }
        break;
    }
    if (found == FW_FIELD_PRESENT) {
        meet_text(reading, path, span, field->form == FORM_BYTES || field->form == FORM_PIECE);
    }
    return found;
}

static void read_field(reading_t *reading, const fw_cbor_map_t *map, const field_t *field,
                       const char *path)
{
    fw_field_t found = FW_FIELD_ABSENT;
    fw_cbor_list_t list;
    fw_cbor_map_t inner;
    char inner_path[PATH_ROOM];
    switch (field->form) {
    case FORM_UNSIGNED:
    case FORM_INTEGER:
    case FORM_BOOLEAN:
        found = read_number(reading, map, field, path);
        break;
    case FORM_BYTES:
    case FORM_PIECE:
    case FORM_NAME:
    case FORM_TITLE:
    case FORM_TEXT:
        found = read_text(reading, map, field, path);
        break;
    case FORM_MAP:
        found = fw_cbor_map_map(map, field->key, &inner);
        if (found == FW_FIELD_PRESENT) {
            path_join(inner_path, path, ".", "");
            read_map(reading, &inner, field->inner, inner_path);
        }
        break;
    default:
        found = fw_cbor_map_list(map, field->key, (size_t)field->max, &list);
        if (found == FW_FIELD_PRESENT) {
            read_list(reading, field, path, list);
        }
        break;
    }
    if (found == FW_FIELD_BAD || (found == FW_FIELD_ABSENT && !field->optional)) {
        reading->bad = true;
    }
}

/* The rules of sections 6.1 and 7 that bind one field to another, and the one range with a hole. */
static bool fields_fit(const fw_cbor_map_t *map, const char *type)
{
    uint64_t bound = 0;
    int64_t value = 0;
    fw_cbor_list_t values, types;
    if (strcmp(type, "request.transfer_read") == 0 &&
        fw_cbor_map_unsigned(map, FW_KEY_TRANSFER_READ_CONTENT, UINT32_MAX, &bound) ==
            FW_FIELD_PRESENT) {
        return bound == FW_CONTENT_SCRIPT || bound == FW_CONTENT_RECORDING;
    }
    if (strcmp(type, "event.happened") == 0 &&
        fw_cbor_map_list(map, FW_KEY_HAPPENED_VALUES, FW_EVENT_VALUES_MAX, &values) ==
            FW_FIELD_PRESENT &&
        fw_cbor_map_list(map, FW_KEY_HAPPENED_TYPES, FW_EVENT_VALUES_MAX, &types) ==
            FW_FIELD_PRESENT) {
        return values.left == types.left;
    }
    if (strcmp(type, "point.full") == 0 &&
        fw_cbor_map_unsigned(map, FW_KEY_POINT_TYPE, FW_POINT_DIGITAL_OUTPUT, &bound) ==
            FW_FIELD_PRESENT) {
        return fw_cbor_map_integer(map, FW_KEY_POINT_VALUE, 0, 1, &value) == FW_FIELD_PRESENT;
    }
    if (strcmp(type, "status.full") == 0 &&
        fw_cbor_map_unsigned(map, FW_KEY_STATUS_PAGES, FW_STATUS_PAGES_MAX, &bound) ==
            FW_FIELD_PRESENT) {
        return fw_cbor_map_integer(map, FW_KEY_STATUS_PAGE, 0, (int64_t)bound - 1, &value) ==
               FW_FIELD_PRESENT;
    }
    return true;
}

static void read_map(reading_t *reading, const fw_cbor_map_t *map, const char *type,
                     const char *prefix)
{
    reading->bad = reading->bad || !fields_fit(map, type);
    for (size_t row = 0; row < sizeof schema / sizeof schema[0]; row++) {
        if (strcmp(schema[row].type, type) == 0) {
            char path[PATH_ROOM];
            path_join(path, prefix, schema[row].name, "");
            read_field(reading, map, &schema[row], path);
        }
    }
}

/* What is wrong with the verb under its kind: the name of a code, or "ok". */
static const char *verb_judge(const golden_message_t *golden, const fw_cbor_map_t *map)
{
    uint64_t verb = 0;
    if (fw_cbor_map_unsigned(map, FW_KEY_VERB, 65535, &verb) != FW_FIELD_PRESENT) {
        return "bad_field";
    }
    uint8_t kind = fw_verb_kind(verb);
    if (strcmp(golden->type, "answer.refused") == 0) {
        return "ok"; /* an unknown verb is refused by its number */
    }
    if (kind == 0) {
        return "unsupported";
    }
    bool right = strcmp(golden->kind, fw_kind_name(kind)) == 0;
    if (strcmp(golden->kind, "response") == 0) {
        right = kind == FW_KIND_QUERY || kind == FW_KIND_CONFIGURE || kind == FW_KIND_ADMIN ||
                verb == FW_VERB_HAPPENED || verb == FW_VERB_ALARM;
    }
    return right ? "ok" : "wrong_kind";
}

/* Writes everything again, item by item. Recursion as deep as the profile: a test may. */
static void write_again(fw_cbor_writer_t *writer, const fw_cbor_item_t *item)
{
    fw_cbor_list_t list = {.span = item->span, .left = item->count};
    fw_cbor_item_t inner;
    switch (item->type) {
    case FW_CBOR_UNSIGNED:
    case FW_CBOR_NEGATIVE:
        fw_cbor_write_integer(writer, item->integer);
        return;
    case FW_CBOR_BYTES:
        fw_cbor_write_bytes(writer, item->span.bytes, item->span.length);
        return;
    case FW_CBOR_TEXT:
        fw_cbor_write_text(writer, (const char *)item->span.bytes, item->span.length);
        return;
    case FW_CBOR_ARRAY:
        fw_cbor_write_array(writer, item->count);
        break;
    case FW_CBOR_MAP:
        fw_cbor_write_map(writer, item->count);
        list.left *= 2; /* keys and values alike */
        break;
    case FW_CBOR_FALSE:
    case FW_CBOR_TRUE:
        fw_cbor_write_bool(writer, item->type == FW_CBOR_TRUE);
        return;
    case FW_CBOR_NULL:
        fw_cbor_write_null(writer);
        return;
    }
    while (fw_cbor_next(&list, &inner)) {
        write_again(writer, &inner);
    }
}

static void rewritten(const golden_message_t *golden, const fw_cbor_map_t *map)
{
    size_t length = golden->bytes.length;
    uint8_t *bytes = bytes_exact(golden->bytes.bytes, length);
    memset(bytes, 0, length);
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, bytes, length);
    fw_cbor_item_t item = {.type = FW_CBOR_MAP, .count = map->count, .span = map->span};
    write_again(&writer, &item);
    CHECK_NOTE(!writer.failed && writer.length == length &&
                   memcmp(bytes, golden->bytes.bytes, length) == 0,
               golden->name);
    free(bytes);
}

/* What the readers make of the message: "ok", or the name of what is wrong. */
static const char *judge(const golden_message_t *golden, const fw_cbor_map_t *map,
                         reading_t *reading)
{
    const char *dot = strchr(golden->type, '.');
    size_t family = dot == NULL ? strlen(golden->type) : (size_t)(dot - golden->type);
    bool by_verb = strncmp(golden->type, "request", family) == 0 ||
                   strncmp(golden->type, "command", family) == 0 ||
                   strncmp(golden->type, "answer", family) == 0 ||
                   strncmp(golden->type, "event", family) == 0;
    if (by_verb) {
        const char *verb = verb_judge(golden, map);
        if (strcmp(verb, "ok") != 0) {
            return verb;
        }
    }
    uint64_t code = 0;
    if (strncmp(golden->type, "answer", family) == 0 &&
        fw_cbor_map_unsigned(map, FW_KEY_RESPONSE_CODE, 255, &code) != FW_FIELD_PRESENT) {
        return "bad_field";
    }
    read_map(reading, map, golden->type, "");
    return reading->bad ? "bad_field" : "ok";
}

void test_message(const golden_message_t *golden)
{
    uint8_t *bytes = bytes_exact(golden->bytes.bytes, golden->bytes.length);
    fw_cbor_map_t map;
    fw_cbor_fault_t fault = fw_cbor_open(bytes, golden->bytes.length, &map);
    CHECK_STRING(fw_cbor_fault_name(fault), golden->fault == NULL ? "ok" : golden->fault,
                 golden->name);
    if (fault == FW_CBOR_OK) {
        reading_t reading = {.golden = golden};
        CHECK_STRING(judge(golden, &map, &reading), golden->error == NULL ? "ok" : golden->error,
                     golden->name);
        if (golden->error == NULL) {
            CHECK_NOTE(reading.found == golden->fields_count, golden->name);
        }
        rewritten(golden, &map);
    }
    free(bytes);
}
