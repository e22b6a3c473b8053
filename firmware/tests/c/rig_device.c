/*
 * rig_device.c: a rig around a whole device. See rig.h.
 */
#include "check.h"
#include "rig.h"

#include <stdlib.h>
#include <string.h>

/* ---- the machine ---- */

static void tell_radio(void *ctx, fw_radio_t *radio)
{
    (void)ctx;
    *radio = (fw_radio_t){.state = FW_API_WIFI_JOINED};
}

static void take_configuration(void *ctx, const fw_configuration_t *configuration)
{
    (void)ctx;
    (void)configuration;
}

static bool look_around(void *ctx)
{
    (void)ctx;
    return true;
}

static bool tell_network(void *ctx, uint16_t at, fw_api_network_t *network)
{
    (void)ctx;
    (void)at;
    (void)network;
    return false;
}

static uint32_t free_bytes(void *ctx)
{
    (void)ctx;
    return 20000;
}

static bool setup_is_open(void *ctx)
{
    (void)ctx;
    return false;
}

static void restart(void *ctx)
{
    rig_t *rig = ctx;
    rig->restarts++;
}

static const fw_pin_t pins[] = {
    {"DI1", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI1},
    {"DI2", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI2},
    {"AI0", FW_POINT_ANALOGUE_INPUT, FW_CHANNEL_AI0},
    {"RL1", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL1},
    {"RL2", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL2},
};
static const fw_board_t board = {pins, sizeof(pins) / sizeof(pins[0])};
static const uint8_t nobodys_key[32] = {0};

/* ---- life ---- */

static void boot(rig_t *rig)
{
    (void)fw_device_boot(rig->device, &rig->setup);
    CHECK(fw_device_init(rig->device));
    rig->controller = &rig->device->controller;
}

rig_t *rig_device(const char *text)
{
    static fw_machine_t machine;
    rig_t *rig = rig_blank(false, 0);
    rig->feedback = false;
    rig->device = calloc(1, sizeof *rig->device);
    rig->nor = calloc(1, sizeof *rig->nor);
    if (rig->device == NULL || rig->nor == NULL) {
        abort();
    }
    fw_nor_init(rig->nor, random_below(0));
    machine = (fw_machine_t){
        .ctx = rig,
        .radio = tell_radio,
        .configured = take_configuration,
        .look_around = look_around,
        .network = tell_network,
        .free_bytes = free_bytes,
        .setup_is_open = setup_is_open,
        .restart = restart,
    };
    rig->setup = (fw_device_setup_t){
        .port = &rig->port,
        .flash = &rig->nor->port,
        .machine = &machine,
        .board = &board,
        .identity = {.profile = "rig", .public_key = nobodys_key, .version = 1, .slot = 1},
        .software = rig->settings.software,
        .board_title = rig->settings.board,
        .first_script = {(const uint8_t *)text, strlen(text)},
        .settings = rig->settings,
    };
    boot(rig);
    return rig;
}

void rig_power_fails(rig_t *rig)
{
    if (rig->up) {
        rig_disconnect(rig);
    }
    fw_nor_power_up(rig->nor);
    memset(rig->outputs, 0, sizeof rig->outputs);
    boot(rig);
}
