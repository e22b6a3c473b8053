/*
 * device_host.c: see device_host.h.
 */
#include "device_host.h"

/* ---- flash ---- */

static bool read_flash(void *ctx, uint32_t address, uint32_t *into, size_t words)
{
    const fw_host_device_t *host = ctx;
    if (address % 4u != 0u || address / 4u + words > FW_HOST_FLASH_BYTES / 4u) {
        return false;
    }
    for (size_t i = 0; i < words; i++) {
        into[i] = host->flash[address / 4u + i];
    }
    return true;
}

/* As NOR flash has it, bits only go from 1 to 0; the core's own tests hold it to programming no word
 * twice. */
static bool program_flash(void *ctx, uint32_t address, const uint32_t *words, size_t count)
{
    fw_host_device_t *host = ctx;
    if (address % 4u != 0u || address / 4u + count > FW_HOST_FLASH_BYTES / 4u) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        host->changed[(address + 4u * i) / FW_SECTOR_BYTES] = true;
    }
    if (host->chip.program != NULL) {
        host->chip.program(host->chip.ctx, address, words, count, host->flash + address / 4u);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        host->flash[address / 4u + i] &= words[i];
    }
    return true;
}

static bool erase_flash(void *ctx, uint32_t address)
{
    fw_host_device_t *host = ctx;
    if (address % FW_SECTOR_BYTES != 0u || address >= FW_HOST_FLASH_BYTES) {
        return false;
    }
    host->changed[address / FW_SECTOR_BYTES] = true;
    if (host->chip.erase != NULL) {
        host->chip.erase(host->chip.ctx, address, host->flash + address / 4u);
        return true;
    }
    for (size_t i = 0; i < FW_SECTOR_BYTES / 4u; i++) {
        host->flash[address / 4u + i] = FW_FLASH_BLANK;
    }
    return true;
}

static const uint32_t *map_flash(void *ctx, uint32_t address)
{
    const fw_host_device_t *host = ctx;
    return host->flash + address / 4u;
}

/* ---- the machine ---- */

static bool is_same(const char *a, const char *b)
{
    size_t length = fw_string_length(a);
    return length == fw_string_length(b) &&
           fw_equal((const uint8_t *)a, (const uint8_t *)b, length);
}

static void copy(char *into, const char *from)
{
    fw_copy((uint8_t *)into, (const uint8_t *)from, fw_string_length(from) + 1u);
}

/* Leaves the network for another one, if it is one, as a chip does. */
static void join(fw_host_device_t *host, bool is_start)
{
    fw_host_radio_t *radio = &host->radio;
    const fw_configuration_t *set = &host->device.configuration;
    if (is_start || !is_same(radio->name, set->texts[FW_TEXT_WIFI]) ||
        !is_same(radio->password, set->texts[FW_TEXT_WIFI_PASSWORD])) {
        copy(radio->name, set->texts[FW_TEXT_WIFI]);
        copy(radio->password, set->texts[FW_TEXT_WIFI_PASSWORD]);
        radio->since_ms = host->setup.port->now_ms(host->setup.port->ctx);
    }
}

static uint8_t wifi_state(const fw_host_device_t *host)
{
    const fw_host_radio_t *radio = &host->radio;
    if (!radio->is_there) {
        return FW_API_WIFI_JOINED;
    }
    if (radio->name[0] == '\0') {
        return FW_API_WIFI_DOWN;
    }
    uint32_t now_ms = host->setup.port->now_ms(host->setup.port->ctx);
    if (now_ms - radio->since_ms < FW_HOST_JOIN_MS) {
        return FW_API_WIFI_JOINING;
    }
    for (uint8_t i = 0; i < radio->networks_count; i++) {
        if (is_same(radio->networks[i].name, radio->name)) {
            return is_same(radio->networks[i].password, radio->password)
                       ? FW_API_WIFI_JOINED
                       : FW_API_WIFI_WRONG_PASSWORD;
        }
    }
    return FW_API_WIFI_NOT_FOUND;
}

static void tell_radio(void *ctx, fw_radio_t *radio)
{
    const fw_host_device_t *host = ctx;
    uint8_t state = wifi_state(host);
    *radio = (fw_radio_t){
        .ip = state == FW_API_WIFI_JOINED ? 0x7F000001u : 0u,
        .state = state,
    };
}

