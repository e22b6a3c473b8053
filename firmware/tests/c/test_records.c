/*
 * test_records.c: the record layer: cut anywhere, changed, replayed, reordered, exhausted.
 */
#include "check.h"
#include "noise.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_ROOM 264u

typedef struct {
    uint8_t bytes[FW_RECORD_PREFIX_BYTES + RECORD_ROOM];
    size_t length;
} record_t;

size_t link_frame_put(uint8_t *to, uint32_t correlation, uint16_t payload_bytes)
{
    fw_frame_header_t header = {.kind = FW_KIND_EVENT,
                                .payload_bytes = payload_bytes,
                                .correlation = correlation,
                                .source = 100042,
                                .destination = 0};
    fw_frame_header_encode(&header, to);
    for (size_t i = 0; i < payload_bytes; i++) {
        to[FW_HEADER_BYTES + i] = (uint8_t)(i + correlation);
    }
    return FW_HEADER_BYTES + (size_t)payload_bytes;
}

/* Seals a record of raw plain bytes, whatever they are. */
static record_t record_of(fw_cipher_t *cipher, const uint8_t *plain, size_t length)
{
    record_t record = {0};
    memcpy(record.bytes + FW_RECORD_PREFIX_BYTES, plain, length);
    CHECK(fw_record_seal(cipher, record.bytes, sizeof record.bytes, length, RECORD_ROOM,
                         &record.length) == FW_RECORD_OK);
    return record;
}

static record_t record_of_frame(fw_cipher_t *cipher, uint32_t correlation, uint16_t payload_bytes)
{
    uint8_t plain[RECORD_ROOM];
    return record_of(cipher, plain, link_frame_put(plain, correlation, payload_bytes));
}

/* A reader with a buffer of its own, which an address sanitizer watches. */
typedef struct {
    fw_cipher_t cipher;
    fw_record_reader_t reader;
    uint8_t *buffer;
} receiver_t;

static void receiver_begin(receiver_t *receiver, const link_pair_t *pair)
{
    uint8_t zeros[RECORD_ROOM] = {0};
    receiver->cipher = pair->controller_receives;
    receiver->buffer = bytes_exact(zeros, sizeof zeros);
    fw_record_reader_init(&receiver->reader, &receiver->cipher, receiver->buffer, RECORD_ROOM,
                          RECORD_ROOM);
}

static void receiver_end(receiver_t *receiver)
{
    free(receiver->buffer);
}

static fw_record_fault_t push_all(receiver_t *receiver, const uint8_t *bytes, size_t length)
{
    size_t used = 0;
    fw_record_fault_t fault = fw_record_reader_push(&receiver->reader, bytes, length, &used);
    CHECK(used <= length);
    return fault;
}

/* Both directions, several records, several frames in one. */
static void there_and_back(link_pair_t pair)
{
    fw_cipher_t *senders[] = {&pair.controller_sends, &pair.gateway_sends};
    fw_cipher_t *receivers[] = {&pair.gateway_receives, &pair.controller_receives};
    for (size_t way = 0; way < 2; way++) {
        uint8_t buffer[RECORD_ROOM];
        fw_record_reader_t reader;
        fw_record_reader_init(&reader, receivers[way], buffer, sizeof buffer, RECORD_ROOM);
        for (uint32_t turn = 1; turn <= 40; turn++) {
            uint8_t plain[RECORD_ROOM];
            size_t length = link_frame_put(plain, turn, (uint16_t)turn);
            length += link_frame_put(plain + length, turn + 1000, 0);
            length += link_frame_put(plain + length, turn + 2000, 9);
            record_t record = record_of(senders[way], plain, length);
            size_t used = 0;
            CHECK(fw_record_reader_push(&reader, record.bytes, record.length, &used) ==
                  FW_RECORD_OK);
            CHECK(used == record.length);
            fw_frame_t frame;
            CHECK(fw_record_reader_frame(&reader, &frame) && frame.header.correlation == turn);
            CHECK(frame.header.payload_bytes == turn && frame.payload[0] == (uint8_t)turn);
            CHECK(fw_record_reader_frame(&reader, &frame) &&
                  frame.header.correlation == turn + 1000);
            CHECK(fw_record_reader_frame(&reader, &frame) &&
                  frame.header.correlation == turn + 2000);
            CHECK(!fw_record_reader_frame(&reader, &frame));
            CHECK(senders[way]->next == turn && receivers[way]->next == turn);
        }
    }
}

