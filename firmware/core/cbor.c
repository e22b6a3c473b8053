/*
 * cbor.c: the check of section 3, the readers behind it, and the writer.
 *
 * The check and the readers share one way of loading a head. The readers keep to the bytes they
 * were given even where the check was forgotten: they then find nothing, and never read beyond.
 */
#include "cbor.h"

#define MAJOR_TAG 6u
#define MAJOR_SIMPLE 7u
#define INFO_U8 24u
#define INFO_U64 27u
#define INFO_INDEFINITE 31u
#define PAIRS_IN_ONE_BYTE_MAX 23u

/* The head of an item: major type, additional information, and the argument they stand for. */
typedef struct {
    uint8_t major;
    uint8_t info;
    uint64_t argument;
} head_t;

/* An open array or map during the check. */
typedef struct {
    uint64_t left; /* items or pairs whose value has not begun */
    uint64_t key;  /* the last key of a map, if it has one */
    bool is_map;
    bool has_key;
    bool value_next; /* a key was read and its value comes now */
} level_t;

typedef struct {
    const uint8_t *bytes;
    size_t length;
    size_t at;
    size_t depth; /* open levels */
    level_t levels[FW_CBOR_DEPTH_MAX];
} checker_t;

const char *fw_cbor_fault_name(fw_cbor_fault_t fault)
{
    switch (fault) {
    case FW_CBOR_OK:
        return "ok";
    case FW_CBOR_TRUNCATED:
        return "truncated";
    case FW_CBOR_TRAILING:
        return "trailing";
    case FW_CBOR_NOT_A_MAP:
        return "not_a_map";
    case FW_CBOR_INDEFINITE:
        return "indefinite";
    case FW_CBOR_NOT_SHORTEST:
        return "not_shortest";
    case FW_CBOR_FORBIDDEN_TYPE:
        return "forbidden_type";
    case FW_CBOR_INTEGER_RANGE:
        return "integer_range";
    case FW_CBOR_BAD_KEY:
        return "bad_key";
    case FW_CBOR_KEY_ORDER:
        return "key_order";
    case FW_CBOR_TOO_DEEP:
        return "too_deep";
    case FW_CBOR_BAD_TEXT:
        return "bad_text";
    }
    return "unknown";
}

/* ---- heads ---- */

/* Loads the head at `*at` and steps over it. The faults come in section 3's order. */
static fw_cbor_fault_t head_load(const uint8_t *bytes, size_t length, size_t *at, head_t *head)
{
    if (*at >= length) {
        return FW_CBOR_TRUNCATED;
    }
    uint8_t first = bytes[*at];
    head->major = (uint8_t)(first >> 5);
    head->info = first & 0x1fu;
    if (head->info > INFO_U64) {
        return head->info == INFO_INDEFINITE ? FW_CBOR_INDEFINITE : FW_CBOR_FORBIDDEN_TYPE;
    }
    *at += 1;
    if (head->info < INFO_U8) {
        head->argument = head->info;
        return FW_CBOR_OK;
    }
    size_t size = (size_t)1 << (head->info - INFO_U8);
    if (length - *at < size) {
        return FW_CBOR_TRUNCATED;
    }
    head->argument = 0;
    for (size_t i = 0; i < size; i++) {
        head->argument = (head->argument << 8) | bytes[*at + i];
    }
    *at += size;
    return FW_CBOR_OK;
}

/* Whether the argument would have fitted a shorter head. */
static bool head_is_shortest(const head_t *head)
{
    switch (head->info) {
    case 24:
        return head->argument >= INFO_U8;
    case 25:
        return head->argument > UINT8_MAX;
    case 26:
        return head->argument > UINT16_MAX;
    case 27:
        return head->argument > UINT32_MAX;
    default:
        return true;
    }
}

