/*
 * test_robust.c: a long, repeatable loop of bytes nobody would send, cut anywhere.
 *
 * Buffers are of exact size and on the heap, so that under the address sanitizer one byte too far
 * ends the run. What comes out must not depend on how the stream was cut.
 */
#include "cbor.h"
#include "check.h"
#include "frame.h"
#include "noise.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 20000, BYTES_MAX = 400 };

/* A running digest of what a reader gave: FNV-1a. */
typedef struct {
    uint64_t sum;
    unsigned frames;
    int fault;
} digest_t;

static void digest_add(digest_t *digest, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        digest->sum = (digest->sum ^ bytes[i]) * 1099511628211u;
    }
}

/* Heads that lead into every corner of CBOR are likelier than others. */
static uint8_t biased_byte(void)
{
    static const uint8_t heads[] = {0x00, 0x01, 0x02, 0x03, 0x17, 0x18, 0x19, 0x1b, 0x1c, 0x1f,
                                    0x20, 0x38, 0x3b, 0x40, 0x41, 0x58, 0x60, 0x61, 0x62, 0x78,
                                    0x80, 0x81, 0x82, 0x98, 0x9b, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3,
                                    0xb8, 0xbb, 0xbf, 0xc0, 0xf4, 0xf5, 0xf6, 0xf7, 0xf9, 0xff};
    return random_below(3) == 0 ? (uint8_t)random_below(256)
                                : heads[random_below(sizeof heads)];
}

/* Reads everything there is, whether or not the check passed: nothing may be read out of bounds. */
static void walk(const fw_cbor_map_t *map, unsigned depth)
{
    for (uint64_t key = 0; key < 10; key++) {
        uint64_t wide = 0;
        int64_t integer = 0;
        bool truth = false;
        fw_span_t span = {0};
        fw_cbor_list_t list;
        fw_cbor_map_t inner;
        (void)fw_cbor_map_unsigned(map, key, UINT64_MAX, &wide);
        (void)fw_cbor_map_integer(map, key, INT64_MIN, INT64_MAX, &integer);
        (void)fw_cbor_map_bool(map, key, &truth);
        digest_t digest = {0};
        if (fw_cbor_map_bytes(map, key, 0, SIZE_MAX, &span) == FW_FIELD_PRESENT ||
            fw_cbor_map_title(map, key, &span) == FW_FIELD_PRESENT ||
            fw_cbor_map_name(map, key, &span) == FW_FIELD_PRESENT) {
            digest_add(&digest, span.bytes, span.length);
        }
        if (fw_cbor_map_map(map, key, &inner) == FW_FIELD_PRESENT && depth < FW_CBOR_DEPTH_MAX) {
            walk(&inner, depth + 1);
        }
        if (fw_cbor_map_list(map, key, SIZE_MAX, &list) == FW_FIELD_PRESENT) {
            fw_cbor_item_t item;
            size_t items = 0;
            while (fw_cbor_next(&list, &item)) {
                items++;
                digest_add(&digest, item.span.bytes, item.span.length);
            }
            CHECK(items <= BYTES_MAX);
        }
    }
}

static void payload_round(void)
{
    uint8_t bytes[BYTES_MAX];
    size_t length = random_below(random_below(2) == 0 ? 24 : BYTES_MAX);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = biased_byte();
    }
    if (length > 0 && random_below(4) != 0) {
        bytes[0] = (uint8_t)(0xa0 | random_below(4));
    }
    uint8_t *exact = bytes_exact(bytes, length);
    fw_cbor_map_t map;
    if (fw_cbor_open(exact, length, &map) == FW_CBOR_OK) {
        walk(&map, 1);
    }
    /* Unchecked bytes must never come here; if a bug brings them, they are still read in bounds. */
    map = (fw_cbor_map_t){.span = {.bytes = exact, .length = length}, .count = random_below(9)};
    walk(&map, 1);
    free(exact);
}

/* Writes a random document and its check passes; then changes one byte and it may not crash. */
static void items_write(fw_cbor_writer_t *writer, unsigned depth)
{
    size_t count = random_below(5);
    fw_cbor_write_map(writer, count);
    uint64_t key = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t number = random_below(0); /* one draw a statement: C leaves the order open */
        key += 1 + random_below(300);
        fw_cbor_write_unsigned(writer, key);
        switch (random_below(depth < FW_CBOR_DEPTH_MAX ? 7 : 5)) {
        case 0:
            fw_cbor_write_integer(writer, number - (int64_t)random_below(0));
            break;
        case 1:
            fw_cbor_write_bool(writer, random_below(2) == 0);
            break;
        case 2:
            fw_cbor_write_string(writer, "gr\xc3\xbc\xc3\x9f");
            break;
        case 3:
            fw_cbor_write_bytes(writer, (const uint8_t *)"\xff\x00\x7f", random_below(4));
            break;
        case 4:
            fw_cbor_write_null(writer);
            break;
        case 5:
            fw_cbor_write_array(writer, 1);
            fw_cbor_write_unsigned(writer, random_below(0));
            break;
        default:
            /* One level deeper; the recursion is the test's, and as deep as the profile. */
            items_write(writer, depth + 1);
            break;
        }
    }
}