static void take_configuration(void *ctx, const fw_configuration_t *configuration)
{
    fw_host_device_t *host = ctx;
    (void)configuration;
    host->is_configured = true;
    join(host, false);
}

static bool look_around(void *ctx)
{
    (void)ctx;
    return true;
}

static bool tell_network(void *ctx, uint16_t at, fw_api_network_t *network)
{
    const fw_host_radio_t *radio = &((const fw_host_device_t *)ctx)->radio;
    if (at >= radio->networks_count) {
        return false;
    }
    const char *name = radio->networks[at].name;
    *network = (fw_api_network_t){
        .rssi_dbm = (int8_t)(-40 - 5 * at),
        .is_secured = radio->networks[at].password[0] != '\0',
        .ssid_bytes = (uint8_t)fw_string_length(name),
    };
    fw_copy(network->ssid, (const uint8_t *)name, network->ssid_bytes);
    return true;
}

/* Six bytes as a chip's. Where none were given, they stand for this machine: locally administered, and made of its
 * number. */
static uint8_t tell_hardware(void *ctx, uint8_t *into)
{
    const fw_host_device_t *host = ctx;
    if (host->has_hardware) {
        fw_copy(into, host->hardware, FW_HOST_HARDWARE_BYTES);
        return FW_HOST_HARDWARE_BYTES;
    }
    into[0] = 0x02;
    into[1] = 0x53;
    fw_store_u32(into + 2, host->setup.settings.address);
    return FW_HOST_HARDWARE_BYTES;
}

static uint32_t free_bytes(void *ctx)
{
    (void)ctx;
    return 0;
}

/* Whoever reaches it may set the first password. */
static bool setup_is_open(void *ctx)
{
    (void)ctx;
    return true;
}

static void restart(void *ctx)
{
    fw_host_device_t *host = ctx;
    host->wants_restart = true;
}

/* ---- the loader ----
 *
 * Nothing of an image runs here, so what stands for one is its first words: what it is, its version, and whether it
 * runs. A slot without such an image has what this program is, version 1. Which slot runs is noted in the first
 * sector behind ours, where a chip's loader has it. */

enum {
    AT_SLOT = FW_LAYOUT_OURS_END / 4u,
    IMAGE_MAGIC = 0x56575356u, /* "VSWV", lowest byte first */
    IMAGE_CRASHES = 1u,        /* it restarts by itself, for ever */
    BOOTS_MAX = 16,
};

static const uint32_t *image_in(const fw_host_device_t *host, uint8_t slot)
{
    const uint32_t *image = host->flash + (slot == 2u ? FW_LAYOUT_USER2 : FW_LAYOUT_USER1) / 4u;
    return image[0] == IMAGE_MAGIC ? image : NULL;
}

static uint8_t noted_slot(const fw_host_device_t *host)
{
    return host->flash[AT_SLOT] == 2u ? 2u : 1u;
}

/* The boots of one power-on: an image may send the loader to the other one. */
static void boot(fw_host_device_t *host)
{
    for (uint32_t i = 0; i < BOOTS_MAX; i++) {
        uint8_t slot = noted_slot(host);
        const uint32_t *image = image_in(host, slot);
        host->setup.identity.slot = slot;
        host->setup.identity.version = image == NULL ? 1u : image[1];
        host->is_crashing = image != NULL && image[2] == IMAGE_CRASHES;
        uint8_t wanted = fw_device_boot(&host->device, &host->setup);
        if (wanted == slot) {
            return;
        }
        host->flash[AT_SLOT] = wanted;
        host->changed[4u * AT_SLOT / FW_SECTOR_BYTES] = true;
    }
}

/* ---- for the wrapper ---- */

size_t fw_host_device_bytes(void)
{
    return sizeof(fw_host_device_t);
}

size_t fw_host_device_align(void)
{
    return _Alignof(fw_host_device_t);
}

