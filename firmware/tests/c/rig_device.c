/*
 * rig_device.c: a rig around a whole device. See rig.h.
 */
#include "check.h"
#include "rig.h"
#include "whole_rig.h"

#include <stdlib.h>
#include <string.h>

/* ---- the machine ---- */

static void take_configuration(void *ctx, const fw_configuration_t *configuration)
{
    (void)ctx;
    (void)configuration;
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
    machine = whole_machine;
    machine.ctx = rig;
    machine.configured = take_configuration;
    machine.setup_is_open = setup_is_open;
    machine.restart = restart;
    rig->setup = (fw_device_setup_t){
        .port = &rig->port,
        .flash = &rig->nor->port,
        .machine = &machine,
        .board = &whole_board,
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