/* Two records in one stream, cut at every pair of places. */
static void cut_anywhere(const link_pair_t *pair)
{
    fw_cipher_t sends = pair->gateway_sends;
    record_t first = record_of_frame(&sends, 1, 10);
    record_t second = record_of_frame(&sends, 2, 0);
    uint8_t stream[2 * sizeof first.bytes];
    memcpy(stream, first.bytes, first.length);
    memcpy(stream + first.length, second.bytes, second.length);
    size_t length = first.length + second.length;
    for (size_t one = 0; one <= length; one++) {
        for (size_t two = one; two <= length; two++) {
            receiver_t receiver;
            receiver_begin(&receiver, pair);
            const size_t ends[] = {one, two, length};
            size_t at = 0;
            uint32_t records = 0;
            bool right = true;
            for (size_t piece = 0; piece < 3; piece++) {
                for (;;) {
                    size_t used = 0;
                    fw_record_fault_t fault = fw_record_reader_push(
                        &receiver.reader, stream + at, ends[piece] - at, &used);
                    at += used;
                    if (fault != FW_RECORD_OK) {
                        right = right && fault == FW_RECORD_INCOMPLETE && at == ends[piece];
                        break;
                    }
                    fw_frame_t frame;
                    records++;
                    right = right && fw_record_reader_frame(&receiver.reader, &frame) &&
                            frame.header.correlation == records;
                }
            }
            CHECK(right && records == 2);
            receiver_end(&receiver);
        }
    }
}

/* Every bit of a record, its length too: never taken, and the link stays refused. */
static void changed(const link_pair_t *pair)
{
    fw_cipher_t sends = pair->gateway_sends;
    record_t record = record_of_frame(&sends, 1, 30);
    record_t next = record_of_frame(&sends, 2, 200);
    for (size_t bit = 0; bit < record.length * 8; bit++) {
        record_t bad = record;
        bad.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        receiver_t receiver;
        receiver_begin(&receiver, pair);
        fw_record_fault_t fault = push_all(&receiver, bad.bytes, bad.length);
        if (bit >= FW_RECORD_PREFIX_BYTES * 8) {
            CHECK(fault == FW_RECORD_BAD);
            CHECK(push_all(&receiver, record.bytes, record.length) == FW_RECORD_BAD);
        } else {
            /* A longer one waits for its rest, and then fails by what follows. */
            if (fault == FW_RECORD_INCOMPLETE) {
                fault = push_all(&receiver, next.bytes, next.length);
            }
            CHECK(fault == FW_RECORD_BAD || fault == FW_RECORD_TOO_LARGE);
        }
        fw_frame_t frame;
        CHECK(!fw_record_reader_frame(&receiver.reader, &frame));
        CHECK(receiver.cipher.next == 0);
        receiver_end(&receiver);
    }
}

static void cut_short(const link_pair_t *pair)
{
    fw_cipher_t sends = pair->gateway_sends;
    record_t record = record_of_frame(&sends, 1, 30);
    for (size_t length = 0; length < record.length; length++) {
        receiver_t receiver;
        receiver_begin(&receiver, pair);
        uint8_t *part = bytes_exact(record.bytes, length);
        fw_frame_t frame;
        CHECK(push_all(&receiver, part, length) == FW_RECORD_INCOMPLETE);
        CHECK(!fw_record_reader_frame(&receiver.reader, &frame));
        free(part);
        /* The same number of bytes announced as a record of their own. */
        if (length >= FW_RECORD_PREFIX_BYTES) {
            receiver_end(&receiver);
            receiver_begin(&receiver, pair);
            size_t body = length - FW_RECORD_PREFIX_BYTES;
            record_t shorter = record;
            fw_store_u16(shorter.bytes, (uint16_t)body);
            CHECK(push_all(&receiver, shorter.bytes, length) ==
                  (body < 17 ? FW_RECORD_MALFORMED : FW_RECORD_BAD));
        }
        receiver_end(&receiver);
    }
}

static void replayed_and_reordered(const link_pair_t *pair)
{
    fw_cipher_t sends = pair->gateway_sends;
    record_t records[3];
    for (uint32_t i = 0; i < 3; i++) {
        records[i] = record_of_frame(&sends, i, 5);
    }
    for (unsigned order = 0; order < 27; order++) {
        const unsigned picks[] = {order / 9, order / 3 % 3, order % 3};
        receiver_t receiver;
        receiver_begin(&receiver, pair);
        bool in_order = true;
        for (unsigned i = 0; i < 3; i++) {
            in_order = in_order && picks[i] == i;
            const record_t *record = &records[picks[i]];
            CHECK(push_all(&receiver, record->bytes, record->length) ==
                  (in_order ? FW_RECORD_OK : FW_RECORD_BAD));
        }
        receiver_end(&receiver);
    }
    /* A record thrown back at its sender does not open either. */
    receiver_t receiver;
    receiver_begin(&receiver, pair);
    fw_cipher_t own = pair->controller_sends;
    record_t reflected = record_of_frame(&own, 1, 5);
    CHECK(push_all(&receiver, reflected.bytes, reflected.length) == FW_RECORD_BAD);
    receiver_end(&receiver);
}

