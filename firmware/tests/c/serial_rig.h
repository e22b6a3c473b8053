/*
 * serial_rig.h: a whole device, or a made-up controller, on a serial line of which the tests hold the other end.
 */
#ifndef FW_TEST_SERIAL_RIG_H
#define FW_TEST_SERIAL_RIG_H

#include "cbor.h"
#include "serial.h"
#include "whole_rig.h"

extern fw_serial_t serial;
/* A line alone, without anybody behind it. */
extern fw_serial_line_t serial_alone;
void serial_rig_alone(void);

/* All that was written, and how much room there is; it is used up by what is written, and 115 bytes come back with
 * each 10 ms. */
extern uint8_t serial_rig_tells[65536];
extern size_t serial_rig_told;
extern size_t serial_rig_room;

/* A new device with a line, or another controller. */
void serial_rig_begin(void);
void serial_rig_begin_with(const fw_api_controller_t *controller);
/* Another life of the device that was, after its power failed. */
void serial_rig_boot(void);

/* Sends a packet at once. */
void serial_rig_send(uint8_t type, const uint8_t *data, size_t length);
/* Bytes of such a packet; their count. */
size_t serial_rig_packet(uint8_t *into, uint8_t type, const uint8_t *data, size_t length);
/* Sends a request whose fields are these, encoded; `pairs` of them. */
void serial_rig_ask(uint8_t id, uint8_t verb, const fw_cbor_writer_t *fields, uint8_t pairs);

/* Polls device and line every 10 ms, and reads what is written; a power cut ends it. */
void serial_rig_pass(uint32_t ms);
/* The same until there is an answer: false, there is none in so long. */
bool serial_rig_answer(uint32_t ms);

/* Of the last answer. */
extern uint8_t serial_rig_id, serial_rig_code;
extern fw_span_t serial_rig_data;
extern fw_cbor_map_t serial_rig_map;
/* The last error and state of Improv, -1: none; the last result; and how many packets of all kinds there were. */
extern int serial_rig_error, serial_rig_state;
extern uint8_t serial_rig_result[256];
extern uint8_t serial_rig_result_bytes;
extern unsigned serial_rig_answers, serial_rig_results, serial_rig_states;
/* What lay between packets. */
extern char serial_rig_text[4096];

#endif
