/*
 * serial_rig.c: see serial_rig.h.
 */
#include "serial_rig.h"

#include "check.h"

#include <string.h>

fw_serial_t serial;
fw_serial_line_t serial_alone;
uint8_t serial_rig_tells[65536];
size_t serial_rig_told;
size_t serial_rig_room;
uint8_t serial_rig_id, serial_rig_code;
fw_span_t serial_rig_data;
fw_cbor_map_t serial_rig_map;
int serial_rig_error, serial_rig_state;
uint8_t serial_rig_result[256];
uint8_t serial_rig_result_bytes;
unsigned serial_rig_answers, serial_rig_results, serial_rig_states;
char serial_rig_text[4096];

static size_t read_at;
static size_t text_bytes;
static const fw_api_controller_t *controller;

/* ---- the port ---- */

enum { FIFO_BYTES = 128, BYTES_IN_10_MS = 115 };

static size_t tell_room(void *ctx)
{
    (void)ctx;
    return serial_rig_room;
}

static void write_bytes(void *ctx, const uint8_t *bytes, size_t length)
{
    (void)ctx;
    CHECK(length <= serial_rig_room && serial_rig_told + length <= sizeof(serial_rig_tells));
    memcpy(serial_rig_tells + serial_rig_told, bytes, length);
    serial_rig_told += length;
    serial_rig_room -= length;
}

static const fw_serial_port_t port = {.room = tell_room, .write = write_bytes};

static void forget(void)
{
    serial_rig_told = 0;
    serial_rig_room = FIFO_BYTES;
    read_at = 0;
    text_bytes = 0;
    serial_rig_error = -1;
    serial_rig_state = -1;
    serial_rig_answers = serial_rig_results = serial_rig_states = 0;
    memset(serial_rig_text, 0, sizeof(serial_rig_text));
}

void serial_rig_alone(void)
{
    forget();
    fw_serial_line_init(&serial_alone, &port);
}

void serial_rig_boot(void)
{
    forget();
    if (controller == &fw_device_api) {
        whole_boot();
    }
    fw_serial_init(&serial, controller, &whole, &port, whole_now_ms);
}

void serial_rig_begin_with(const fw_api_controller_t *other)
{
    controller = other;
    if (other == &fw_device_api) {
        whole_begin();
    }
    serial_rig_boot();
}

void serial_rig_begin(void)
{
    serial_rig_begin_with(&fw_device_api);
}

/* ---- our end ---- */

size_t serial_rig_packet(uint8_t *into, uint8_t type, const uint8_t *data, size_t length)
{
    memcpy(into, "IMPROV\1", 7);
    into[7] = type;
    into[8] = (uint8_t)length;
    if (length > 0u) {
        memcpy(into + 9, data, length);
    }
    uint8_t sum = 0;
    for (size_t i = 0; i < 9u + length; i++) {
        sum = (uint8_t)(sum + into[i]);
    }
    into[9u + length] = sum;
    into[10u + length] = '\n';
    return 11u + length;
}

void serial_rig_send(uint8_t type, const uint8_t *data, size_t length)
{
    uint8_t packet[300];
    size_t bytes = serial_rig_packet(packet, type, data, length);
    fw_serial_receive(&serial, packet, bytes, whole_now_ms);
}

static uint32_t crc_of(const uint8_t *bytes, size_t length)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 8u * length; i++) {
        uint32_t bit = (uint32_t)(bytes[i / 8u] >> (i % 8u)) & 1u;
        crc = (crc >> 1) ^ (((crc & 1u) != bit) ? 0xEDB88320u : 0u);
    }
    return ~crc;
}

void serial_rig_ask(uint8_t id, uint8_t verb, const fw_cbor_writer_t *fields, uint8_t pairs)
{
    uint8_t data[256];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, data, sizeof data);
    fw_cbor_write_map(&writer, 2u + pairs);
    fw_cbor_put_unsigned(&writer, 0, id);
    fw_cbor_put_unsigned(&writer, 1, verb);
    size_t length = writer.length;
    if (fields != NULL) {
        memcpy(data + length, fields->bytes, fields->length);
        length += fields->length;
    }
    fw_store_u32(data + length, crc_of(data, length));
    serial_rig_send(FW_SERIAL_REQUEST, data, length + 4u);
}

static void take_answer(void)
{
    uint64_t number = 0;
    CHECK(serial_rig_data.length >= 4u && serial_rig_data.length <= FW_SERIAL_DATA_BYTES_MAX);
    size_t length = serial_rig_data.length - 4u;
    CHECK(fw_load_u32(serial_rig_data.bytes + length) == crc_of(serial_rig_data.bytes, length));
    CHECK(fw_cbor_open(serial_rig_data.bytes, length, &serial_rig_map) == FW_CBOR_OK);
    CHECK(fw_cbor_map_unsigned(&serial_rig_map, 0, 255, &number) == FW_FIELD_PRESENT);
    serial_rig_id = (uint8_t)number;
    CHECK(fw_cbor_map_unsigned(&serial_rig_map, 1, 255, &number) == FW_FIELD_PRESENT);
    serial_rig_code = (uint8_t)number;
    serial_rig_answers++;
}

static void take(uint8_t type, const uint8_t *data, uint8_t length)
{
    switch (type) {
    case FW_SERIAL_STATE:
        CHECK(length == 1u);
        serial_rig_state = data[0];
        serial_rig_states++;
        break;
    case FW_SERIAL_ERROR:
        CHECK(length == 1u);
        serial_rig_error = data[0];
        break;
    case FW_SERIAL_RESULT:
        CHECK(length >= 2u && data[1] == length - 2u);
        memcpy(serial_rig_result, data, length);
        serial_rig_result_bytes = length;
        serial_rig_results++;
        break;
    default:
        CHECK(type == FW_SERIAL_ANSWER);
        serial_rig_data = (fw_span_t){data, length};
        take_answer();
        break;
    }
}

/* Strict: what begins as a packet must be one, unbroken. */
static void read_told(void)
{
    while (read_at < serial_rig_told) {
        const uint8_t *at = serial_rig_tells + read_at;
        size_t left = serial_rig_told - read_at;
        if (at[0] != 'I') {
            CHECK(text_bytes + 1u < sizeof(serial_rig_text));
            serial_rig_text[text_bytes++] = (char)at[0];
            read_at++;
            continue;
        }
        if (left < 9u || left < 11u + at[8]) {
            return;
        }
        uint8_t again[300];
        size_t length = serial_rig_packet(again, at[7], at + 9, at[8]);
        CHECK(memcmp(again, at, length) == 0);
        read_at += length;
        take(at[7], at + 9, at[8]);
    }
}

static void pass_once(void)
{
    if (controller == &fw_device_api) {
        whole_now_ms += 10u;
        (void)fw_device_poll(&whole);
    } else {
        whole_now_ms += 10u;
    }
    serial_rig_room += BYTES_IN_10_MS;
    serial_rig_room = serial_rig_room < FIFO_BYTES ? serial_rig_room : FIFO_BYTES;
    (void)fw_serial_poll(&serial, whole_now_ms);
    read_told();
}

void serial_rig_pass(uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms && !whole_nor.is_off; passed += 10u) {
        pass_once();
    }
}

bool serial_rig_answer(uint32_t ms)
{
    unsigned before = serial_rig_answers;
    for (uint32_t passed = 0; passed < ms && !whole_nor.is_off; passed += 10u) {
        pass_once();
        if (serial_rig_answers != before) {
            return true;
        }
    }
    return false;
}
