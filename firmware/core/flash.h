/*
 * flash.h: the flash chip as all stores share it: checked programs, paced erases, checksums.
 *
 * An erase stalls scans, so between two of them, whichever stores ask, at least `erase_gap_ms`
 * pass. Every program is read back: a worn cell is found when it is written, not when it is needed.
 */
#ifndef FW_FLASH_H
#define FW_FLASH_H

#include "bytes.h"
#include "layout.h"
#include "port.h"

/* Scans between two erases (docs/storage.md, section 2). */
#define FW_ERASE_GAP_MS 200u

/* What one step reads or programs at most. */
#define FW_FLASH_SLICE_BYTES 256u

/* A step's answer when there is nothing to do until somebody asks for something. */
#define FW_FLASH_NEVER UINT32_MAX

/* What an erased word reads as. */
#define FW_FLASH_BLANK 0xFFFFFFFFu

typedef struct {
    const fw_flash_port_t *port;
    uint32_t gap_from_ms;  /* when the gap began */
    uint32_t erase_gap_ms; /* a port sets 0 while it boots and nothing scans yet */
    uint32_t operations;   /* programs and erases so far */
    bool has_erased;       /* and nobody has asked for the next erase yet */
    bool is_gap;           /* it has not passed yet, as far as anybody asked */
    bool is_held;          /* no erase begins: whoever has set it lets go soon */
    bool has_stalled;      /* by an erase, since whoever reads this cleared it */
} fw_flash_t;

/* The port must outlive it. */
void fw_flash_init(fw_flash_t *flash, const fw_flash_port_t *port);

bool fw_flash_read(fw_flash_t *flash, uint32_t address, uint32_t *into, size_t words);

/* Programs and reads back. False: the chip refused, or holds something else now. */
bool fw_flash_program(fw_flash_t *flash, uint32_t address, const uint32_t *words, size_t count);

/* How long the next erase has to wait yet; 0 = it may come now. Ask before each. */
uint32_t fw_flash_erase_wait_ms(fw_flash_t *flash, uint32_t now_ms);

bool fw_flash_erase(fw_flash_t *flash, uint32_t address);

/* CRC-32 as of IEEE 802.3, of words as they lie in flash, lowest byte first. Begin with 0 and hand
 * the answer in again to go on. */
uint32_t fw_crc32(uint32_t crc, const uint32_t *words, size_t count);

/* Goes on with the checksum of what lies in flash. `bytes` is rounded up to words. False: the chip
 * refused. */
bool fw_flash_crc32(fw_flash_t *flash, uint32_t address, size_t bytes, uint32_t *crc);

/* Bytes that come in pieces of any length, on their way into erased words. */
typedef struct {
    uint32_t address; /* of the first byte */
    uint32_t taken;   /* bytes so far */
    uint32_t held;    /* the last `taken` % 4 of them, which make no word yet */
} fw_flash_stream_t;

void fw_flash_stream_begin(fw_flash_stream_t *stream, uint32_t address);

/* Takes at most a slice's worth from the front and tells how much. False: the chip refused. */
bool fw_flash_stream_write(fw_flash_t *flash, fw_flash_stream_t *stream, const uint8_t *bytes,
                           size_t length, size_t *taken);

/* Programs what is held, filled up with 0xFF. Nothing may be written afterwards. */
bool fw_flash_stream_end(fw_flash_t *flash, fw_flash_stream_t *stream);

/* Bytes out of flash, from any place, into RAM. False: the chip refused. */
bool fw_flash_read_bytes(fw_flash_t *flash, uint32_t address, uint8_t *into, size_t length);

#endif
