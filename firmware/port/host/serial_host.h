/*
 * serial_host.h: a controller's serial line in one piece with what it has to say, for the Rust wrapper. Never
 * part of a chip's image.
 */
#ifndef FW_SERIAL_HOST_H
#define FW_SERIAL_HOST_H

#include "device_host.h"
#include "serial.h"

#define FW_SERIAL_HOST_BYTES 1024u

typedef struct {
    fw_serial_t serial;
    fw_serial_port_t port;
    size_t told;
    uint8_t tells[FW_SERIAL_HOST_BYTES]; /* that nobody has taken yet */
} fw_serial_host_t;

size_t fw_serial_host_bytes(void);
size_t fw_serial_host_align(void);

/* Joins the parts; again after each restart. `api` must outlive the whole, which stays where it is. */
void fw_serial_host_init(fw_serial_host_t *host, const fw_host_api_t *api, uint32_t now_ms);

/* As the functions of serial.h. */
void fw_serial_host_receive(fw_serial_host_t *host, const uint8_t *bytes, size_t length,
                            uint32_t now_ms);
uint32_t fw_serial_host_poll(fw_serial_host_t *host, uint32_t now_ms);
void fw_serial_host_log(fw_serial_host_t *host, const char *text);
void fw_serial_host_button(fw_serial_host_t *host, bool is_pressed, uint32_t now_ms);

/* Takes what it has to say, `room` bytes at most; how many they were. */
size_t fw_serial_host_take(fw_serial_host_t *host, uint8_t *into, size_t room);

#endif
