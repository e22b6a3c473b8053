/*
 * text.h: writing text into a buffer of a given size, and reading numbers out of text.
 *
 * A writer that has run out of room keeps what it has, takes nothing more and says so: whoever
 * writes an item looks once, at its end, and can take the whole item back.
 */
#ifndef FW_TEXT_H
#define FW_TEXT_H

#include "bytes.h"

typedef struct {
    uint8_t *bytes;
    size_t length;
    size_t room;
    bool full; /* something did not fit */
} fw_text_t;

void fw_text_init(fw_text_t *text, uint8_t *into, size_t room);
void fw_text_byte(fw_text_t *text, uint8_t byte);
void fw_text_span(fw_text_t *text, const uint8_t *bytes, size_t length);
void fw_text_string(fw_text_t *text, const char *string);
void fw_text_number(fw_text_t *text, int64_t number);
/* `digits` hexadecimal digits, lower case. */
void fw_text_hex(fw_text_t *text, uint32_t number, uint8_t digits);

/* A decimal number and nothing else, 0 … 4,294,967,295. */
bool fw_text_parse_u32(fw_span_t text, uint32_t *number);

/* The value of a hexadecimal digit, or -1. */
int32_t fw_hex_digit(uint8_t byte);

/* Whether a text is this string. With `any_case` letters of both cases are alike, and the string is
 * in lower case. */
bool fw_text_is(fw_span_t text, const char *string);
bool fw_text_is_any_case(fw_span_t text, const char *string);

static inline uint8_t fw_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32u) : byte;
}

#endif
