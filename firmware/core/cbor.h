/*
 * cbor.h: payloads (docs/protocol.md section 3).
 *
 * Three parts. `fw_cbor_check` proves that bytes are a payload as the protocol wants it; it runs in
 * constant memory, without recursion, whatever the bytes. The `fw_cbor_map_*` readers then find
 * fields by key, and may trust what was checked: they must never see bytes that were not. The
 * writer fills a caller's buffer and remembers when it was too small.
 */
#ifndef FW_CBOR_H
#define FW_CBOR_H

#include "bytes.h"
#include "config.h"

/* ---- the check ---- */

/* The faults of section 3. */
typedef enum {
    FW_CBOR_OK = 0,
    FW_CBOR_TRUNCATED,
    FW_CBOR_TRAILING,
    FW_CBOR_NOT_A_MAP,
    FW_CBOR_INDEFINITE,
    FW_CBOR_NOT_SHORTEST,
    FW_CBOR_FORBIDDEN_TYPE,
    FW_CBOR_INTEGER_RANGE,
    FW_CBOR_BAD_KEY,
    FW_CBOR_KEY_ORDER,
    FW_CBOR_TOO_DEEP,
    FW_CBOR_BAD_TEXT,
} fw_cbor_fault_t;

/* The fault's name as section 3 has it; "ok" for none. */
const char *fw_cbor_fault_name(fw_cbor_fault_t fault);

/* The first fault from left to right, in section 3's order, or FW_CBOR_OK. */
fw_cbor_fault_t fw_cbor_check(const uint8_t *bytes, size_t length);

/* Whether bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool fw_utf8_valid(const uint8_t *bytes, size_t length);

/* The common ranges of section 3. A title and a text are taken to be UTF-8 already. */
bool fw_name_valid(fw_span_t name);
bool fw_title_valid(fw_span_t title);
bool fw_text_valid(fw_span_t text);

/* ---- reading what was checked ---- */

/* Major types as on the wire, with the three simple values told apart. */
typedef enum {
    FW_CBOR_UNSIGNED = 0,
    FW_CBOR_NEGATIVE = 1,
    FW_CBOR_BYTES = 2,
    FW_CBOR_TEXT = 3,
    FW_CBOR_ARRAY = 4,
    FW_CBOR_MAP = 5,
    FW_CBOR_FALSE = 20,
    FW_CBOR_TRUE = 21,
    FW_CBOR_NULL = 22,
} fw_cbor_type_t;

/* One item. */
typedef struct {
    fw_cbor_type_t type;
    int64_t integer; /* of unsigned and negative: within +-(2^53 - 1) */
    size_t count;    /* items of an array, pairs of a map */
    fw_span_t span;  /* a string's body; of an array or map all its encoded items */
} fw_cbor_item_t;

/* A map whose fields can be looked up. Make one with fw_cbor_open or fw_cbor_item_map. */
typedef struct {
    fw_span_t span; /* the encoded pairs */
    size_t count;
} fw_cbor_map_t;

/* Checks a payload and opens it: the one door from received bytes to fields. */
fw_cbor_fault_t fw_cbor_open(const uint8_t *bytes, size_t length, fw_cbor_map_t *map);

/* Walks over the items of an array: `while (fw_cbor_next(&list, &item))`. */
typedef struct {
    fw_span_t span; /* the items that are left */
    size_t left;
} fw_cbor_list_t;

bool fw_cbor_next(fw_cbor_list_t *list, fw_cbor_item_t *item);

/* An item as a map: false if it is none. */
bool fw_cbor_item_map(const fw_cbor_item_t *item, fw_cbor_map_t *map);

/* Finds the value of a key; unknown keys are passed over. */
bool fw_cbor_map_find(const fw_cbor_map_t *map, uint64_t key, fw_cbor_item_t *item);

/* What a typed look-up found. BAD is a field of another type (null, too) or out of its range, and
 * is answered bad_field; so is ABSENT, where the field is required. */
typedef enum {
    FW_FIELD_PRESENT = 0,
    FW_FIELD_ABSENT,
    FW_FIELD_BAD,
} fw_field_t;

/* Each leaves its output alone unless it returns FW_FIELD_PRESENT. Bounds are inclusive. */
fw_field_t fw_cbor_map_unsigned(const fw_cbor_map_t *map, uint64_t key, uint64_t max,
                                uint64_t *value);
