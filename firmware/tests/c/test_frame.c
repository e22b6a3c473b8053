/*
 * test_frame.c: headers, codes and kinds by table; frames out of streams cut anywhere.
 */
#include "check.h"
#include "frame.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t kinds[] = {0x01, 0x02, 0x03, 0x04, 0x10, 0x11, 0x12,
                                0x13, 0x20, 0x21, 0x22, 0x23, 0x24};

static bool kind_listed(uint8_t kind)
{
    return memchr(kinds, kind, sizeof kinds) != NULL;
}

/* All 65,536 pairs of kind and flags against the two tables of section 2. */
static void every_kind_and_flag(void)
{
    for (unsigned kind = 0; kind < 256; kind++) {
        CHECK(fw_kind_known((uint8_t)kind) == kind_listed((uint8_t)kind));
        CHECK((strcmp(fw_kind_name((uint8_t)kind), "unknown") != 0) ==
              kind_listed((uint8_t)kind));
        unsigned allowed = 0;
        if (kind == 0x20 || kind == 0x22) {
            allowed = 1;
        } else if (kind == 0x01 || kind == 0x02) {
            allowed = 2;
        }
        bool verb = (kind >= 0x10 && kind <= 0x13) || kind == 0x20 || kind == 0x21;
        CHECK(fw_kind_carries_verb((uint8_t)kind) == verb);
        for (unsigned flags = 0; flags < 256; flags++) {
            fw_frame_header_t header = {.kind = (uint8_t)kind, .flags = (uint8_t)flags};
            fw_frame_fault_t expected = FW_FRAME_OK;
            if (!kind_listed((uint8_t)kind)) {
                expected = FW_FRAME_UNKNOWN_KIND;
            } else if (flags != 0 && flags != allowed) {
                expected = FW_FRAME_BAD_FLAGS;
            }
            CHECK(fw_frame_header_check(&header) == expected);
        }
    }
}

static void header_bytes(void)
{
    static const uint8_t wire[FW_HEADER_BYTES] = {0x11, 0x00, 0x00, 0x27, 0x00, 0x00, 0x00, 0x07,
                                                  0xc0, 0x00, 0x00, 0x01, 0x00, 0x01, 0x86, 0xca};
    fw_frame_header_t header;
    CHECK(fw_frame_header_decode(wire, &header) == FW_FRAME_OK);
    CHECK(header.kind == FW_KIND_COMMAND && header.flags == 0);
    CHECK(header.payload_bytes == 39);
    CHECK(header.correlation == 7);
    CHECK(header.source == 3221225473u);
    CHECK(header.destination == 100042);
    uint8_t back[FW_HEADER_BYTES];
    fw_frame_header_encode(&header, back);
    CHECK(memcmp(back, wire, sizeof wire) == 0);
}

static void codes(void)
{
    CHECK_STRING(fw_code_name(0), "ok", "");
    CHECK_STRING(fw_code_name(15), "rate_limited", "");
    CHECK_STRING(fw_code_name(16), "unknown", "");
    CHECK_STRING(fw_code_name(42), "internal", "");
    CHECK_STRING(fw_code_name(73), "rebooted", "");
    CHECK_STRING(fw_code_name(UINT32_MAX), "unknown", "");
    CHECK(fw_frame_fault_code(FW_FRAME_OK) == FW_CODE_OK);
    CHECK(fw_frame_fault_code(FW_FRAME_INCOMPLETE) == FW_CODE_OK);
    CHECK(fw_frame_fault_code(FW_FRAME_UNKNOWN_KIND) == FW_CODE_MALFORMED);
    CHECK(fw_frame_fault_code(FW_FRAME_BAD_FLAGS) == FW_CODE_MALFORMED);
    CHECK(fw_frame_fault_code(FW_FRAME_TOO_LARGE) == FW_CODE_TOO_LARGE);
}

/* Puts a frame with `payload_bytes` of a pattern at `to`; returns its length. */
static size_t frame_put(uint8_t *to, uint8_t kind, uint32_t correlation, uint16_t payload_bytes)
{
    fw_frame_header_t header = {.kind = kind,
                                .payload_bytes = payload_bytes,
                                .correlation = correlation,
                                .source = 1,
                                .destination = 2};
    fw_frame_header_encode(&header, to);
    for (size_t i = 0; i < payload_bytes; i++) {
        to[FW_HEADER_BYTES + i] = (uint8_t)(i + correlation);
    }
    return FW_HEADER_BYTES + (size_t)payload_bytes;
}

