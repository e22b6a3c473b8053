/*
 * console.c: the first serial port: lines of the log, the controller's serial line (serial.h), and frames
 * to relays behind it.
 *
 * The chip holds 128 bytes each way. What comes in is taken by an interrupt, in IRAM, into a ring, from where
 * every 10 ms the core takes it. A packet has 211 bytes at most and the next one waits for its answer, so 256
 * hold all that can come while an erase keeps the core away, however long; the chip's own 128 are to spare.
 *
 * What goes out goes when there is room: a packet in pieces, which nothing breaks, a line whole or not at all, for
 * it takes up to 11 ms to leave, and the next scan is due in 10.
 */
#include "bytes.h"
#include "esp.h"
#include "registers.h"
#include "serial.h"

#define BAUD 115200u
#define SHARED_FOR_MS 10000u
#define RING_BYTES 256u
/* The interrupt comes when so many bytes are there, or none came for so many bytes' time. */
#define FULL_BYTES 32u
#define SILENT_BYTES 2u
#define UART_INTERRUPT 5

_Static_assert(RING_BYTES > FW_SERIAL_PACKET_BYTES + 1u, "a packet has room while nobody looks");

/* In the chip's ROM. */
void ets_isr_attach(int interrupt, void (*handler)(void *ctx), void *ctx);
void ets_isr_unmask(uint32_t interrupts);

static struct {
    fw_serial_t serial;
    uint32_t heard_ms; /* when the line was last in use */
    uint8_t who;       /* fw_console_t */
    bool has_begun;
    bool is_served;
} console;

/* Written by the interrupt, read by the timer; counts go round. */
static struct {
    volatile uint32_t written;
    volatile uint32_t read;
    volatile uint8_t bytes[RING_BYTES];
} ring;

/* ---- what goes out ---- */

static size_t room(void)
{
    uint32_t sending = FW_UART_STATUS >> FW_UART_SENDING_SHIFT & FW_UART_SENDING_MASK;
    return sending < FW_UART_FIFO_BYTES ? FW_UART_FIFO_BYTES - sending : 0u;
}

static void put(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        FW_UART_FIFO = bytes[i];
    }
}

static size_t serial_room(void *ctx)
{
    (void)ctx;
    return room();
}

static void serial_write(void *ctx, const uint8_t *bytes, size_t length)
{
    (void)ctx;
    put(bytes, length);
}

static const fw_serial_port_t port = {.room = serial_room, .write = serial_write};

bool fw_esp_console_bytes(const uint8_t *bytes, size_t length)
{
    bool is_in_use = console.is_served && fw_serial_line_is_sending(&console.serial.line);
    if (!console.has_begun || is_in_use || room() < length) {
        return false;
    }
    put(bytes, length);
    return true;
}

/* Until it is served, which is not long, a line that finds no room is gone. */
static void put_line(const char *text)
{
    size_t length = fw_string_length(text);
    if (room() >= length + 2u) {
        put((const uint8_t *)text, length);
        put((const uint8_t *)"\r\n", 2);
    }
}

void fw_esp_console_line(const char *text, uint32_t now_ms)
{
    (void)now_ms;
    if (!console.has_begun || console.who == FW_CONSOLE_NONE) {
        return;
    }
    if (console.is_served) {
        fw_serial_log(&console.serial, text);
    } else {
        put_line(text);
    }
}

/* ---- what comes in ---- */

/* In IRAM, for it comes while flash cannot be read. What finds no room is lost, and with it its packet. */
static __attribute__((section(".iram.text"))) void take_bytes(void *ctx)
{
    (void)ctx;
    while ((FW_UART_STATUS & FW_UART_RECEIVED_MASK) != 0u) {
        uint8_t byte = (uint8_t)FW_UART_FIFO;
        uint32_t written = ring.written;
        if (written - ring.read < RING_BYTES) {
            ring.bytes[written % RING_BYTES] = byte;
            ring.written = written + 1u;
        }
    }
    FW_UART_CLEAR = FW_UART_CAUSE_FULL | FW_UART_CAUSE_SILENT | FW_UART_CAUSE_OVERFLOW;
}

static void listen(void)
{
    uint32_t when = FW_UART_WHEN & ~(FW_UART_WHEN_FULL_MASK | FW_UART_WHEN_SILENT_MASK);
    FW_UART_WHEN = when | FULL_BYTES | SILENT_BYTES << FW_UART_WHEN_SILENT_SHIFT |
                   FW_UART_WHEN_SILENT_ON;
    FW_UART_CLEAR = UINT32_MAX;
    ets_isr_attach(UART_INTERRUPT, take_bytes, NULL);
    FW_UART_ENABLED = FW_UART_CAUSE_FULL | FW_UART_CAUSE_SILENT | FW_UART_CAUSE_OVERFLOW;
    ets_isr_unmask(1u << UART_INTERRUPT);
}

static void take_ring(uint32_t now_ms)
{
    while (ring.read != ring.written) {
        uint8_t byte = ring.bytes[ring.read % RING_BYTES];
        ring.read++;
        fw_serial_receive(&console.serial, &byte, 1, now_ms);
    }
}

/* The relays' controller has the line alone from here on: no interrupt, no packet, no line. */
static void end_serving(void)
{
    FW_UART_ENABLED = 0;
    fw_esp_device.flash.is_held = false;
    console.is_served = false;
    console.who = FW_CONSOLE_NONE;
}

/* ---- the line ---- */

void fw_esp_console_begin(const fw_profile_t *profile, uint32_t now_ms)
{
    uint32_t baud = profile->baud != 0u ? profile->baud : BAUD;
    FW_UART_DIVIDER = FW_UART_CLOCK_HZ / baud;
    console.heard_ms = now_ms;
    /* At another speed than everybody's nobody would be understood. */
    console.who = baud == BAUD ? profile->console : (uint8_t)FW_CONSOLE_NONE;
    console.has_begun = true;
}

void fw_esp_console_serve(void)
{
    if (console.who == FW_CONSOLE_NONE) {
        return;
    }
    fw_serial_init(&console.serial, &fw_device_api, &fw_esp_device, &port, fw_esp_now_ms());
    console.is_served = true;
    listen();
}

void fw_esp_console_poll(uint32_t now_ms)
{
    if (!console.is_served) {
        return;
    }
    take_ring(now_ms);
    fw_serial_button(&console.serial, fw_esp_pins_button(), now_ms);
    (void)fw_serial_poll(&console.serial, now_ms);
    if (fw_serial_is_busy(&console.serial)) {
        console.heard_ms = now_ms;
    } else if (console.who == FW_CONSOLE_UART0_10S &&
               now_ms - console.heard_ms >= SHARED_FOR_MS) {
        end_serving();
    }
}
