/*
 * json.h: JSON (RFC 8259) as the API speaks it: written item by item into a piece of an answer,
 * and read from a body that is there as a whole.
 *
 * What is read is one object of plain fields: texts, whole numbers, true, false, null, and arrays
 * of whole numbers. Nothing of ours needs more, and nothing can be nested too deep.
 */
#ifndef FW_JSON_H
#define FW_JSON_H

#include "text.h"

/* ---- writing ---- */

typedef struct {
    fw_text_t text;
    bool comma; /* something stands before what comes next, in the same object or array */
} fw_json_t;

/* `key` NULL: an element of an array, or the whole. */
void fw_json_open(fw_json_t *json, const char *key, uint8_t bracket);
void fw_json_close(fw_json_t *json, uint8_t bracket);
void fw_json_string(fw_json_t *json, const char *key, const char *string);
void fw_json_span(fw_json_t *json, const char *key, fw_span_t text);
void fw_json_number(fw_json_t *json, const char *key, int64_t number);
void fw_json_bool(fw_json_t *json, const char *key, bool value);

/* ---- reading ---- */

#define FW_JSON_FIELDS_MAX 12u

typedef enum {
    FW_JSON_NULL = 0,
    FW_JSON_BOOL,
    FW_JSON_NUMBER,
    FW_JSON_TEXT,
    FW_JSON_ARRAY, /* its inside, of whole numbers */
} fw_json_kind_t;

typedef struct {
    uint16_t name; /* places in the text */
    uint16_t value;
    uint16_t value_bytes;
    uint8_t name_bytes;
    uint8_t kind;
} fw_json_field_t;

typedef struct {
    uint8_t *bytes;
    fw_json_field_t fields[FW_JSON_FIELDS_MAX];
    uint8_t count;
} fw_json_object_t;

/* Reads a whole text, 65,535 bytes at most, and replaces its escapes where they stand: it must stay
 * while the object is used. False: it is not an object as above, has a name twice, or more fields
 * than there is room for. */
bool fw_json_read(fw_json_object_t *object, uint8_t *bytes, size_t length);

/* Fields by name; false if there is none of that name and kind. Numbers are 32 bits, signed; of an
 * array `count` is the room, and then how many there are. */
bool fw_json_text_of(const fw_json_object_t *object, const char *name, fw_span_t *text);
bool fw_json_number_of(const fw_json_object_t *object, const char *name, int32_t *number);
bool fw_json_numbers_of(const fw_json_object_t *object, const char *name, int32_t *numbers,
                        uint8_t *count);

#endif
