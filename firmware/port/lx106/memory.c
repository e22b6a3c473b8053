/*
 * memory.c: memcpy and its kin for everything that lies in flash, for both ports on the LX106.
 *
 * The chip loads nothing but aligned words from flash; the ROM's and the C library's functions load
 * bytes. So the compiler's own calls, in our objects and Monocypher's, are redirected to these when
 * the objects are made (crates/xtask, `firmware`). Compiled with -mforce-l32, which turns a byte's
 * load into that of its word. Words are moved whole wherever both ends allow it.
 */
#include <stddef.h>
#include <stdint.h>

void *fw_memcpy(void *restrict to, const void *restrict from, size_t length);
void *fw_memmove(void *to, const void *from, size_t length);
void *fw_memset(void *to, int value, size_t length);
int fw_memcmp(const void *a, const void *b, size_t length);
size_t fw_strlen(const char *string);

#define WORD sizeof(uint32_t)

/* Bytes of any kind may be moved as words: these alias everything. */
typedef uint32_t __attribute__((may_alias)) word_t;

void *fw_memcpy(void *restrict to, const void *restrict from, size_t length)
{
    uint8_t *into = to;
    const uint8_t *bytes = from;
    if ((((uintptr_t)to | (uintptr_t)from) % WORD) == 0u) {
        for (; length >= WORD; length -= WORD, into += WORD, bytes += WORD) {
            *(word_t *)(void *)into = *(const word_t *)(const void *)bytes;
        }
    }
    while (length-- > 0u) {
        *into++ = *bytes++;
    }
    return to;
}

void *fw_memmove(void *to, const void *from, size_t length)
{
    uint8_t *into = to;
    const uint8_t *bytes = from;
    if ((uintptr_t)into - (uintptr_t)bytes >= length) {
        return fw_memcpy(to, from, length);
    }
    while (length-- > 0u) {
        into[length] = bytes[length];
    }
    return to;
}

void *fw_memset(void *to, int value, size_t length)
{
    uint8_t *into = to;
    uint32_t byte = (uint8_t)value;
    uint32_t word = byte * 0x01010101u;
    for (; length > 0u && (uintptr_t)into % WORD != 0u; length--) {
        *into++ = (uint8_t)byte;
    }
    for (; length >= WORD; length -= WORD, into += WORD) {
        *(word_t *)(void *)into = word;
    }
    while (length-- > 0u) {
        *into++ = (uint8_t)byte;
    }
    return to;
}

int fw_memcmp(const void *a, const void *b, size_t length)
{
    const uint8_t *left = a;
    const uint8_t *right = b;
    for (; length > 0u; length--, left++, right++) {
        if (*left != *right) {
            return *left < *right ? -1 : 1;
        }
    }
    return 0;
}

size_t fw_strlen(const char *string)
{
    size_t length = 0;
    while (string[length] != '\0') {
        length++;
    }
    return length;
}