static void document_round(void)
{
    uint8_t buffer[4096];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, buffer, sizeof buffer);
    items_write(&writer, 1);
    CHECK(!writer.failed && fw_cbor_check(buffer, writer.length) == FW_CBOR_OK);
    uint8_t *exact = bytes_exact(buffer, writer.length);
    size_t at = random_below((uint32_t)writer.length);
    exact[at] = biased_byte();
    fw_cbor_map_t map;
    if (fw_cbor_open(exact, writer.length, &map) == FW_CBOR_OK) {
        walk(&map, 1);
    }
    free(exact);
}

/* A stream of some frames, now and then spoilt. */
static size_t stream_make(uint8_t *stream)
{
    size_t length = 0;
    for (unsigned frames = random_below(5); frames > 0; frames--) {
        uint32_t correlation = random_below(0);
        length += link_frame_put(stream + length, correlation, (uint16_t)random_below(60));
    }
    if (random_below(2) == 0) {
        size_t noise = random_below(40);
        random_fill(stream + length, noise);
        length += noise;
    }
    if (length > 0 && random_below(2) == 0) {
        size_t at = random_below((uint32_t)length);
        stream[at] = (uint8_t)random_below(256);
    }
    return length;
}

/* Reads a stream in pieces of up to `piece_max` and digests what comes. */
static digest_t stream_read(const uint8_t *stream, size_t length, size_t capacity,
                            uint32_t piece_max)
{
    uint8_t zeros[BYTES_MAX] = {0};
    uint8_t *buffer = bytes_exact(zeros, capacity);
    fw_frame_reader_t reader;
    fw_frame_reader_init(&reader, buffer, capacity);
    digest_t digest = {.sum = 14695981039346656037u};
    size_t at = 0;
    while (at < length && digest.fault == 0) {
        size_t piece = 1 + random_below(piece_max);
        size_t end = length - at < piece ? length : at + piece;
        for (;;) {
            size_t used = 0;
            fw_frame_t frame;
            fw_frame_fault_t fault =
                fw_frame_reader_push(&reader, stream + at, end - at, &used, &frame);
            CHECK(used <= end - at && reader.held <= capacity);
            at += used;
            if (fault == FW_FRAME_OK) {
                digest.frames++;
                digest_add(&digest, frame.payload, frame.header.payload_bytes);
                digest_add(&digest, &frame.header.kind, 1);
                continue;
            }
            if (fault != FW_FRAME_INCOMPLETE) {
                digest.fault = (int)fault;
            }
            break;
        }
    }
    free(buffer);
    return digest;
}

static void stream_round(void)
{
    uint8_t stream[BYTES_MAX + 60];
    size_t length = stream_make(stream);
    size_t capacity = FW_HEADER_BYTES + random_below(80);
    digest_t whole = stream_read(stream, length, capacity, BYTES_MAX);
    digest_t bytewise = stream_read(stream, length, capacity, 1);
    digest_t mixed = stream_read(stream, length, capacity, 30);
    CHECK(whole.sum == bytewise.sum && whole.sum == mixed.sum);
    CHECK(whole.frames == bytewise.frames && whole.frames == mixed.frames);
    CHECK(whole.fault == bytewise.fault && whole.fault == mixed.fault);
}

/* Noise where records should be: nothing opens, whatever the lengths say. */
static void record_round(const link_pair_t *pair)
{
    uint8_t zeros[264] = {0};
    uint8_t *buffer = bytes_exact(zeros, sizeof zeros);
    fw_cipher_t cipher = pair->controller_receives;
    fw_record_reader_t reader;
    fw_record_reader_init(&reader, &cipher, buffer, sizeof zeros, 264);
    for (unsigned pushes = 0; pushes < 8; pushes++) {
        uint8_t bytes[64];
        size_t length = random_below(sizeof bytes);
        random_fill(bytes, length);
        if (length > 0 && random_below(2) == 0) {
            bytes[0] = 0;
        }
        size_t used = 0;
        fw_frame_t frame;
        CHECK(fw_record_reader_push(&reader, bytes, length, &used) != FW_RECORD_OK);
        CHECK(used <= length && !fw_record_reader_frame(&reader, &frame));
    }
    CHECK(cipher.next == 0);
    free(buffer);
}

/* Arbitrary bytes as handshake messages. Message 1 costs no X25519; message 2 is for test_noise. */
static void handshake_round(const link_pair_t *pair)
{
    uint8_t bytes[96];
    size_t length = random_below(sizeof bytes);
    random_fill(bytes, length);
    if (random_below(2) == 0) {
        length = FW_NOISE_MESSAGE_1_BYTES;
        random_fill(bytes, length);
    }
    uint8_t *exact = bytes_exact(bytes, length);
    fw_noise_ephemeral_t ephemeral = gateway_ephemeral();
    fw_noise_handshake_t gateway;
    CHECK(fw_noise_start(&gateway, FW_NOISE_RESPONDER, pair->psk, exact, length, &ephemeral) ==
          FW_NOISE_OK);
    CHECK(fw_noise_read_message_1(&gateway, exact, length) ==
          (length == FW_NOISE_MESSAGE_1_BYTES ? FW_NOISE_BAD_MESSAGE : FW_NOISE_BAD_LENGTH));
    free(exact);
}

void test_robust(void)
{
    link_pair_t pair;
    link_pair_make(&pair);
    for (unsigned round = 0; round < ROUNDS; round++) {
        payload_round();
        document_round();
        stream_round();
        if (round % 4 == 0) {
            record_round(&pair);
        }
        if (round % 8 == 0) {
            handshake_round(&pair);
        }
    }
}
