/*
 * serial_line.h: packets on a serial line (docs/serial.md, section 1): found in what comes in, and written
 * unbroken among the lines of the log.
 *
 * Two buffers: the packet that is coming, or is being worked on, and the one that goes out, which stays
 * until the next, so that it can go out once more. Whoever owns the line may use the latter for its own
 * while nothing goes out.
 */
#ifndef FW_SERIAL_LINE_H
#define FW_SERIAL_LINE_H

#include "bytes.h"

#define FW_SERIAL_DATA_BYTES_MAX 200u
/* Head, type, length, data, checksum. */
#define FW_SERIAL_HEAD_BYTES 9u
#define FW_SERIAL_PACKET_BYTES (FW_SERIAL_HEAD_BYTES + FW_SERIAL_DATA_BYTES_MAX + 1u)
/* A packet that pauses for so long, or takes so long, does not come. */
#define FW_SERIAL_QUIET_MS 250u
#define FW_SERIAL_WHOLE_MS 1000u

typedef enum {
    FW_SERIAL_STATE = 0x01,
    FW_SERIAL_ERROR = 0x02,
    FW_SERIAL_COMMAND = 0x03,
    FW_SERIAL_RESULT = 0x04,
    FW_SERIAL_REQUEST = 0x80,
    FW_SERIAL_ANSWER = 0x81,
} fw_serial_type_t;

/* What is asked of the machine. */
typedef struct {
    void *ctx;
    /* How many bytes can be written now. */
    size_t (*room)(void *ctx);
    /* Writes so many, which is no more than there is room for. */
    void (*write)(void *ctx, const uint8_t *bytes, size_t length);
} fw_serial_port_t;

/* Fields are serial_line.c's own, but for `out` while nothing goes out. */
typedef struct {
    const fw_serial_port_t *port;
    uint32_t began_ms;    /* when the packet that is coming began */
    uint32_t received_ms; /* when its last byte came */
    uint16_t out_bytes;   /* of what is in `out` */
    uint16_t out_sent;    /* of them; all: nothing goes out */
    uint8_t held;         /* bytes of the packet that is coming */
    bool is_whole;        /* it is there */
    bool has_lost;        /* a line of the log, since the last one that went out */
    uint8_t in[FW_SERIAL_PACKET_BYTES];
    uint8_t out[FW_SERIAL_PACKET_BYTES + 1u]; /* and a line feed */
} fw_serial_line_t;

/* The port must outlive it. */
void fw_serial_line_init(fw_serial_line_t *line, const fw_serial_port_t *port);

/* Bytes came in, split anywhere. While a whole packet is there all are passed over. */
void fw_serial_line_receive(fw_serial_line_t *line, const uint8_t *bytes, size_t length,
                            uint32_t now_ms);

/* Gives up what does not come any more. */
void fw_serial_line_expire(fw_serial_line_t *line, uint32_t now_ms);

/* Whether a packet has begun to come, and is not whole. */
bool fw_serial_line_is_receiving(const fw_serial_line_t *line);

/* The whole packet, and the data in it; false: there is none. It stays until it is dropped, which wipes it. */
bool fw_serial_line_packet(const fw_serial_line_t *line, uint8_t *type, fw_span_t *data);
void fw_serial_line_drop(fw_serial_line_t *line);

/* Where the data of a packet to be sent is written, FW_SERIAL_DATA_BYTES_MAX at most; then it is sent. Only
 * while nothing goes out. */
uint8_t *fw_serial_line_data(fw_serial_line_t *line);
void fw_serial_line_send(fw_serial_line_t *line, uint8_t type, uint8_t length);
/* What was sent last, once more. */
void fw_serial_line_send_again(fw_serial_line_t *line);
/* What stands in `out` as it is. */
void fw_serial_line_send_text(fw_serial_line_t *line, size_t length);

/* A packet of one byte, past `out`: before that, if none of it has gone. False: not now. */
bool fw_serial_line_send_byte(fw_serial_line_t *line, uint8_t type, uint8_t byte);

/* Goes on with what goes out; true while there is more of it. */
bool fw_serial_line_transmit(fw_serial_line_t *line);
bool fw_serial_line_is_sending(const fw_serial_line_t *line);

/* A line of the log, which goes out whole or not at all. */
void fw_serial_line_log(fw_serial_line_t *line, const char *text);

#endif
