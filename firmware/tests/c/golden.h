/*
 * golden.h: the shape of the golden vectors once they are rendered for C.
 *
 * The data is made from the folder tests/vectors by the workspace's automation, into a build
 * folder; what the members mean is told in that folder's README.md.
 */
#ifndef FW_TEST_GOLDEN_H
#define FW_TEST_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *bytes;
    size_t length;
} golden_bytes_t;

typedef struct {
    const char *name;
    golden_bytes_t bytes;
    const char *error; /* NULL: the header is good, and the rest says what it holds */
    size_t payload_bytes_max;
    const char *kind;
    uint8_t flags;
    uint16_t payload_bytes;
    uint32_t correlation, source, destination;
} golden_header_t;

typedef struct {
    const char *name;
    golden_bytes_t bytes;
    const char *fault; /* "ok" for a good payload */
} golden_payload_t;

/* A field by its path, for instance "points.0.cause.by". */
typedef enum { GOLDEN_INTEGER, GOLDEN_BOOLEAN, GOLDEN_TEXT, GOLDEN_COUNT } golden_form_t;
typedef struct {
    const char *path;
    golden_form_t form;
    int64_t integer;  /* also a boolean's 0 or 1, and the items of an array (COUNT) */
    const char *text; /* byte strings stand here as hex */
} golden_field_t;

typedef struct {
    const char *name;
    const char *type;
    const char *kind;
    golden_bytes_t bytes;
    const char *error; /* NULL: the message is good and has `fields` */
    const char *fault; /* of the error "cbor" */
    bool encode;
    const golden_field_t *fields;
    size_t fields_count;
} golden_message_t;

typedef struct {
    bool from_controller;
    uint32_t counter;
    golden_bytes_t plaintext, ciphertext;
} golden_record_t;

typedef struct {
    const char *name;
    golden_bytes_t psk, initiator_ephemeral, initiator_public, responder_ephemeral,
        responder_public, prologue, message_1, message_2, message_2_payload, handshake_hash;
    const golden_record_t *records;
    size_t records_count;
} golden_session_t;

typedef struct {
    const char *name;
    golden_bytes_t psk, prologue, responder_ephemeral, message_1;
} golden_refusal_t;

/* The serial line. */
typedef struct {
    uint8_t type;
    golden_bytes_t data;
} golden_packet_t;

typedef struct {
    const char *name;
    golden_bytes_t bytes;
    const golden_packet_t *packets;
    size_t packets_count;
    bool is_exact; /* encoding the one packet gives the bytes */
} golden_line_t;

typedef struct {
    const char *name;
    golden_bytes_t data;
    uint8_t id; /* that is answered */
    const char *verb;
    const char *error; /* NULL: the request is good */
} golden_request_t;

typedef struct {
    const char *name;
    const char *verb;
    golden_bytes_t data;
    uint8_t id;
    uint8_t code;
    const golden_field_t *fields;
    size_t fields_count;
} golden_answer_t;

typedef struct {
    const char *name;
    golden_bytes_t data;
    const char *error;
} golden_command_t;

/* Runs them: test_serial_vectors.c. */
void test_serial_vectors(const golden_line_t *lines, size_t lines_count,
                         const golden_request_t *requests, size_t requests_count,
                         const golden_answer_t *answers, size_t answers_count,
                         const golden_command_t *commands, size_t commands_count);

/* Runs one message: test_message.c. */
void test_message(const golden_message_t *golden);

#endif
