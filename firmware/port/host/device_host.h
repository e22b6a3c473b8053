/*
 * device_host.h: a whole device on this machine: flash in memory, a radio that is always there.
 */
#ifndef FW_DEVICE_HOST_H
#define FW_DEVICE_HOST_H

#include "device.h"

#define FW_HOST_FLASH_BYTES 0x100000u
#define FW_HOST_FLASH_SECTORS (FW_HOST_FLASH_BYTES / FW_SECTOR_BYTES)
/* How long an image that crashes has run by then. */
#define FW_HOST_CRASH_MS 500u

/* What an API is given, in one. */
typedef struct {
    const fw_api_controller_t *controller;
    void *ctx;
} fw_host_api_t;

/* A network that is around it. */
typedef struct {
    char name[FW_WIFI_NAME_BYTES_MAX + 1u];
    char password[FW_TEXT_SETTING_BYTES_MAX + 1u]; /* empty: it asks for none */
} fw_host_network_t;

#define FW_HOST_NETWORKS_MAX 8u
/* How long a radio takes to join one, or to find that it cannot. */
#define FW_HOST_JOIN_MS 1000u

/* A simulated radio. */
typedef struct {
    fw_host_network_t networks[FW_HOST_NETWORKS_MAX];
    char name[FW_TEXT_SETTING_BYTES_MAX + 1u]; /* of the network that it joins or has joined */
    char password[FW_TEXT_SETTING_BYTES_MAX + 1u];
    uint32_t since_ms; /* when it began to join that */
    uint8_t networks_count;
    bool is_there; /* else Wi-Fi is always joined */
} fw_host_radio_t;

/* A chip of flash that is somewhere else: each operation is done there, and `result` is then made what it holds, from
 * `address` on; a sector of it for an erase. */
typedef struct {
    void *ctx;
    void (*program)(void *ctx, uint32_t address, const uint32_t *words, size_t count, uint32_t *result);
    void (*erase)(void *ctx, uint32_t address, uint32_t *result);
} fw_host_chip_t;

#define FW_HOST_HARDWARE_BYTES 6u

typedef struct {
    fw_device_t device;
    fw_host_radio_t radio;
    fw_host_chip_t chip; /* without functions: there is none but `flash` */
    uint8_t hardware[FW_HOST_HARDWARE_BYTES];
    bool has_hardware;
    fw_host_api_t api;
    fw_device_setup_t setup;
    fw_flash_port_t flash_port;
    fw_machine_t machine;
    uint32_t *flash;                       /* FW_HOST_FLASH_BYTES; the caller's */
    bool changed[FW_HOST_FLASH_SECTORS];   /* since fw_host_device_changed told it */
    bool wants_restart;
    bool is_crashing; /* the image that runs restarts by itself */
    bool is_configured; /* anew, since it was asked */
} fw_host_device_t;

size_t fw_host_device_bytes(void);
size_t fw_host_device_align(void);

/* Starts a device over what is in flash. `settings` and all that is pointed to must outlive it. `update_key` is
 * the 32-byte public key of whoever may make updates; NULL: nobody may. False if the settings are wrong. */
bool fw_host_device_init(fw_host_device_t *host, const fw_settings_t *settings, const fw_port_t *port,
                         const fw_board_t *board, uint32_t *flash, const uint8_t *first_script,
                         size_t first_script_bytes, const uint8_t *update_key, uint8_t reset);

/* Before it is started: its flash is that chip, of which `flash` holds a copy; and what it tells as its hardware's
 * number. Both outlive its restarts. */
void fw_host_device_set_chip(fw_host_device_t *host, fw_host_chip_t chip);
void fw_host_device_set_hardware(fw_host_device_t *host, const uint8_t bytes[FW_HOST_HARDWARE_BYTES]);

fw_controller_t *fw_host_device_controller(fw_host_device_t *host);
const fw_host_api_t *fw_host_device_api(const fw_host_device_t *host);
uint32_t fw_host_device_poll(fw_host_device_t *host);

/* Gives it a radio, once it was started, which then outlives its restarts; and a network around that, as often as
 * wanted. False: there are too many, or a text is too long. */
void fw_host_device_add_radio(fw_host_device_t *host);
bool fw_host_device_add_network(fw_host_device_t *host, const char *name, const char *password);
/* Whether Wi-Fi is joined; and the address that is set up, 0: none. */
bool fw_host_device_is_joined(fw_host_device_t *host);
uint32_t fw_host_device_enrolled(const fw_host_device_t *host);

/* Whether a restart is wanted. It is told once. */
bool fw_host_device_wants_restart(fw_host_device_t *host);

/* The next sector that has changed, from `sector` on; FW_HOST_FLASH_SECTORS: none. It is told once. */
uint32_t fw_host_device_changed(fw_host_device_t *host, uint32_t sector);

/* What is set up as this text (fw_text_setting_t); empty if nothing is, or there is no such text. */
const char *fw_host_device_text(const fw_host_device_t *host, uint8_t text);

/* Which script it has: changes with it, 0: none. */
uint32_t fw_host_device_script_hash(fw_host_device_t *host);

#endif
