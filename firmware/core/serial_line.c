/*
 * serial_line.c: see serial_line.h.
 */
#include "serial_line.h"

/* Six letters and the version; words, for it lies in flash. */
#define MAGIC_BYTES 7u
#define TYPE_AT 7u
#define LENGTH_AT 8u
/* A line that finds room in an empty queue of 128 bytes, with its end and what may stand before it. */
#define LOG_BYTES_MAX 120u
#define LOG_AROUND_BYTES 6u

static uint8_t magic(uint8_t at)
{
    return at < 6u ? (uint8_t)fw_string_byte("IMPROV", at) : 1u;
}

void fw_serial_line_init(fw_serial_line_t *line, const fw_serial_port_t *port)
{
    fw_fill((uint8_t *)line, 0, sizeof *line);
    line->port = port;
}

/* ---- what comes in ---- */

static uint8_t sum_of(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return sum;
}

/* Bytes of the packet once it is whole. */
static size_t bytes_of(const fw_serial_line_t *line)
{
    return FW_SERIAL_HEAD_BYTES + line->in[LENGTH_AT] + 1u;
}

typedef enum { OPEN, WHOLE, NONE } judged_t;

/* What the first so many bytes of `in` from `at` on are. */
static judged_t judge(const uint8_t *bytes, size_t length)
{
    for (uint8_t i = 0; i < MAGIC_BYTES && i < length; i++) {
        if (bytes[i] != magic(i)) {
            return NONE;
        }
    }
    if (length < FW_SERIAL_HEAD_BYTES) {
        return OPEN;
    }
    size_t whole = FW_SERIAL_HEAD_BYTES + bytes[LENGTH_AT] + 1u;
    if (whole > FW_SERIAL_PACKET_BYTES) {
        return NONE;
    }
    if (length < whole) {
        return OPEN;
    }
    return bytes[whole - 1u] == sum_of(bytes, whole - 1u) ? WHOLE : NONE;
}

/* Bytes from `from` on move to the front. */
static void keep_from(fw_serial_line_t *line, uint8_t from)
{
    uint8_t left = (uint8_t)(line->held - from);
    for (uint8_t i = 0; i < left; i++) {
        line->in[i] = line->in[from + i];
    }
    line->held = left;
}

/* Leaves out what can be no packet's beginning, `passed` bytes at least. */
static void settle(fw_serial_line_t *line, uint8_t passed)
{
    uint8_t from = passed;
    judged_t judged = OPEN;
    while (from < line->held) {
        judged = judge(line->in + from, (size_t)(line->held - from));
        if (judged != NONE) {
            break;
        }
        from++;
    }
    keep_from(line, from);
    line->is_whole = line->held > 0u && judged == WHOLE;
}

void fw_serial_line_receive(fw_serial_line_t *line, const uint8_t *bytes, size_t length,
                            uint32_t now_ms)
{
    if (length > 0u) {
        fw_serial_line_expire(line, now_ms);
    }
    for (size_t i = 0; i < length && !line->is_whole; i++) {
        if (line->held == 0u) {
            line->began_ms = now_ms;
        }
        line->in[line->held++] = bytes[i];
        line->received_ms = now_ms;
        settle(line, 0);
    }
}

void fw_serial_line_expire(fw_serial_line_t *line, uint32_t now_ms)
{
    while (fw_serial_line_is_receiving(line) &&
           (now_ms - line->received_ms >= FW_SERIAL_QUIET_MS ||
            now_ms - line->began_ms >= FW_SERIAL_WHOLE_MS)) {
        settle(line, 1);
    }
}

bool fw_serial_line_is_receiving(const fw_serial_line_t *line)
{
    return line->held > 0u && !line->is_whole;
}

bool fw_serial_line_packet(const fw_serial_line_t *line, uint8_t *type, fw_span_t *data)
{
    *type = line->in[TYPE_AT];
    *data = (fw_span_t){line->in + FW_SERIAL_HEAD_BYTES, line->in[LENGTH_AT]};
    return line->is_whole;
}

void fw_serial_line_drop(fw_serial_line_t *line)
{
    if (!line->is_whole) {
        return;
    }
    uint8_t whole = (uint8_t)bytes_of(line);
    uint8_t held = line->held;
    line->is_whole = false;
    settle(line, whole);
    fw_fill(line->in + line->held, 0, (size_t)(held - line->held));
}

/* ---- what goes out ---- */

static void frame(uint8_t *into, uint8_t type, uint8_t length)
{
    for (uint8_t i = 0; i < MAGIC_BYTES; i++) {
        into[i] = magic(i);
    }
    into[TYPE_AT] = type;
    into[LENGTH_AT] = length;
    size_t summed = FW_SERIAL_HEAD_BYTES + length;
    into[summed] = sum_of(into, summed);
    into[summed + 1u] = '\n';
}

uint8_t *fw_serial_line_data(fw_serial_line_t *line)
{
    return line->out + FW_SERIAL_HEAD_BYTES;
}

void fw_serial_line_send(fw_serial_line_t *line, uint8_t type, uint8_t length)
{
    frame(line->out, type, length);
    fw_serial_line_send_text(line, FW_SERIAL_HEAD_BYTES + length + 2u);
}

void fw_serial_line_send_again(fw_serial_line_t *line)
{
    line->out_sent = 0;
}

void fw_serial_line_send_text(fw_serial_line_t *line, size_t length)
{
    line->out_bytes = (uint16_t)length;
    line->out_sent = 0;
}

bool fw_serial_line_send_byte(fw_serial_line_t *line, uint8_t type, uint8_t byte)
{
    uint8_t packet[FW_SERIAL_HEAD_BYTES + 3u];
    bool is_broken = line->out_sent > 0u && fw_serial_line_is_sending(line);
    if (is_broken || line->port->room(line->port->ctx) < sizeof packet) {
        return false;
    }
    packet[FW_SERIAL_HEAD_BYTES] = byte;
    frame(packet, type, 1);
    line->port->write(line->port->ctx, packet, sizeof packet);
    return true;
}

bool fw_serial_line_transmit(fw_serial_line_t *line)
{
    size_t left = (size_t)(line->out_bytes - line->out_sent);
    if (left > 0u) {
        size_t room = line->port->room(line->port->ctx);
        size_t count = room < left ? room : left;
        line->port->write(line->port->ctx, line->out + line->out_sent, count);
        line->out_sent = (uint16_t)(line->out_sent + count);
    }
    return fw_serial_line_is_sending(line);
}

bool fw_serial_line_is_sending(const fw_serial_line_t *line)
{
    return line->out_sent < line->out_bytes;
}

void fw_serial_line_log(fw_serial_line_t *line, const char *text)
{
    const fw_serial_port_t *port = line->port;
    size_t length = fw_string_length(text);
    length = length < LOG_BYTES_MAX ? length : LOG_BYTES_MAX;
    if (fw_serial_line_is_sending(line) || port->room(port->ctx) < length + LOG_AROUND_BYTES) {
        line->has_lost = true;
        return;
    }
    if (line->has_lost) {
        port->write(port->ctx, (const uint8_t *)"... ", 4);
        line->has_lost = false;
    }
    port->write(port->ctx, (const uint8_t *)text, length);
    port->write(port->ctx, (const uint8_t *)"\r\n", 2);
}