/* Three frames, one of them empty, cut at every pair of places. */
static void stream_cut_anywhere(void)
{
    uint8_t stream[128];
    size_t length = frame_put(stream, FW_KIND_QUERY, 1, 5);
    length += frame_put(stream + length, FW_KIND_PING, 2, 0);
    length += frame_put(stream + length, FW_KIND_EVENT, 3, 20);
    for (size_t first = 0; first <= length; first++) {
        for (size_t second = first; second <= length; second++) {
            uint8_t buffer[FW_HEADER_BYTES + 20];
            fw_frame_reader_t reader;
            fw_frame_reader_init(&reader, buffer, sizeof buffer);
            const size_t ends[] = {first, second, length};
            size_t at = 0;
            uint32_t frames = 0;
            bool right = true;
            for (size_t piece = 0; piece < 3; piece++) {
                for (;;) {
                    size_t used = 0;
                    fw_frame_t frame;
                    fw_frame_fault_t fault = fw_frame_reader_push(
                        &reader, stream + at, ends[piece] - at, &used, &frame);
                    at += used;
                    if (fault != FW_FRAME_OK) {
                        right = right && fault == FW_FRAME_INCOMPLETE && at == ends[piece];
                        break;
                    }
                    frames++;
                    right = right && frame.header.correlation == frames;
                    for (size_t i = 0; i < frame.header.payload_bytes; i++) {
                        right = right && frame.payload[i] == (uint8_t)(i + frames);
                    }
                }
            }
            CHECK(right && frames == 3 && !fw_frame_reader_mid_frame(&reader));
        }
    }
}

/* Every length of a truncated frame is incomplete, for both ways of reading. */
static void truncation(void)
{
    uint8_t wire[64];
    size_t whole = frame_put(wire, FW_KIND_RECEIPT, 9, 30);
    for (size_t length = 0; length < whole; length++) {
        uint8_t *cut = bytes_exact(wire, length);
        uint8_t buffer[64];
        fw_frame_reader_t reader;
        fw_frame_reader_init(&reader, buffer, sizeof buffer);
        fw_frame_t frame;
        size_t used = 0;
        CHECK(fw_frame_reader_push(&reader, cut, length, &used, &frame) == FW_FRAME_INCOMPLETE);
        CHECK(used == length && fw_frame_reader_mid_frame(&reader) == (length > 0));
        CHECK(fw_frame_take(cut, length, SIZE_MAX, &frame, &used) == FW_FRAME_INCOMPLETE);
        free(cut);
    }
}

/* What is refused, is refused at the header and for good. */
static void refusals(void)
{
    static const struct {
        uint8_t kind, flags;
        uint16_t payload_bytes;
        fw_frame_fault_t expected;
    } rows[] = {
        {0x00, 0x00, 0, FW_FRAME_UNKNOWN_KIND},
        {0x05, 0xff, 65535, FW_FRAME_UNKNOWN_KIND}, /* kind before flags before size */
        {0x10, 0x01, 65535, FW_FRAME_BAD_FLAGS},
        {0x20, 0x02, 0, FW_FRAME_BAD_FLAGS},
        {0x20, 0x81, 0, FW_FRAME_BAD_FLAGS},
        {0x20, 0x01, 33, FW_FRAME_TOO_LARGE},
        {0x20, 0x01, 65535, FW_FRAME_TOO_LARGE},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        fw_frame_header_t header = {.kind = rows[row].kind,
                                    .flags = rows[row].flags,
                                    .payload_bytes = rows[row].payload_bytes};
        uint8_t wire[FW_HEADER_BYTES];
        fw_frame_header_encode(&header, wire);
        uint8_t buffer[FW_HEADER_BYTES + 32];
        fw_frame_reader_t reader;
        fw_frame_reader_init(&reader, buffer, sizeof buffer);
        size_t used = 0;
        fw_frame_t frame;
        CHECK(fw_frame_reader_push(&reader, wire, 15, &used, &frame) == FW_FRAME_INCOMPLETE);
        CHECK(fw_frame_reader_push(&reader, wire + 15, 1, &used, &frame) == rows[row].expected);
        CHECK(fw_frame_reader_push(&reader, wire, 16, &used, &frame) == rows[row].expected);
        CHECK(used == 0);
    }
    /* One that just fits the buffer is taken. */
    uint8_t wire[FW_HEADER_BYTES + 32];
    size_t length = frame_put(wire, FW_KIND_QUERY, 1, 32);
    uint8_t buffer[FW_HEADER_BYTES + 32];
    fw_frame_reader_t reader;
    fw_frame_reader_init(&reader, buffer, sizeof buffer);
    size_t used = 0;
    fw_frame_t frame;
    CHECK(fw_frame_reader_push(&reader, wire, length, &used, &frame) == FW_FRAME_OK);
    CHECK(used == length);
}

void test_frame(void)
{
    every_kind_and_flag();
    header_bytes();
    codes();
    stream_cut_anywhere();
    truncation();
    refusals();
}
