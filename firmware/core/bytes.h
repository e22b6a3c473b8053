/*
 * bytes.h: moving bytes, and reading and writing big-endian integers.
 *
 * Integers cross the wire only through these functions, never through a struct laid over a buffer:
 * alignment and byte order are then nobody's problem.
 *
 * Of a chip's flash only whole words can be read. The functions of bytes.c may be
 * given what lies there, and so may every file that is compiled to read by words; which ones are not,
 * docs/firmware.md tells. Integers are read from RAM alone.
 */
#ifndef FW_BYTES_H
#define FW_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes. `bytes` may be NULL when `length` is 0. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
} fw_span_t;

/* Copies between buffers that do not overlap. */
void fw_copy(uint8_t *to, const uint8_t *from, size_t length);

void fw_fill(uint8_t *to, uint8_t value, size_t length);

/* Compares public bytes; stops at the first difference, so it must not see secrets. */
bool fw_equal(const uint8_t *a, const uint8_t *b, size_t length);

/* Length of a string of ours, without its closing zero; and one of its bytes. */
size_t fw_string_length(const char *string);
char fw_string_byte(const char *string, size_t at);

/* A word that may lie in flash and of which a part is wanted: the compiler must not read that part alone. */
static inline uint32_t fw_word(const uint32_t *at)
{
    uint32_t word = *at;
#if defined(__xtensa__)
    __asm__("" : "+r"(word));
#endif
    return word;
}

static inline uint16_t fw_load_u16(const uint8_t *at)
{
    return (uint16_t)(((uint32_t)at[0] << 8) | at[1]);
}

static inline uint32_t fw_load_u32(const uint8_t *at)
{
    return ((uint32_t)at[0] << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) | at[3];
}

static inline uint64_t fw_load_u64(const uint8_t *at)
{
    return ((uint64_t)fw_load_u32(at) << 32) | fw_load_u32(at + 4);
}

static inline void fw_store_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void fw_store_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void fw_store_u64(uint8_t *at, uint64_t value)
{
    fw_store_u32(at, (uint32_t)(value >> 32));
    fw_store_u32(at + 4, (uint32_t)value);
}

#endif
