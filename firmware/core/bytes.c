/*
 * bytes.c: see bytes.h.
 */
#include "bytes.h"

void fw_copy(uint8_t *to, const uint8_t *from, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        to[i] = from[i];
    }
}

void fw_fill(uint8_t *to, uint8_t value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        to[i] = value;
    }
}

bool fw_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

size_t fw_string_length(const char *string)
{
    size_t length = 0;
    while (string[length] != '\0') {
        length++;
    }
    return length;
}

char fw_string_byte(const char *string, size_t at)
{
    return string[at];
}
