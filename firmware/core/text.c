/*
 * text.c: see text.h.
 */
#include "text.h"

void fw_text_init(fw_text_t *text, uint8_t *into, size_t room)
{
    *text = (fw_text_t){.bytes = into, .room = room};
}

void fw_text_byte(fw_text_t *text, uint8_t byte)
{
    if (text->full || text->length == text->room) {
        text->full = true;
        return;
    }
    text->bytes[text->length++] = byte;
}

void fw_text_span(fw_text_t *text, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        fw_text_byte(text, bytes[i]);
    }
}

void fw_text_string(fw_text_t *text, const char *string)
{
    for (size_t i = 0; string[i] != '\0'; i++) {
        fw_text_byte(text, (uint8_t)string[i]);
    }
}

void fw_text_number(fw_text_t *text, int64_t number)
{
    uint8_t digits[20];
    uint8_t count = 0;
    uint64_t rest = number < 0 ? 0u - (uint64_t)number : (uint64_t)number;
    do {
        digits[count++] = (uint8_t)('0' + rest % 10u);
        rest /= 10u;
    } while (rest != 0u);
    if (number < 0) {
        fw_text_byte(text, '-');
    }
    while (count > 0u) {
        fw_text_byte(text, digits[--count]);
    }
}

void fw_text_hex(fw_text_t *text, uint32_t number, uint8_t digits)
{
    while (digits > 0u) {
        uint8_t digit = (uint8_t)(number >> (4u * --digits) & 15u);
        fw_text_byte(text, (uint8_t)(digit < 10 ? '0' + digit : 'a' + digit - 10));
    }
}

bool fw_text_parse_u32(fw_span_t text, uint32_t *number)
{
    uint64_t sum = 0;
    if (text.length == 0u || text.length > 10u) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        uint8_t digit = (uint8_t)(text.bytes[i] - '0');
        if (digit > 9u) {
            return false;
        }
        sum = sum * 10u + digit;
    }
    if (sum > UINT32_MAX) {
        return false;
    }
    *number = (uint32_t)sum;
    return true;
}

int32_t fw_hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte = fw_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool fw_text_is(fw_span_t text, const char *string)
{
    for (size_t i = 0; i < text.length; i++) {
        /* A zero within the text would end the string too early. */
        if (string[i] == '\0' || text.bytes[i] != (uint8_t)string[i]) {
            return false;
        }
    }
    return string[text.length] == '\0';
}

bool fw_text_is_any_case(fw_span_t text, const char *string)
{
    for (size_t i = 0; i < text.length; i++) {
        if (string[i] == '\0' || fw_lower(text.bytes[i]) != (uint8_t)string[i]) {
            return false;
        }
    }
    return string[text.length] == '\0';
}
