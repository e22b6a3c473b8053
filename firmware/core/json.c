/*
 * json.c: see json.h.
 */
#include "json.h"

/* ---- writing ---- */

static void put_text(fw_json_t *json, const uint8_t *bytes, size_t length)
{
    fw_text_t *text = &json->text;
    fw_text_byte(text, '"');
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < ' ' || bytes[i] == 0x7Fu) {
            fw_text_string(text, "\\u00");
            fw_text_hex(text, bytes[i], 2);
            continue;
        }
        if (bytes[i] == '"' || bytes[i] == '\\') {
            fw_text_byte(text, '\\');
        }
        fw_text_byte(text, bytes[i]);
    }
    fw_text_byte(text, '"');
}

static void put_key(fw_json_t *json, const char *key)
{
    if (json->comma) {
        fw_text_byte(&json->text, ',');
    }
    json->comma = true;
    if (key != NULL) {
        fw_text_byte(&json->text, '"');
        fw_text_string(&json->text, key);
        fw_text_string(&json->text, "\":");
    }
}

void fw_json_open(fw_json_t *json, const char *key, uint8_t bracket)
{
    put_key(json, key);
    fw_text_byte(&json->text, bracket);
    json->comma = false;
}

void fw_json_close(fw_json_t *json, uint8_t bracket)
{
    fw_text_byte(&json->text, bracket);
    json->comma = true;
}

void fw_json_string(fw_json_t *json, const char *key, const char *string)
{
    fw_json_span(json, key, (fw_span_t){(const uint8_t *)string, fw_string_length(string)});
}

void fw_json_span(fw_json_t *json, const char *key, fw_span_t text)
{
    put_key(json, key);
    put_text(json, text.bytes, text.length);
}

void fw_json_number(fw_json_t *json, const char *key, int64_t number)
{
    put_key(json, key);
    fw_text_number(&json->text, number);
}

void fw_json_bool(fw_json_t *json, const char *key, bool value)
{
    put_key(json, key);
    fw_text_string(&json->text, value ? "true" : "false");
}

/* ---- reading ---- */

typedef struct {
    uint8_t *bytes;
    size_t at;
    size_t length;
} reader_t;

static void skip_space(reader_t *reader)
{
    while (reader->at < reader->length) {
        uint8_t byte = reader->bytes[reader->at];
        if (byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n') {
            return;
        }
        reader->at++;
    }
}

static bool take(reader_t *reader, uint8_t byte)
{
    if (reader->at < reader->length && reader->bytes[reader->at] == byte) {
        reader->at++;
        return true;
    }
    return false;
}

static bool take_word(reader_t *reader, const char *word)
{
    size_t length = fw_string_length(word);
    if (reader->length - reader->at < length ||
        !fw_text_is((fw_span_t){reader->bytes + reader->at, length}, word)) {
        return false;
    }
    reader->at += length;
    return true;
}

/* The four digits behind "\u". */
static bool take_unit(reader_t *reader, uint32_t *unit)
{
    *unit = 0;
    for (uint8_t i = 0; i < 4u; i++) {
        int32_t digit = reader->at < reader->length ? fw_hex_digit(reader->bytes[reader->at]) : -1;
        if (digit < 0) {
            return false;
        }
        *unit = *unit << 4 | (uint32_t)digit;
        reader->at++;
    }
    return true;
}

/* A character behind "\u", or the two units of one, as UTF-8. Never longer than its escape. */
static bool take_character(reader_t *reader, uint8_t *to, size_t *length)
{
    uint32_t code = 0;
    if (!take_unit(reader, &code)) {
        return false;
    }
    if (code >= 0xD800u && code < 0xE000u) {
        uint32_t low = 0;
        if (code >= 0xDC00u || !take_word(reader, "\\u") || !take_unit(reader, &low) ||
            low < 0xDC00u || low >= 0xE000u) {
            return false;
        }
        code = 0x10000u + ((code - 0xD800u) << 10) + (low - 0xDC00u);
    }
    if (code < 0x80u) {
        to[(*length)++] = (uint8_t)code;
        return code != 0u; /* none of our texts holds a zero */
    }
    uint8_t more = code < 0x800u ? 1u : code < 0x10000u ? 2u : 3u;
    static const uint8_t first[] = {0, 0xC0u, 0xE0u, 0xF0u};
    to[(*length)++] = (uint8_t)(first[more] | code >> (6u * more));
    while (more > 0u) {
        more--;
        to[(*length)++] = (uint8_t)(0x80u | (code >> (6u * more) & 0x3Fu));
    }
    return true;
}

