/*
 * flash.c: see flash.h.
 */
#include "flash.h"

enum { CHECK_WORDS = 8, SLICE_WORDS = FW_FLASH_SLICE_BYTES / 4 };

void fw_flash_init(fw_flash_t *flash, const fw_flash_port_t *port)
{
    *flash = (fw_flash_t){.port = port, .erase_gap_ms = FW_ERASE_GAP_MS};
}

bool fw_flash_read(fw_flash_t *flash, uint32_t address, uint32_t *into, size_t words)
{
    return flash->port->read(flash->port->ctx, address, into, words);
}

bool fw_flash_program(fw_flash_t *flash, uint32_t address, const uint32_t *words, size_t count)
{
    flash->operations++;
    if (!flash->port->program(flash->port->ctx, address, words, count)) {
        return false;
    }
    uint32_t found[CHECK_WORDS];
    for (size_t at = 0; at < count; at += CHECK_WORDS) {
        size_t piece = count - at < CHECK_WORDS ? count - at : CHECK_WORDS;
        if (!fw_flash_read(flash, address + (uint32_t)at * 4u, found, piece)) {
            return false;
        }
        for (size_t i = 0; i < piece; i++) {
            if (found[i] != words[at + i]) {
                return false;
            }
        }
    }
    return true;
}

/* When to ask again while erases are held. */
#define HELD_MS 10u

uint32_t fw_flash_erase_wait_ms(fw_flash_t *flash, uint32_t now_ms)
{
    if (flash->has_erased) {
        /* `now_ms` as the erase knew it is from before the stall: the gap begins at the first
         * question after it. */
        flash->has_erased = false;
        flash->is_gap = true;
        flash->gap_from_ms = now_ms;
    }
    if (flash->is_held) {
        return HELD_MS;
    }
    uint32_t passed_ms = now_ms - flash->gap_from_ms;
    if (!flash->is_gap || passed_ms >= flash->erase_gap_ms) {
        flash->is_gap = false;
        return 0;
    }
    return flash->erase_gap_ms - passed_ms;
}

bool fw_flash_erase(fw_flash_t *flash, uint32_t address)
{
    flash->operations++;
    flash->has_erased = true;
    flash->has_stalled = true;
    return flash->port->erase(flash->port->ctx, address);
}

/* ---- checksums ---- */

/* Half a byte at a time: 64 bytes of table, and words only, as the chip's flash wants. */
static const uint32_t crc_table[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
    0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t fw_crc32(uint32_t crc, const uint32_t *words, size_t count)
{
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        /* Eight steps of four bits eat the word that was mixed in whole. */
        crc ^= words[i];
        for (uint32_t nibble = 0; nibble < 8u; nibble++) {
            crc = (crc >> 4) ^ crc_table[crc & 15u];
        }
    }
    return ~crc;
}

bool fw_flash_crc32(fw_flash_t *flash, uint32_t address, size_t bytes, uint32_t *crc)
{
    uint32_t words[CHECK_WORDS];
    size_t count = (bytes + 3u) / 4u;
    for (size_t at = 0; at < count; at += CHECK_WORDS) {
        size_t piece = count - at < CHECK_WORDS ? count - at : CHECK_WORDS;
        if (!fw_flash_read(flash, address + (uint32_t)at * 4u, words, piece)) {
            return false;
        }
        *crc = fw_crc32(*crc, words, piece);
    }
    return true;
}

/* ---- streams of bytes ---- */

void fw_flash_stream_begin(fw_flash_stream_t *stream, uint32_t address)
{
    *stream = (fw_flash_stream_t){.address = address, .held = FW_FLASH_BLANK};
}

static uint32_t with_byte(uint32_t word, uint32_t at, uint8_t byte)
{
    uint32_t shift = 8u * (at % 4u);
    return (word & ~(0xFFu << shift)) | ((uint32_t)byte << shift);
}

bool fw_flash_stream_write(fw_flash_t *flash, fw_flash_stream_t *stream, const uint8_t *bytes,
                           size_t length, size_t *taken)
{
    uint32_t words[SLICE_WORDS];
    size_t count = 0;
    size_t used = 0;
    uint32_t held = stream->held;
    uint32_t at = stream->taken;
    uint32_t address = stream->address + at / 4u * 4u;
    while (used < length && count < SLICE_WORDS) {
        held = with_byte(held, at++, bytes[used++]);
        if (at % 4u == 0u) {
            words[count++] = held;
            held = FW_FLASH_BLANK;
        }
    }
    *taken = used;
    stream->held = held;
    stream->taken = at;
    return count == 0u || fw_flash_program(flash, address, words, count);
}

bool fw_flash_stream_end(fw_flash_t *flash, fw_flash_stream_t *stream)
{
    if (stream->taken % 4u == 0u) {
        return true;
    }
    return fw_flash_program(flash, stream->address + stream->taken / 4u * 4u, &stream->held, 1);
}

bool fw_flash_read_bytes(fw_flash_t *flash, uint32_t address, uint8_t *into, size_t length)
{
    uint32_t words[CHECK_WORDS];
    size_t done = 0;
    while (done < length) {
        uint32_t from = (address + (uint32_t)done) / 4u * 4u;
        uint32_t shift = (address + (uint32_t)done) % 4u;
        size_t wanted = (shift + (length - done) + 3u) / 4u;
        size_t count = wanted < CHECK_WORDS ? wanted : CHECK_WORDS;
        if (!fw_flash_read(flash, from, words, count)) {
            return false;
        }
        for (size_t at = shift; at < 4u * count && done < length; at++) {
            into[done++] = (uint8_t)(words[at / 4u] >> (8u * (at % 4u)));
        }
    }
    return true;
}