/* What is wrong with a whole head, wherever it stands. */
static fw_cbor_fault_t head_check(const head_t *head)
{
    if (head->major == MAJOR_TAG) {
        return FW_CBOR_FORBIDDEN_TYPE;
    }
    if (head->major == MAJOR_SIMPLE) {
        bool allowed = head->info >= FW_CBOR_FALSE && head->info <= FW_CBOR_NULL;
        return allowed ? FW_CBOR_OK : FW_CBOR_FORBIDDEN_TYPE;
    }
    if (!head_is_shortest(head)) {
        return FW_CBOR_NOT_SHORTEST;
    }
    /* A negative integer is -1 - argument, so its argument ends one earlier. */
    if ((head->major == FW_CBOR_UNSIGNED && head->argument > (uint64_t)FW_INTEGER_MAX) ||
        (head->major == FW_CBOR_NEGATIVE && head->argument >= (uint64_t)FW_INTEGER_MAX)) {
        return FW_CBOR_INTEGER_RANGE;
    }
    return FW_CBOR_OK;
}

/* ---- text ---- */

/* Length of the UTF-8 sequence at `bytes`, 0 if there is none. */
static size_t utf8_sequence(const uint8_t *bytes, size_t length)
{
    uint8_t first = bytes[0];
    size_t size = 0;
    /* The second byte's range is what rules out overlong forms, surrogates and beyond U+10FFFF. */
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        size = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        size = 3;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        size = 4;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (length < size || bytes[1] < low || bytes[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((bytes[i] & 0xc0u) != 0x80u) {
            return 0;
        }
    }
    return size;
}

bool fw_utf8_valid(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t size = utf8_sequence(bytes + at, length - at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

static bool name_byte(uint8_t byte, bool first)
{
    bool letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte == '_';
    return letter || (!first && byte >= '0' && byte <= '9');
}

bool fw_name_valid(fw_span_t name)
{
    if (name.length < 1 || name.length > FW_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        if (!name_byte(name.bytes[i], i == 0)) {
            return false;
        }
    }
    return true;
}

bool fw_title_valid(fw_span_t title)
{
    if (title.length < 1 || title.length > FW_TITLE_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < title.length; i++) {
        uint8_t byte = title.bytes[i];
        /* U+0080 to U+009F are control characters too; in UTF-8 they are C2 and the number. */
        bool second_set =
            byte == 0xc2 && i + 1 < title.length && title.bytes[i + 1] < 0xa0;
        if (byte < 0x20 || byte == 0x7f || second_set) {
            return false;
        }
    }
    return true;
}

bool fw_text_valid(fw_span_t text)
{
    return text.length <= FW_TEXT_BYTES_MAX;
}

/* ---- the check ---- */

/* A key's value against the one before it. */
static fw_cbor_fault_t key_check(level_t *level, uint64_t key)
{
    if (level->has_key && key <= level->key) {
        return FW_CBOR_KEY_ORDER;
    }
    level->has_key = true;
    level->key = key;
    level->value_next = true;
    return FW_CBOR_OK;
}

/* What follows a value's head: a string's body, or the items of an array or map. */
static fw_cbor_fault_t body_check(checker_t *checker, const head_t *head)
{
    if (head->major == FW_CBOR_ARRAY || head->major == FW_CBOR_MAP) {
        if (checker->depth == FW_CBOR_DEPTH_MAX) {
            return FW_CBOR_TOO_DEEP;
        }
        checker->levels[checker->depth] =
            (level_t){.left = head->argument, .is_map = head->major == FW_CBOR_MAP};
        checker->depth++;
        return FW_CBOR_OK;
    }
    if (head->major == FW_CBOR_BYTES || head->major == FW_CBOR_TEXT) {
        if (head->argument > checker->length - checker->at) {
            return FW_CBOR_TRUNCATED;
        }
        size_t size = (size_t)head->argument;
        if (head->major == FW_CBOR_TEXT && !fw_utf8_valid(checker->bytes + checker->at, size)) {
            return FW_CBOR_BAD_TEXT;
        }
        checker->at += size;
    }
    return FW_CBOR_OK;
}

/* One key, or one value up to where its own items begin. */
static fw_cbor_fault_t step_check(checker_t *checker)
{
    level_t *level = checker->depth > 0 ? &checker->levels[checker->depth - 1] : NULL;
    bool is_key = level != NULL && level->is_map && !level->value_next;
    if (is_key && checker->at < checker->length &&
        checker->bytes[checker->at] >> 5 != FW_CBOR_UNSIGNED) {
        return FW_CBOR_BAD_KEY;
    }
    head_t head;
    fw_cbor_fault_t fault = head_load(checker->bytes, checker->length, &checker->at, &head);
    if (fault == FW_CBOR_OK) {
        fault = head_check(&head);
    }
    if (fault != FW_CBOR_OK) {
        return fault;
    }
    if (is_key) {
        return key_check(level, head.argument);
    }
    if (level != NULL) {
        level->left--;
        level->value_next = false;
    }
    return body_check(checker, &head);
}

fw_cbor_fault_t fw_cbor_check(const uint8_t *bytes, size_t length)
{
    if (length == 0) {
        return FW_CBOR_TRUNCATED;
    }
    if (bytes[0] >> 5 != FW_CBOR_MAP) {
        return FW_CBOR_NOT_A_MAP;
    }
    checker_t checker = {.bytes = bytes, .length = length};
    do {
        fw_cbor_fault_t fault = step_check(&checker);
        if (fault != FW_CBOR_OK) {
            return fault;
        }
        /* Close what is complete. A map whose last value is due still counts: left is 1 then. */
        while (checker.depth > 0 && checker.levels[checker.depth - 1].left == 0) {
            checker.depth--;
        }
    } while (checker.depth > 0);
    return checker.at == length ? FW_CBOR_OK : FW_CBOR_TRAILING;
}

/* ---- reading ---- */

/* Steps over `items` whole items from `*at`. False if the bytes end before. */
static bool items_skip(fw_span_t span, size_t *at, uint64_t items)
{
    while (items > 0) {
        head_t head;
        if (head_load(span.bytes, span.length, at, &head) != FW_CBOR_OK) {
            return false;
        }
        items--;
        size_t left = span.length - *at;
        if (head.major == FW_CBOR_BYTES || head.major == FW_CBOR_TEXT) {
            if (head.argument > left) {
                return false;
            }
            *at += (size_t)head.argument;
        } else if (head.major == FW_CBOR_ARRAY || head.major == FW_CBOR_MAP) {
            /* Every item takes a byte at least, which also keeps the sum from overflowing. */
            if (head.argument > left) {
                return false;
            }
            items += head.major == FW_CBOR_MAP ? 2 * head.argument : head.argument;
        }
    }
    return true;
}

/* Takes the item at the start of `span` and moves the span behind it. */
static bool item_take(fw_span_t *span, fw_cbor_item_t *item)
{
    size_t at = 0;
    head_t head;
    if (head_load(span->bytes, span->length, &at, &head) != FW_CBOR_OK) {
        return false;
    }
    *item = (fw_cbor_item_t){.type = (fw_cbor_type_t)head.major};
    size_t begin = at;
    switch (head.major) {
    case FW_CBOR_UNSIGNED:
        item->integer = (int64_t)(head.argument & INT64_MAX);
        break;
    case FW_CBOR_NEGATIVE:
        item->integer = -1 - (int64_t)(head.argument & INT64_MAX);
        break;
    case MAJOR_SIMPLE:
        item->type = (fw_cbor_type_t)head.info;
        break;
    default:
        if (head.argument > span->length - at) {
            return false;
        }
        if (head.major == FW_CBOR_BYTES || head.major == FW_CBOR_TEXT) {
            at += (size_t)head.argument;
            break;
        }
        item->count = (size_t)head.argument;
        if (!items_skip(*span, &at, head.major == FW_CBOR_MAP ? 2 * head.argument : head.argument)) {
            return false;
        }
        break;
    }
    item->span = (fw_span_t){.bytes = span->bytes + begin, .length = at - begin};
    *span = (fw_span_t){.bytes = span->bytes + at, .length = span->length - at};
    return true;
}

fw_cbor_fault_t fw_cbor_open(const uint8_t *bytes, size_t length, fw_cbor_map_t *map)
{
    fw_cbor_fault_t fault = fw_cbor_check(bytes, length);
    if (fault != FW_CBOR_OK) {
        return fault;
    }
    fw_span_t span = {.bytes = bytes, .length = length};
    fw_cbor_item_t item;
    if (!item_take(&span, &item) || !fw_cbor_item_map(&item, map)) {
        return FW_CBOR_NOT_A_MAP;
    }
    return FW_CBOR_OK;
}

bool fw_cbor_next(fw_cbor_list_t *list, fw_cbor_item_t *item)
{
    if (list->left == 0 || !item_take(&list->span, item)) {
        list->left = 0;
        return false;
    }
    list->left--;
    return true;
}

bool fw_cbor_item_map(const fw_cbor_item_t *item, fw_cbor_map_t *map)
{
    if (item->type != FW_CBOR_MAP) {
        return false;
    }
    *map = (fw_cbor_map_t){.span = item->span, .count = item->count};
    return true;
}

bool fw_cbor_map_find(const fw_cbor_map_t *map, uint64_t key, fw_cbor_item_t *item)
{
    fw_span_t span = map->span;
    for (size_t i = 0; i < map->count; i++) {
        fw_cbor_item_t at;
        if (!item_take(&span, &at) || at.type != FW_CBOR_UNSIGNED || !item_take(&span, item)) {
            return false;
        }
        if ((uint64_t)at.integer >= key) {
            return (uint64_t)at.integer == key; /* keys ascend: it cannot come any more */
        }
    }
    return false;
}

fw_field_t fw_cbor_map_unsigned(const fw_cbor_map_t *map, uint64_t key, uint64_t max,
                                uint64_t *value)
{
    fw_cbor_item_t item;
    if (!fw_cbor_map_find(map, key, &item)) {
        return FW_FIELD_ABSENT;
    }
    if (item.type != FW_CBOR_UNSIGNED || (uint64_t)item.integer > max) {
        return FW_FIELD_BAD;
    }
    *value = (uint64_t)item.integer;
    return FW_FIELD_PRESENT;
}

fw_field_t fw_cbor_map_u32(const fw_cbor_map_t *map, uint64_t key, uint32_t *value)
{
    uint64_t wide = 0;
    fw_field_t field = fw_cbor_map_unsigned(map, key, UINT32_MAX, &wide);
    if (field == FW_FIELD_PRESENT) {
        *value = (uint32_t)wide;
    }
    return field;
}

fw_field_t fw_cbor_map_integer(const fw_cbor_map_t *map, uint64_t key, int64_t min, int64_t max,
                               int64_t *value)
{
    fw_cbor_item_t item;
    if (!fw_cbor_map_find(map, key, &item)) {
        return FW_FIELD_ABSENT;
    }
    bool integer = item.type == FW_CBOR_UNSIGNED || item.type == FW_CBOR_NEGATIVE;
    if (!integer || item.integer < min || item.integer > max) {
        return FW_FIELD_BAD;
    }
    *value = item.integer;
    return FW_FIELD_PRESENT;
}

fw_field_t fw_cbor_map_bool(const fw_cbor_map_t *map, uint64_t key, bool *value)
{
    fw_cbor_item_t item;
    if (!fw_cbor_map_find(map, key, &item)) {
        return FW_FIELD_ABSENT;
    }
    if (item.type != FW_CBOR_TRUE && item.type != FW_CBOR_FALSE) {
        return FW_FIELD_BAD;
    }
    *value = item.type == FW_CBOR_TRUE;
    return FW_FIELD_PRESENT;
}

fw_field_t fw_cbor_map_bytes(const fw_cbor_map_t *map, uint64_t key, size_t length_min,
                             size_t length_max, fw_span_t *value)
{
    fw_cbor_item_t item;
    if (!fw_cbor_map_find(map, key, &item)) {
        return FW_FIELD_ABSENT;
    }
    if (item.type != FW_CBOR_BYTES || item.span.length < length_min ||
        item.span.length > length_max) {
        return FW_FIELD_BAD;
    }
    *value = item.span;
    return FW_FIELD_PRESENT;
}

/* A text that passes one of the tests of common ranges. */
static fw_field_t map_string(const fw_cbor_map_t *map, uint64_t key, bool (*valid)(fw_span_t),
                             fw_span_t *value)
{
    fw_cbor_item_t item;
    if (!fw_cbor_map_find(map, key, &item)) {
        return FW_FIELD_ABSENT;
    }
    if (item.type != FW_CBOR_TEXT || !valid(item.span)) {
        return FW_FIELD_BAD;
    }
    *value = item.span;
    return FW_FIELD_PRESENT;
}

fw_field_t fw_cbor_map_name(const fw_cbor_map_t *map, uint64_t key, fw_span_t *value)
{
    return map_string(map, key, fw_name_valid, value);
}

fw_field_t fw_cbor_map_title(const fw_cbor_map_t *map, uint64_t key, fw_span_t *value)
{
    return map_string(map, key, fw_title_valid, value);
}

fw_field_t fw_cbor_map_text(const fw_cbor_map_t *map, uint64_t key, fw_span_t *value)
{
    return map_string(map, key, fw_text_valid, value);
}

fw_field_t fw_cbor_map_list(const fw_cbor_map_t *map, uint64_t key, size_t count_max,
                            fw_cbor_list_t *value)
{
    fw_cbor_item_t item;
    if (!fw_cbor_map_find(map, key, &item)) {
        return FW_FIELD_ABSENT;
    }
    if (item.type != FW_CBOR_ARRAY || item.count > count_max) {
        return FW_FIELD_BAD;
    }
    *value = (fw_cbor_list_t){.span = item.span, .left = item.count};
    return FW_FIELD_PRESENT;
}

fw_field_t fw_cbor_map_map(const fw_cbor_map_t *map, uint64_t key, fw_cbor_map_t *value)
{
    fw_cbor_item_t item;
    if (!fw_cbor_map_find(map, key, &item)) {
        return FW_FIELD_ABSENT;
    }
    return fw_cbor_item_map(&item, value) ? FW_FIELD_PRESENT : FW_FIELD_BAD;
}

/* ---- writing ---- */

void fw_cbor_writer_init(fw_cbor_writer_t *writer, uint8_t *bytes, size_t capacity)
{
    *writer = (fw_cbor_writer_t){.bytes = bytes, .capacity = capacity};
}

/* Whether `size` more bytes go in; marks the writer failed if not. */
static bool writer_has_room(fw_cbor_writer_t *writer, size_t size)
{
    if (!writer->failed && size > writer->capacity - writer->length) {
        writer->failed = true;
    }
    return !writer->failed;
}

static void write_head(fw_cbor_writer_t *writer, unsigned major, uint64_t argument)
{
    uint8_t info = 0;
    size_t size = 0;
    if (argument < INFO_U8) {
        info = (uint8_t)argument;
    } else if (argument <= UINT8_MAX) {
        info = 24;
        size = 1;
    } else if (argument <= UINT16_MAX) {
        info = 25;
        size = 2;
    } else if (argument <= UINT32_MAX) {
        info = 26;
        size = 4;
    } else {
        info = 27;
        size = 8;
    }
    if (!writer_has_room(writer, 1 + size)) {
        return;
    }
    writer->bytes[writer->length++] = (uint8_t)((major << 5) | info);
    for (size_t i = 0; i < size; i++) {
        writer->bytes[writer->length++] = (uint8_t)(argument >> (8 * (size - 1 - i)));
    }
}

static void write_body(fw_cbor_writer_t *writer, const uint8_t *bytes, size_t length)
{
    if (writer_has_room(writer, length) && length > 0) {
        fw_copy(writer->bytes + writer->length, bytes, length);
        writer->length += length;
    }
}

void fw_cbor_write_unsigned(fw_cbor_writer_t *writer, uint64_t value)
{
    if (value > (uint64_t)FW_INTEGER_MAX) {
        writer->failed = true;
        return;
    }
    write_head(writer, FW_CBOR_UNSIGNED, value);
}

void fw_cbor_write_integer(fw_cbor_writer_t *writer, int64_t value)
{
    if (value >= 0) {
        fw_cbor_write_unsigned(writer, (uint64_t)value);
    } else if (value < -FW_INTEGER_MAX) {
        writer->failed = true;
    } else {
        write_head(writer, FW_CBOR_NEGATIVE, (uint64_t)(-1 - value));
    }
}

void fw_cbor_write_bool(fw_cbor_writer_t *writer, bool value)
{
    write_head(writer, MAJOR_SIMPLE, value ? FW_CBOR_TRUE : FW_CBOR_FALSE);
}

void fw_cbor_write_null(fw_cbor_writer_t *writer)
{
    write_head(writer, MAJOR_SIMPLE, FW_CBOR_NULL);
}

void fw_cbor_write_bytes(fw_cbor_writer_t *writer, const uint8_t *bytes, size_t length)
{
    write_head(writer, FW_CBOR_BYTES, length);
    write_body(writer, bytes, length);
}

void fw_cbor_write_text(fw_cbor_writer_t *writer, const char *text, size_t length)
{
    write_head(writer, FW_CBOR_TEXT, length);
    write_body(writer, (const uint8_t *)text, length);
}

void fw_cbor_write_string(fw_cbor_writer_t *writer, const char *string)
{
    fw_cbor_write_text(writer, string, fw_string_length(string));
}

void fw_cbor_write_array(fw_cbor_writer_t *writer, size_t count)
{
    write_head(writer, FW_CBOR_ARRAY, count);
}

void fw_cbor_write_map(fw_cbor_writer_t *writer, size_t count)
{
    write_head(writer, FW_CBOR_MAP, count);
}

void fw_cbor_put_unsigned(fw_cbor_writer_t *writer, uint32_t key, uint64_t value)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_unsigned(writer, value);
}

void fw_cbor_put_integer(fw_cbor_writer_t *writer, uint32_t key, int64_t value)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_integer(writer, value);
}

void fw_cbor_put_bool(fw_cbor_writer_t *writer, uint32_t key, bool value)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_bool(writer, value);
}

