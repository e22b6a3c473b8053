/*
 * test_vectors.c: the golden vectors: headers, payloads, and whole links. Messages have a file of
 * their own.
 */
#include "cbor.h"
#include "check.h"
#include "frame.h"
#include "golden.h"
#include "noise.h"

#include <stdlib.h>
#include <string.h>

#include FW_VECTORS

static void headers(void)
{
    CHECK(golden_headers_count > 0);
    for (size_t row = 0; row < golden_headers_count; row++) {
        const golden_header_t *golden = &golden_headers[row];
        uint8_t *bytes = bytes_exact(golden->bytes.bytes, golden->bytes.length);
        fw_frame_t frame;
        size_t frame_bytes = 0;
        fw_frame_fault_t fault =
            fw_frame_take(bytes, golden->bytes.length,
                          FW_HEADER_BYTES + golden->payload_bytes_max, &frame, &frame_bytes);
        if (golden->error != NULL) {
            CHECK_STRING(fw_code_name(fw_frame_fault_code(fault)), golden->error, golden->name);
        } else {
            fw_frame_header_t header;
            fault = fw_frame_header_decode(bytes, &header);
            CHECK_STRING(fw_frame_fault_name(fault), "ok", golden->name);
            CHECK_STRING(fw_kind_name(header.kind), golden->kind, golden->name);
            CHECK_NOTE(header.flags == golden->flags, golden->name);
            CHECK_NOTE(header.payload_bytes == golden->payload_bytes, golden->name);
            CHECK_NOTE(header.correlation == golden->correlation, golden->name);
            CHECK_NOTE(header.source == golden->source, golden->name);
            CHECK_NOTE(header.destination == golden->destination, golden->name);
            uint8_t back[FW_HEADER_BYTES];
            fw_frame_header_encode(&header, back);
            CHECK_NOTE(memcmp(back, bytes, sizeof back) == 0, golden->name);
        }
        free(bytes);
    }
}

static void payloads(void)
{
    CHECK(golden_payloads_count > 0);
    for (size_t row = 0; row < golden_payloads_count; row++) {
        const golden_payload_t *golden = &golden_payloads[row];
        uint8_t *bytes = bytes_exact(golden->bytes.bytes, golden->bytes.length);
        CHECK_STRING(fw_cbor_fault_name(fw_cbor_check(bytes, golden->bytes.length)),
                     golden->fault, golden->name);
        free(bytes);
    }
}

static bool same(golden_bytes_t golden, const uint8_t *bytes, size_t length)
{
    return golden.length == length && memcmp(golden.bytes, bytes, length) == 0;
}

/* Both roles of ours make the transcript byte for byte. */
static void session(const golden_session_t *golden, fw_cipher_t sends[2], fw_cipher_t takes[2])
{
    fw_noise_ephemeral_t pair;
    fw_noise_handshake_t controller, gateway;
    uint8_t message[1024], payload[1024];
    size_t length = 0;
    fw_noise_ephemeral_prepare(&pair, golden->initiator_ephemeral.bytes);
    CHECK_NOTE(same(golden->initiator_public, pair.public_key, 32), golden->name);
    (void)fw_noise_start(&controller, FW_NOISE_INITIATOR, golden->psk.bytes,
                         golden->prologue.bytes, golden->prologue.length, &pair);
    fw_noise_ephemeral_prepare(&pair, golden->responder_ephemeral.bytes);
    CHECK_NOTE(same(golden->responder_public, pair.public_key, 32), golden->name);
    (void)fw_noise_start(&gateway, FW_NOISE_RESPONDER, golden->psk.bytes, golden->prologue.bytes,
                         golden->prologue.length, &pair);
    CHECK_NOTE(fw_noise_write_message_1(&controller, message) == FW_NOISE_OK, golden->name);
    CHECK_NOTE(same(golden->message_1, message, FW_NOISE_MESSAGE_1_BYTES), golden->name);
    CHECK_NOTE(fw_noise_read_message_1(&gateway, message, FW_NOISE_MESSAGE_1_BYTES) ==
                   FW_NOISE_OK,
               golden->name);
    CHECK_NOTE(fw_noise_agree(&gateway) == FW_NOISE_OK, golden->name);
    CHECK_NOTE(fw_noise_write_message_2(&gateway, golden->message_2_payload.bytes,
                                        golden->message_2_payload.length, message, sizeof message,
                                        &length) == FW_NOISE_OK,
               golden->name);
    CHECK_NOTE(same(golden->message_2, message, length), golden->name);
    CHECK_NOTE(same(golden->handshake_hash, gateway.hash, sizeof gateway.hash), golden->name);
    CHECK_NOTE(fw_noise_read_message_2_key(&controller, message, length) == FW_NOISE_OK,
               golden->name);
    CHECK_NOTE(fw_noise_agree(&controller) == FW_NOISE_OK, golden->name);
    size_t payload_bytes = 0;
    CHECK_NOTE(fw_noise_read_message_2(&controller, message, length, payload, sizeof payload,
                                       &payload_bytes) == FW_NOISE_OK,
               golden->name);
    CHECK_NOTE(same(golden->message_2_payload, payload, payload_bytes), golden->name);
    CHECK_NOTE(same(golden->handshake_hash, controller.hash, sizeof controller.hash),
               golden->name);
    CHECK_NOTE(fw_noise_split(&controller, &sends[1], &takes[1]) == FW_NOISE_OK, golden->name);
    CHECK_NOTE(fw_noise_split(&gateway, &sends[0], &takes[0]) == FW_NOISE_OK, golden->name);
}