static bool take_escape(reader_t *reader, uint8_t *to, size_t *length)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (take(reader, 'u')) {
        return take_character(reader, to, length);
    }
    for (uint8_t i = 0; names[i] != '\0'; i++) {
        if (take(reader, (uint8_t)names[i])) {
            to[(*length)++] = (uint8_t)values[i];
            return true;
        }
    }
    return false;
}

/* Bytes of the UTF-8 character that begins here (RFC 3629 section 4), or 0. */
static size_t character_bytes(const uint8_t *at, size_t length)
{
    uint8_t first = at[0];
    size_t bytes = first < 0x80u ? 1u : first >= 0xF0u ? 4u : first >= 0xE0u ? 3u : 2u;
    if (bytes > length || (first >= 0x80u && (first < 0xC2u || first > 0xF4u))) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xC0u) != 0x80u) {
            return 0;
        }
    }
    if (bytes == 3u && ((first == 0xE0u && at[1] < 0xA0u) || (first == 0xEDu && at[1] >= 0xA0u))) {
        return 0;
    }
    if (bytes == 4u && ((first == 0xF0u && at[1] < 0x90u) || (first == 0xF4u && at[1] >= 0x90u))) {
        return 0;
    }
    return bytes;
}

/* A text, whose escapes are replaced where they stand. */
static bool take_text(reader_t *reader, uint16_t *from, uint16_t *bytes)
{
    if (!take(reader, '"')) {
        return false;
    }
    uint8_t *to = reader->bytes + reader->at;
    size_t length = 0;
    *from = (uint16_t)reader->at;
    while (reader->at < reader->length) {
        const uint8_t *at = reader->bytes + reader->at;
        if (take(reader, '"')) {
            *bytes = (uint16_t)length;
            return true;
        }
        if (take(reader, '\\')) {
            if (!take_escape(reader, to, &length)) {
                return false;
            }
            continue;
        }
        size_t character = character_bytes(at, reader->length - reader->at);
        if (character == 0u || *at < ' ') {
            return false;
        }
        for (size_t i = 0; i < character; i++) {
            to[length++] = at[i];
        }
        reader->at += character;
    }
    return false;
}

/* A whole number of 32 bits. */
static bool take_number(reader_t *reader, int32_t *number)
{
    bool is_negative = take(reader, '-');
    int64_t sum = 0;
    size_t from = reader->at;
    while (reader->at < reader->length && reader->bytes[reader->at] >= '0' &&
           reader->bytes[reader->at] <= '9') {
        sum = sum * 10 + (reader->bytes[reader->at++] - '0');
        if (sum > 2147483648 || (reader->at - from > 1u && reader->bytes[from] == '0')) {
            return false;
        }
    }
    sum = is_negative ? -sum : sum;
    *number = (int32_t)sum;
    return reader->at > from && sum <= INT32_MAX;
}

/* What is between the brackets; checked here, read when it is asked for. */
static bool take_array(reader_t *reader)
{
    int32_t number = 0;
    skip_space(reader);
    if (take(reader, ']')) {
        return true;
    }
    do {
        skip_space(reader);
        if (!take_number(reader, &number)) {
            return false;
        }
        skip_space(reader);
    } while (take(reader, ','));
    return take(reader, ']');
}

