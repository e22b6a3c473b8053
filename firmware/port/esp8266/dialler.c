/*
 * dialler.c: see dialler.h.
 */
#include "dialler.h"

enum { IDLE = 0, RESOLVING, RESOLVED, CONNECTING, OPEN, CLOSING };

void fw_dialler_dial(fw_dialler_t *dialler, uint8_t gateway)
{
    dialler->gateway = gateway;
    dialler->is_wanted = true;
    dialler->is_lost = false;
}

void fw_dialler_hang_up(fw_dialler_t *dialler)
{
    dialler->is_wanted = false;
    dialler->is_lost = false;
    if (dialler->state == CONNECTING || dialler->state == OPEN) {
        dialler->must_close = true;
    } else if (dialler->state != CLOSING) {
        dialler->state = IDLE;
    }
}

fw_dialler_action_t fw_dialler_next(fw_dialler_t *dialler, uint32_t now_ms)
{
    if (dialler->must_close) {
        dialler->must_close = false;
        dialler->state = CLOSING;
        dialler->closing_ms = now_ms;
        return FW_DIALLER_DISCONNECT;
    }
    if (dialler->state == CLOSING && now_ms - dialler->closing_ms >= FW_DIALLER_CLOSING_MS_MAX) {
        dialler->state = IDLE;
    }
    if (dialler->state == RESOLVED) {
        dialler->state = CONNECTING;
        return FW_DIALLER_CONNECT;
    }
    if (dialler->is_lost) {
        dialler->is_lost = false;
        return FW_DIALLER_TELL_LOST;
    }
    if (dialler->state == IDLE && dialler->is_wanted) {
        dialler->is_wanted = false;
        dialler->state = RESOLVING;
        return FW_DIALLER_RESOLVE;
    }
    return FW_DIALLER_NOTHING;
}

void fw_dialler_found(fw_dialler_t *dialler, bool is_found)
{
    if (dialler->state == RESOLVING) {
        dialler->state = is_found ? RESOLVED : IDLE;
        dialler->is_lost = !is_found;
    }
}

void fw_dialler_failed(fw_dialler_t *dialler)
{
    dialler->is_lost = dialler->state == RESOLVING || dialler->state == CONNECTING;
    dialler->state = IDLE;
}

bool fw_dialler_connected(fw_dialler_t *dialler)
{
    if (dialler->state != CONNECTING || dialler->must_close) {
        return false;
    }
    dialler->state = OPEN;
    return true;
}

bool fw_dialler_closed(fw_dialler_t *dialler)
{
    bool is_news =
        (dialler->state == CONNECTING || dialler->state == OPEN) && !dialler->must_close;
    if (dialler->state >= CONNECTING) {
        dialler->state = IDLE;
        dialler->must_close = false;
    }
    return is_news;
}

bool fw_dialler_is_open(const fw_dialler_t *dialler)
{
    return dialler->state == OPEN && !dialler->must_close;
}

bool fw_dialler_split(const char *text, char host[FW_DIALLER_HOST_BYTES], uint16_t *tcp_port)
{
    size_t colon = 0;
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        colon = text[length] == ':' ? length : colon;
    }
    if (colon == 0u || colon >= FW_DIALLER_HOST_BYTES || length - colon - 1u > 5u) {
        return false;
    }
    uint32_t number = 0;
    for (size_t i = colon + 1u; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10u + (uint32_t)(text[i] - '0');
    }
    for (size_t i = 0; i < colon; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false; /* the SDK looks characters up in a table that ends there */
        }
        host[i] = text[i];
    }
    host[colon] = '\0';
    *tcp_port = (uint16_t)number;
    return number > 0u && number <= UINT16_MAX;
}