/* Well sealed, but not whole and valid frames. */
static void not_frames(const link_pair_t *pair)
{
    uint8_t plain[RECORD_ROOM];
    size_t whole = link_frame_put(plain, 1, 12);
    whole += link_frame_put(plain + whole, 2, 4);
    for (size_t length = 1; length <= whole + 1; length++) {
        fw_cipher_t sends = pair->gateway_sends;
        plain[whole] = FW_KIND_EVENT;
        record_t record = record_of(&sends, plain, length);
        receiver_t receiver;
        receiver_begin(&receiver, pair);
        bool ends = length == FW_HEADER_BYTES + 12 || length == whole;
        CHECK(push_all(&receiver, record.bytes, record.length) ==
              (ends ? FW_RECORD_OK : FW_RECORD_MALFORMED));
        fw_frame_t frame;
        CHECK(fw_record_reader_frame(&receiver.reader, &frame) == ends);
        receiver_end(&receiver);
    }
    static const struct {
        uint8_t kind, flags;
    } bad[] = {{0x00, 0}, {0x99, 0}, {FW_KIND_EVENT, 1}, {FW_KIND_PING, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        /* Even behind a good frame: a record is taken whole or not at all. */
        uint8_t *second = plain + FW_HEADER_BYTES + 12;
        second[0] = bad[i].kind;
        second[1] = bad[i].flags;
        fw_cipher_t sends = pair->gateway_sends;
        record_t record = record_of(&sends, plain, whole);
        receiver_t receiver;
        receiver_begin(&receiver, pair);
        fw_frame_t frame;
        CHECK(push_all(&receiver, record.bytes, record.length) == FW_RECORD_MALFORMED);
        CHECK(!fw_record_reader_frame(&receiver.reader, &frame));
        receiver_end(&receiver);
    }
}

static void sizes_and_counts(const link_pair_t *pair)
{
    uint8_t buffer[FW_RECORD_PREFIX_BYTES + RECORD_ROOM];
    fw_cipher_t sends = pair->gateway_sends;
    size_t length = 0;
    CHECK(fw_record_seal(&sends, buffer, sizeof buffer, 0, RECORD_ROOM, &length) ==
          FW_RECORD_MALFORMED);
    CHECK(fw_record_seal(&sends, buffer, sizeof buffer, RECORD_ROOM - 15, RECORD_ROOM, &length) ==
          FW_RECORD_TOO_LARGE);
    CHECK(fw_record_seal(&sends, buffer, sizeof buffer, RECORD_ROOM - 16, 4096, &length) ==
          FW_RECORD_OK);
    CHECK(fw_record_seal(&sends, buffer, sizeof buffer, RECORD_ROOM - 15, 4096, &length) ==
          FW_RECORD_TOO_LARGE);
    CHECK(fw_record_seal(&sends, buffer, 17, 1, RECORD_ROOM, &length) == FW_RECORD_TOO_LARGE);
    CHECK(fw_record_seal(&sends, buffer, sizeof buffer, 1, 10, &length) == FW_RECORD_TOO_LARGE);
    CHECK(fw_record_seal(&sends, buffer, SIZE_MAX, 65520, SIZE_MAX, &length) ==
          FW_RECORD_TOO_LARGE);
    CHECK(sends.next == 1);

    /* Longer than agreed, though the buffer would hold it; at the limit it is waited for. */
    receiver_t receiver;
    receiver_begin(&receiver, pair);
    uint8_t prefix[FW_RECORD_PREFIX_BYTES];
    fw_store_u16(prefix, RECORD_ROOM + 1);
    CHECK(push_all(&receiver, prefix, sizeof prefix) == FW_RECORD_TOO_LARGE);
    receiver_end(&receiver);
    receiver_begin(&receiver, pair);
    fw_store_u16(prefix, RECORD_ROOM);
    CHECK(push_all(&receiver, prefix, sizeof prefix) == FW_RECORD_INCOMPLETE);
    receiver_end(&receiver);

    /* The last number is used, the next one is not. */
    receiver_begin(&receiver, pair);
    sends = pair->gateway_sends;
    sends.next = receiver.cipher.next = UINT32_MAX;
    record_t record = record_of_frame(&sends, 1, 5);
    CHECK(push_all(&receiver, record.bytes, record.length) == FW_RECORD_OK);
    CHECK(fw_record_seal(&sends, buffer, sizeof buffer, 20, RECORD_ROOM, &length) ==
          FW_RECORD_EXHAUSTED);
    CHECK(push_all(&receiver, record.bytes, record.length) == FW_RECORD_BAD);
    receiver_end(&receiver);
    CHECK_STRING(fw_code_name(fw_record_fault_code(FW_RECORD_BAD)), "bad_record", "");
    CHECK_STRING(fw_code_name(fw_record_fault_code(FW_RECORD_TOO_LARGE)), "too_large", "");
    CHECK_STRING(fw_code_name(fw_record_fault_code(FW_RECORD_MALFORMED)), "malformed", "");
}

void test_records(void)
{
    link_pair_t pair;
    link_pair_make(&pair);
    there_and_back(pair);
    cut_anywhere(&pair);
    changed(&pair);
    cut_short(&pair);
    replayed_and_reordered(&pair);
    not_frames(&pair);
    sizes_and_counts(&pair);
}