static void sessions(void)
{
    CHECK(golden_sessions_count > 0);
    for (size_t row = 0; row < golden_sessions_count; row++) {
        const golden_session_t *golden = &golden_sessions[row];
        fw_cipher_t sends[2] = {{{0}, 0}}, takes[2] = {{{0}, 0}}; /* 0 gateway, 1 controller */
        session(golden, sends, takes);
        static uint8_t wire[FW_RECORD_PREFIX_BYTES + FW_RECORD_BYTES_LIMIT];
        static uint8_t buffer[FW_RECORD_BYTES_LIMIT];
        for (size_t i = 0; i < golden->records_count; i++) {
            const golden_record_t *record = &golden->records[i];
            fw_cipher_t *sender = &sends[record->from_controller ? 1 : 0];
            fw_cipher_t *taker = &takes[record->from_controller ? 0 : 1];
            /* A vector may leave out what came before it. */
            CHECK_NOTE(sender->next <= record->counter, golden->name);
            sender->next = taker->next = record->counter;
            memcpy(wire + FW_RECORD_PREFIX_BYTES, record->plaintext.bytes,
                   record->plaintext.length);
            size_t length = 0;
            CHECK_NOTE(fw_record_seal(sender, wire, sizeof wire, record->plaintext.length,
                                      FW_RECORD_BYTES_LIMIT, &length) == FW_RECORD_OK,
                       golden->name);
            CHECK_NOTE(same(record->ciphertext, wire + FW_RECORD_PREFIX_BYTES,
                            length - FW_RECORD_PREFIX_BYTES),
                       golden->name);
            fw_record_reader_t reader;
            fw_record_reader_init(&reader, taker, buffer, sizeof buffer, FW_RECORD_BYTES_LIMIT);
            size_t used = 0;
            CHECK_NOTE(fw_record_reader_push(&reader, wire, length, &used) == FW_RECORD_OK,
                       golden->name);
            CHECK_NOTE(same(record->plaintext, buffer, reader.frames_bytes), golden->name);
        }
    }
}

static void refusals(void)
{
    for (size_t row = 0; row < golden_refusals_count; row++) {
        const golden_refusal_t *golden = &golden_refusals[row];
        fw_noise_ephemeral_t pair;
        fw_noise_handshake_t gateway;
        fw_noise_ephemeral_prepare(&pair, golden->responder_ephemeral.bytes);
        CHECK(fw_noise_start(&gateway, FW_NOISE_RESPONDER, golden->psk.bytes,
                             golden->prologue.bytes, golden->prologue.length,
                             &pair) == FW_NOISE_OK);
        uint8_t *message = bytes_exact(golden->message_1.bytes, golden->message_1.length);
        CHECK_NOTE(fw_noise_read_message_1(&gateway, message, golden->message_1.length) !=
                       FW_NOISE_OK,
                   golden->name);
        free(message);
    }
}

void test_vectors(void)
{
    headers();
    payloads();
    CHECK(golden_messages_count > 0);
    for (size_t row = 0; row < golden_messages_count; row++) {
        test_message(&golden_messages[row]);
    }
    sessions();
    refusals();
    test_serial_vectors(golden_lines, golden_lines_count, golden_requests, golden_requests_count,
                        golden_answers, golden_answers_count, golden_commands,
                        golden_commands_count);
}
