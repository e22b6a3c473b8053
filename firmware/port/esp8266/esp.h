/*
 * esp.h: what the files of the port tell each other.
 *
 * Everything here runs in tasks and timers of the SDK, which take turns and never interrupt each
 * other; only exceptions.c runs in between. Only user_main.c, flash_esp.c, link_esp.c, http_esp.c
 * and radio_esp.c know the SDK.
 */
#ifndef FW_ESP_H
#define FW_ESP_H

#include "board.h"
#include "device.h"

/* What the image is built for; crates/xtask sets them. */
#ifndef FW_PROFILE
#define FW_PROFILE "nodemcu"
#endif
#ifndef FW_SOFTWARE
#define FW_SOFTWARE "0.0.0"
#endif
#ifndef FW_VERSION
#define FW_VERSION 0u
#endif

/* ---- user_main.c ---- */

extern fw_device_t fw_esp_device;

uint32_t fw_esp_now_ms(void);

/* Has the port's task run soon: the link's steps, closing connections, a slice of the page's
 * server. */
void fw_esp_wake(void);

/* ---- flash_esp.c ---- */

extern const fw_flash_port_t fw_esp_flash;

/* ---- pins.c ---- */

/* Every output to its safe level, which is off. The very first thing. */
void fw_esp_pins_begin(const fw_profile_t *profile);
int32_t fw_esp_pins_read(uint8_t channel);
void fw_esp_pins_write(uint8_t channel, int32_t value);
/* Every 10 ms: a frame to the relays behind the serial line. */
void fw_esp_pins_poll(void);
/* Whether the button at GPIO0 is pressed, which is what flashes most boards. Where that pin drives an output
 * there is none. */
bool fw_esp_pins_button(void);
/* Whether the profile has an analogue input; and what it read, at most ten times a second. */
bool fw_esp_pins_have_adc(void);
void fw_esp_pins_take_adc(uint16_t reading);

/* ---- console.c ---- */

/* After the radio's start, which sets the clock that the serial port divides. */
void fw_esp_console_begin(const fw_profile_t *profile, uint32_t now_ms);
/* The line is served from now on (serial.h), where the profile has one. The device has begun. */
void fw_esp_console_serve(void);
/* Every 10 ms, before the device is polled. */
void fw_esp_console_poll(uint32_t now_ms);
/* A line goes out whole or not at all: nothing waits for the serial port. */
void fw_esp_console_line(const char *text, uint32_t now_ms);
/* False: there is no room for all of it now. */
bool fw_esp_console_bytes(const uint8_t *bytes, size_t length);

/* ---- exceptions.c ---- */

void fw_esp_exceptions_begin(void);
/* Loads of less than a word from flash, which somebody should not have made. */
uint32_t fw_esp_narrow_loads(void);

/* ---- link_esp.c: functions of fw_port_t ---- */

void fw_esp_link_begin(void);
int32_t fw_esp_link_send(const uint8_t *bytes, size_t length);
void fw_esp_link_dial(uint8_t gateway);
void fw_esp_link_hang_up(void);
/* The gateways may be others now. */
void fw_esp_link_configured(void);
/* In the task. */
void fw_esp_link_work(void);

/* ---- http_esp.c ---- */

void fw_esp_http_begin(void);
/* In the task. The milliseconds until there is more to do; 0 = now. */
uint32_t fw_esp_http_work(void);

/* ---- time_esp.c ---- */

/* Every 10 ms, with whether the network is joined. */
void fw_esp_time_poll(bool is_joined);

/* ---- radio_esp.c: functions of fw_machine_t ---- */

/* In user_init: off until there is a configuration. */
void fw_esp_radio_off(void);
void fw_esp_radio_begin(bool is_power_on);
/* Every 10 ms. */
void fw_esp_radio_poll(void);
void fw_esp_radio_tell(fw_radio_t *radio);
void fw_esp_radio_configured(void);
bool fw_esp_radio_look_around(void);
bool fw_esp_radio_network(uint16_t at, fw_api_network_t *network);
bool fw_esp_radio_is_setup_open(void);
/* What it announces itself as, without ".local". */
const char *fw_esp_radio_host(void);

#endif