fw_field_t fw_cbor_map_u32(const fw_cbor_map_t *map, uint64_t key, uint32_t *value);
fw_field_t fw_cbor_map_integer(const fw_cbor_map_t *map, uint64_t key, int64_t min, int64_t max,
                               int64_t *value);
fw_field_t fw_cbor_map_bool(const fw_cbor_map_t *map, uint64_t key, bool *value);
fw_field_t fw_cbor_map_bytes(const fw_cbor_map_t *map, uint64_t key, size_t length_min,
                             size_t length_max, fw_span_t *value);
fw_field_t fw_cbor_map_name(const fw_cbor_map_t *map, uint64_t key, fw_span_t *value);
fw_field_t fw_cbor_map_title(const fw_cbor_map_t *map, uint64_t key, fw_span_t *value);
fw_field_t fw_cbor_map_text(const fw_cbor_map_t *map, uint64_t key, fw_span_t *value);
fw_field_t fw_cbor_map_list(const fw_cbor_map_t *map, uint64_t key, size_t count_max,
                            fw_cbor_list_t *value);
fw_field_t fw_cbor_map_map(const fw_cbor_map_t *map, uint64_t key, fw_cbor_map_t *value);

/* ---- writing ---- */

/*
 * Heads come out in their shortest form; keys in ascending order and the right counts are the
 * caller's duty (fw_cbor_check on the result tells, and the tests do it). Once something did not
 * fit, `failed` is set, nothing more is written, and `length` stays a prefix of what was asked.
 */
typedef struct {
    uint8_t *bytes;
    size_t capacity;
    size_t length;
    bool failed;
} fw_cbor_writer_t;

void fw_cbor_writer_init(fw_cbor_writer_t *writer, uint8_t *bytes, size_t capacity);

/* An unsigned integer up to 2^53 - 1: also every map key. More sets `failed`. */
void fw_cbor_write_unsigned(fw_cbor_writer_t *writer, uint64_t value);
/* An integer within +-(2^53 - 1); others set `failed`. */
void fw_cbor_write_integer(fw_cbor_writer_t *writer, int64_t value);
void fw_cbor_write_bool(fw_cbor_writer_t *writer, bool value);
void fw_cbor_write_null(fw_cbor_writer_t *writer);
void fw_cbor_write_bytes(fw_cbor_writer_t *writer, const uint8_t *bytes, size_t length);
/* The text must be UTF-8; it is not checked again. */
void fw_cbor_write_text(fw_cbor_writer_t *writer, const char *text, size_t length);
/* The same for a string of ours that ends in a zero. */
void fw_cbor_write_string(fw_cbor_writer_t *writer, const char *string);
/* Heads: `count` items, or pairs, must follow. */
void fw_cbor_write_array(fw_cbor_writer_t *writer, size_t count);
void fw_cbor_write_map(fw_cbor_writer_t *writer, size_t count);

/* Pairs of a map: the key, and then as fw_cbor_write_… does. */
void fw_cbor_put_unsigned(fw_cbor_writer_t *writer, uint32_t key, uint64_t value);
void fw_cbor_put_integer(fw_cbor_writer_t *writer, uint32_t key, int64_t value);
void fw_cbor_put_bool(fw_cbor_writer_t *writer, uint32_t key, bool value);
void fw_cbor_put_bytes(fw_cbor_writer_t *writer, uint32_t key, const uint8_t *bytes, size_t length);
void fw_cbor_put_text(fw_cbor_writer_t *writer, uint32_t key, const char *text, size_t length);
void fw_cbor_put_string(fw_cbor_writer_t *writer, uint32_t key, const char *string);
void fw_cbor_put_array(fw_cbor_writer_t *writer, uint32_t key, size_t count);
void fw_cbor_put_map(fw_cbor_writer_t *writer, uint32_t key, size_t count);

/*
 * A map whose pairs are counted while they are written: begin leaves room for a head of one byte,
 * end fills it in. More than 23 pairs set `failed`; no message of ours has that many.
 *
 *     size_t mark = fw_cbor_map_begin(&w);
 *     fw_cbor_write_unsigned(&w, 0); fw_cbor_write_bool(&w, true);
 *     fw_cbor_map_end(&w, mark, 1);
 */
size_t fw_cbor_map_begin(fw_cbor_writer_t *writer);
void fw_cbor_map_end(fw_cbor_writer_t *writer, size_t mark, size_t pairs);
/* The same for an array of up to 23 items. */
size_t fw_cbor_array_begin(fw_cbor_writer_t *writer);
void fw_cbor_array_end(fw_cbor_writer_t *writer, size_t mark, size_t items);

#endif
