/*
 * serial.c: see serial.h. Who may, what is worked on, and what goes out when.
 */
#include "serial_inside.h"
#include "text.h"

#include "monocypher.h"

#define LOOK_MS 100u
#define POLL_MS 10u

_Static_assert(sizeof(fw_serial_scratch_t) <= sizeof(((fw_serial_line_t *)0)->out) - 3u,
               "passwords are worked on where the answer will be");

/* ---- the start ---- */

static const char *reset_name(uint8_t reset)
{
    switch (reset) {
    case FW_RESET_POWER:
        return "power";
    case FW_RESET_WATCHDOG:
        return "watchdog";
    case FW_RESET_EXCEPTION:
        return "exception";
    case FW_RESET_COMMANDED:
        return "commanded";
    default:
        return "other";
    }
}

static void greet(fw_serial_t *serial)
{
    fw_api_status_t status;
    fw_text_t text;
    serial->controller->status(serial->ctx, &status);
    fw_text_init(&text, serial->line.out, sizeof serial->line.out - 2u);
    fw_text_string(&text, "Switchyard ");
    fw_text_string(&text, status.software);
    fw_text_byte(&text, ' ');
    fw_text_string(&text, status.profile);
    fw_text_string(&text, " slot ");
    fw_text_number(&text, status.slot);
    fw_text_string(&text, " reset ");
    fw_text_string(&text, reset_name(status.reset));
    serial->line.out[text.length] = '\r';
    serial->line.out[text.length + 1u] = '\n';
    fw_serial_line_send_text(&serial->line, text.length + 2u);
}

void fw_serial_init(fw_serial_t *serial, const fw_api_controller_t *controller, void *ctx,
                    const fw_serial_port_t *port, uint32_t now_ms)
{
    fw_fill((uint8_t *)serial, 0, sizeof *serial);
    serial->controller = controller;
    serial->ctx = ctx;
    serial->now_ms = now_ms;
    serial->looked_ms = now_ms;
    serial->error = FW_SERIAL_NO_ERROR_DUE;
    fw_serial_line_init(&serial->line, port);
    greet(serial);
}

/* ---- who may ---- */

bool fw_serial_is_protected(fw_serial_t *serial)
{
    uint8_t verifier[FW_VERIFIER_BYTES];
    return serial->controller->verifier(serial->ctx, verifier);
}

bool fw_serial_may(fw_serial_t *serial)
{
    return serial->is_unlocked || !fw_serial_is_protected(serial);
}

void fw_serial_unlock(fw_serial_t *serial)
{
    serial->is_unlocked = true;
    serial->used_ms = serial->now_ms;
}

/* What was answered before is not said again to whoever comes next. */
static void lock_if_idle(fw_serial_t *serial)
{
    if (serial->is_unlocked && serial->now_ms - serial->used_ms >= FW_SERIAL_IDLE_MS_MAX) {
        serial->is_unlocked = false;
        serial->has_answered = false;
    }
}

void fw_serial_button(fw_serial_t *serial, bool is_pressed, uint32_t now_ms)
{
    serial->now_ms = now_ms;
    if (is_pressed && !serial->is_pressed) {
        serial->button_ms = now_ms;
    }
    serial->is_pressed = is_pressed;
    if (is_pressed && now_ms - serial->button_ms >= FW_SERIAL_BUTTON_MS) {
        fw_serial_unlock(serial);
    }
}

/* ---- the work ---- */

fw_serial_scratch_t *fw_serial_scratch(fw_serial_t *serial)
{
    serial->has_answered = false;
    uintptr_t at = ((uintptr_t)serial->line.out + 3u) & ~(uintptr_t)3u;
    return (fw_serial_scratch_t *)at;
}

static bool work_on(fw_serial_t *serial, uint8_t type, fw_span_t data)
{
    switch (type) {
    case FW_SERIAL_REQUEST:
        return fw_serial_request(serial, data);
    case FW_SERIAL_COMMAND:
        return fw_serial_improv(serial, data);
    default:
        return true;
    }
}

static void work(fw_serial_t *serial)
{
    uint8_t type = 0;
    fw_span_t data;
    if (!fw_serial_line_packet(&serial->line, &type, &data)) {
        return;
    }
    if (serial->step == 0u) {
        serial->since_ms = serial->now_ms;
        serial->cursor = 0;
    }
    if (work_on(serial, type, data)) {
        serial->step = 0;
        fw_serial_line_drop(&serial->line);
    }
}

void fw_serial_receive(fw_serial_t *serial, const uint8_t *bytes, size_t length, uint32_t now_ms)
{
    serial->now_ms = now_ms;
    fw_serial_line_receive(&serial->line, bytes, length, now_ms);
    serial->controller->hold_erases(serial->ctx, fw_serial_line_is_receiving(&serial->line));
}

/* Sends what is due; true once nothing is. */
static bool flush(fw_serial_t *serial)
{
    fw_serial_line_t *line = &serial->line;
    bool is_broken = line->out_sent > 0u && fw_serial_line_is_sending(line);
    if (!is_broken && !fw_serial_improv_tell(serial)) {
        return false;
    }
    return !fw_serial_line_transmit(line) && fw_serial_improv_tell(serial);
}

uint32_t fw_serial_poll(fw_serial_t *serial, uint32_t now_ms)
{
    serial->now_ms = now_ms;
    fw_serial_line_expire(&serial->line, now_ms);
    serial->controller->hold_erases(serial->ctx, fw_serial_line_is_receiving(&serial->line));
    lock_if_idle(serial);
    if (now_ms - serial->looked_ms >= LOOK_MS) {
        serial->looked_ms = now_ms;
        fw_serial_improv_look(serial);
    }
    if (flush(serial)) {
        work(serial);
        (void)flush(serial);
    }
    return fw_serial_is_busy(serial) ? POLL_MS : LOOK_MS;
}

void fw_serial_log(fw_serial_t *serial, const char *text)
{
    fw_serial_line_log(&serial->line, text);
}

bool fw_serial_is_busy(const fw_serial_t *serial)
{
    return serial->line.is_whole || fw_serial_line_is_receiving(&serial->line) ||
           fw_serial_line_is_sending(&serial->line) || serial->is_state_due ||
           serial->error != FW_SERIAL_NO_ERROR_DUE;
}