void fw_cbor_put_bytes(fw_cbor_writer_t *writer, uint32_t key, const uint8_t *bytes, size_t length)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_bytes(writer, bytes, length);
}

void fw_cbor_put_text(fw_cbor_writer_t *writer, uint32_t key, const char *text, size_t length)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_text(writer, text, length);
}

void fw_cbor_put_string(fw_cbor_writer_t *writer, uint32_t key, const char *string)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_string(writer, string);
}

void fw_cbor_put_array(fw_cbor_writer_t *writer, uint32_t key, size_t count)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_array(writer, count);
}

void fw_cbor_put_map(fw_cbor_writer_t *writer, uint32_t key, size_t count)
{
    fw_cbor_write_unsigned(writer, key);
    fw_cbor_write_map(writer, count);
}

/* Fills in a head of one byte that was left open at `mark`. */
static void head_fill(fw_cbor_writer_t *writer, size_t mark, unsigned major, size_t count)
{
    if (count > PAIRS_IN_ONE_BYTE_MAX) {
        writer->failed = true;
    }
    if (!writer->failed) {
        writer->bytes[mark] = (uint8_t)((major << 5) | count);
    }
}

size_t fw_cbor_map_begin(fw_cbor_writer_t *writer)
{
    size_t mark = writer->length;
    fw_cbor_write_map(writer, 0);
    return mark;
}

void fw_cbor_map_end(fw_cbor_writer_t *writer, size_t mark, size_t pairs)
{
    head_fill(writer, mark, FW_CBOR_MAP, pairs);
}

size_t fw_cbor_array_begin(fw_cbor_writer_t *writer)
{
    size_t mark = writer->length;
    fw_cbor_write_array(writer, 0);
    return mark;
}

void fw_cbor_array_end(fw_cbor_writer_t *writer, size_t mark, size_t items)
{
    head_fill(writer, mark, FW_CBOR_ARRAY, items);
}
