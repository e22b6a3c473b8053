/*
 * serial_host.c: see serial_host.h.
 */
#include "serial_host.h"

static size_t tell_room(void *ctx)
{
    const fw_serial_host_t *host = ctx;
    return sizeof host->tells - host->told;
}

static void take_bytes(void *ctx, const uint8_t *bytes, size_t length)
{
    fw_serial_host_t *host = ctx;
    fw_copy(host->tells + host->told, bytes, length);
    host->told += length;
}

size_t fw_serial_host_bytes(void)
{
    return sizeof(fw_serial_host_t);
}

size_t fw_serial_host_align(void)
{
    return _Alignof(fw_serial_host_t);
}

void fw_serial_host_init(fw_serial_host_t *host, const fw_host_api_t *api, uint32_t now_ms)
{
    host->port = (fw_serial_port_t){.ctx = host, .room = tell_room, .write = take_bytes};
    host->told = 0;
    fw_serial_init(&host->serial, api->controller, api->ctx, &host->port, now_ms);
}

void fw_serial_host_receive(fw_serial_host_t *host, const uint8_t *bytes, size_t length,
                            uint32_t now_ms)
{
    fw_serial_receive(&host->serial, bytes, length, now_ms);
}

uint32_t fw_serial_host_poll(fw_serial_host_t *host, uint32_t now_ms)
{
    return fw_serial_poll(&host->serial, now_ms);
}

void fw_serial_host_log(fw_serial_host_t *host, const char *text)
{
    fw_serial_log(&host->serial, text);
}

void fw_serial_host_button(fw_serial_host_t *host, bool is_pressed, uint32_t now_ms)
{
    fw_serial_button(&host->serial, is_pressed, now_ms);
}

size_t fw_serial_host_take(fw_serial_host_t *host, uint8_t *into, size_t room)
{
    size_t count = host->told < room ? host->told : room;
    fw_copy(into, host->tells, count);
    host->told -= count;
    for (size_t i = 0; i < host->told; i++) {
        host->tells[i] = host->tells[count + i];
    }
    return count;
}