bool fw_host_device_init(fw_host_device_t *host, const fw_settings_t *settings, const fw_port_t *port,
                         const fw_board_t *board, uint32_t *flash, const uint8_t *first_script,
                         size_t first_script_bytes, const uint8_t *update_key, uint8_t reset)
{
    host->flash = flash;
    host->api = (fw_host_api_t){&fw_device_api, &host->device};
    host->wants_restart = false;
    host->is_configured = false;
    for (size_t i = 0; i < FW_HOST_FLASH_SECTORS; i++) {
        host->changed[i] = false;
    }
    host->flash_port = (fw_flash_port_t){
        .ctx = host,
        .read = read_flash,
        .program = program_flash,
        .erase = erase_flash,
        .map = map_flash,
    };
    host->machine = (fw_machine_t){
        .ctx = host,
        .radio = tell_radio,
        .configured = take_configuration,
        .look_around = look_around,
        .network = tell_network,
        .free_bytes = free_bytes,
        .setup_is_open = setup_is_open,
        .hardware = tell_hardware,
        .restart = restart,
    };
    host->setup = (fw_device_setup_t){
        .port = port,
        .flash = &host->flash_port,
        .machine = &host->machine,
        .board = board,
        .identity = {.profile = "virtual", .public_key = update_key},
        .software = settings->software,
        .board_title = settings->board,
        .first_script = {first_script, first_script_bytes},
        .settings = *settings,
        .reset = reset,
    };
    boot(host);
    bool is_good = fw_device_init(&host->device);
    join(host, true);
    return is_good;
}

void fw_host_device_set_chip(fw_host_device_t *host, fw_host_chip_t chip)
{
    host->chip = chip;
}

void fw_host_device_set_hardware(fw_host_device_t *host, const uint8_t bytes[FW_HOST_HARDWARE_BYTES])
{
    fw_copy(host->hardware, bytes, FW_HOST_HARDWARE_BYTES);
    host->has_hardware = true;
}

fw_controller_t *fw_host_device_controller(fw_host_device_t *host)
{
    return &host->device.controller;
}

const fw_host_api_t *fw_host_device_api(const fw_host_device_t *host)
{
    return &host->api;
}

uint32_t fw_host_device_poll(fw_host_device_t *host)
{
    if (host->is_crashing && host->device.controller.uptime_ms >= FW_HOST_CRASH_MS) {
        host->is_crashing = false;
        host->wants_restart = true;
    }
    return fw_device_poll(&host->device);
}

void fw_host_device_add_radio(fw_host_device_t *host)
{
    host->radio.is_there = true;
    host->radio.since_ms = host->setup.port->now_ms(host->setup.port->ctx);
}

bool fw_host_device_add_network(fw_host_device_t *host, const char *name, const char *password)
{
    fw_host_radio_t *radio = &host->radio;
    if (radio->networks_count == FW_HOST_NETWORKS_MAX ||
        fw_string_length(name) > FW_WIFI_NAME_BYTES_MAX ||
        fw_string_length(password) > FW_TEXT_SETTING_BYTES_MAX) {
        return false;
    }
    fw_host_network_t *network = &radio->networks[radio->networks_count++];
    copy(network->name, name);
    copy(network->password, password);
    return true;
}

bool fw_host_device_is_joined(fw_host_device_t *host)
{
    return wifi_state(host) == FW_API_WIFI_JOINED;
}

uint32_t fw_host_device_enrolled(const fw_host_device_t *host)
{
    return host->device.configuration.address;
}

bool fw_host_device_wants_restart(fw_host_device_t *host)
{
    bool wants = host->wants_restart;
    host->wants_restart = false;
    return wants;
}

uint32_t fw_host_device_changed(fw_host_device_t *host, uint32_t sector)
{
    while (sector < FW_HOST_FLASH_SECTORS && !host->changed[sector]) {
        sector++;
    }
    if (sector < FW_HOST_FLASH_SECTORS) {
        host->changed[sector] = false;
    }
    return sector;
}

const char *fw_host_device_text(const fw_host_device_t *host, uint8_t text)
{
    return text < FW_TEXTS ? host->device.configuration.texts[text] : "";
}

uint32_t fw_host_device_script_hash(fw_host_device_t *host)
{
    fw_slot_view_t view;
    const fw_slot_pair_t *pair = &host->device.slots.pairs[FW_PAIR_SCRIPT];
    bool has_script = fw_slots_active(&host->device.slots, FW_PAIR_SCRIPT, &view);
    return has_script ? pair->slots[pair->active].crc : 0u;
}