static bool take_value(reader_t *reader, fw_json_field_t *field)
{
    int32_t number = 0;
    size_t from = reader->at;
    if (from == reader->length) {
        return false;
    }
    field->value = (uint16_t)from;
    bool is_good = true;
    switch (reader->bytes[from]) {
    case '"':
        field->kind = FW_JSON_TEXT;
        return take_text(reader, &field->value, &field->value_bytes);
    case '[':
        field->kind = FW_JSON_ARRAY;
        field->value++;
        reader->at++;
        is_good = take_array(reader);
        field->value_bytes = (uint16_t)(reader->at - field->value - 1u);
        return is_good;
    case 't':
    case 'f':
        field->kind = FW_JSON_BOOL;
        is_good = take_word(reader, "true") || take_word(reader, "false");
        break;
    case 'n':
        field->kind = FW_JSON_NULL;
        is_good = take_word(reader, "null");
        break;
    default:
        field->kind = FW_JSON_NUMBER;
        is_good = take_number(reader, &number);
        break;
    }
    field->value_bytes = (uint16_t)(reader->at - from);
    return is_good;
}

static const fw_json_field_t *find(const fw_json_object_t *object, fw_span_t name)
{
    for (uint8_t i = 0; i < object->count; i++) {
        const fw_json_field_t *field = &object->fields[i];
        if (field->name_bytes == name.length &&
            fw_equal(object->bytes + field->name, name.bytes, name.length)) {
            return field;
        }
    }
    return NULL;
}

static bool take_field(reader_t *reader, fw_json_object_t *object)
{
    fw_json_field_t field = {0};
    uint16_t name_bytes = 0;
    skip_space(reader);
    if (!take_text(reader, &field.name, &name_bytes) || name_bytes > UINT8_MAX) {
        return false;
    }
    field.name_bytes = (uint8_t)name_bytes;
    skip_space(reader);
    if (!take(reader, ':')) {
        return false;
    }
    skip_space(reader);
    if (object->count == FW_JSON_FIELDS_MAX || !take_value(reader, &field) ||
        find(object, (fw_span_t){object->bytes + field.name, field.name_bytes}) != NULL) {
        return false;
    }
    object->fields[object->count++] = field;
    skip_space(reader);
    return true;
}

bool fw_json_read(fw_json_object_t *object, uint8_t *bytes, size_t length)
{
    reader_t reader = {bytes, 0, length};
    object->bytes = bytes;
    object->count = 0;
    skip_space(&reader);
    if (length > UINT16_MAX || !take(&reader, '{')) {
        return false;
    }
    skip_space(&reader);
    bool is_good = take(&reader, '}');
    if (!is_good) {
        do {
            is_good = take_field(&reader, object);
        } while (is_good && take(&reader, ','));
        is_good = is_good && take(&reader, '}');
    }
    skip_space(&reader);
    return is_good && reader.at == length;
}

static const fw_json_field_t *find_kind(const fw_json_object_t *object, const char *name,
                                        fw_json_kind_t kind)
{
    const fw_json_field_t *field =
        find(object, (fw_span_t){(const uint8_t *)name, fw_string_length(name)});
    return field != NULL && field->kind == kind ? field : NULL;
}

bool fw_json_text_of(const fw_json_object_t *object, const char *name, fw_span_t *text)
{
    const fw_json_field_t *field = find_kind(object, name, FW_JSON_TEXT);
    if (field != NULL) {
        *text = (fw_span_t){object->bytes + field->value, field->value_bytes};
    }
    return field != NULL;
}

bool fw_json_number_of(const fw_json_object_t *object, const char *name, int32_t *number)
{
    const fw_json_field_t *field = find_kind(object, name, FW_JSON_NUMBER);
    if (field == NULL) {
        return false;
    }
    reader_t reader = {object->bytes, field->value, (size_t)field->value + field->value_bytes};
    return take_number(&reader, number);
}

bool fw_json_numbers_of(const fw_json_object_t *object, const char *name, int32_t *numbers,
                        uint8_t *count)
{
    const fw_json_field_t *field = find_kind(object, name, FW_JSON_ARRAY);
    if (field == NULL) {
        return false;
    }
    reader_t reader = {object->bytes, field->value, (size_t)field->value + field->value_bytes};
    uint8_t room = *count;
    *count = 0;
    for (;;) {
        skip_space(&reader);
        if (reader.at == reader.length) {
            return true;
        }
        (void)take(&reader, ',');
        skip_space(&reader);
        if (*count == room || !take_number(&reader, &numbers[*count])) {
            return false;
        }
        (*count)++;
    }
}
