/*
 * console.c: what goes out of the first serial port: lines of the log, and frames to relays behind
 * it.
 *
 * The chip holds 128 bytes to be sent. What finds no room there is left out rather than waited for:
 * a line takes up to 11 ms to leave, and the next scan is due in 10.
 */
#include "bytes.h"
#include "esp.h"
#include "registers.h"

#define BAUD 115200u
#define SHARED_FOR_MS 10000u

/* A line, its end, and what may stand before it fit into an empty queue. */
#define LINE_BYTES_MAX 120u

static struct {
    uint32_t begun_ms;
    uint8_t who; /* fw_console_t */
    bool has_begun;
    bool has_lost; /* a line, since the last one that went out */
} console;

void fw_esp_console_begin(const fw_profile_t *profile, uint32_t now_ms)
{
    uint32_t baud = profile->baud != 0u ? profile->baud : BAUD;
    FW_UART_DIVIDER = FW_UART_CLOCK_HZ / baud;
    console.begun_ms = now_ms;
    console.who = profile->console;
    console.has_begun = true;
}

static size_t room(void)
{
    uint32_t sending = FW_UART_STATUS >> FW_UART_SENDING_SHIFT & FW_UART_SENDING_MASK;
    return sending < FW_UART_FIFO_BYTES ? FW_UART_FIFO_BYTES - sending : 0u;
}

static void put(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        FW_UART_FIFO = (uint8_t)text[i];
    }
}

bool fw_esp_console_bytes(const uint8_t *bytes, size_t length)
{
    if (!console.has_begun || room() < length) {
        return false;
    }
    put((const char *)bytes, length);
    return true;
}

void fw_esp_console_line(const char *text, uint32_t now_ms)
{
    if (console.who == FW_CONSOLE_UART0_10S && now_ms - console.begun_ms >= SHARED_FOR_MS) {
        console.who = FW_CONSOLE_NONE; /* for good: the count wraps */
    }
    if (!console.has_begun || console.who == FW_CONSOLE_NONE) {
        return;
    }
    size_t length = fw_string_length(text);
    length = length < LINE_BYTES_MAX ? length : LINE_BYTES_MAX;
    if (room() < length + 6u) {
        console.has_lost = true;
        return;
    }
    if (console.has_lost) {
        put("... ", 4);
        console.has_lost = false;
    }
    put(text, length);
    put("\r\n", 2);
}
