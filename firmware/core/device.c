/*
 * device.c: the start, and the slices of what goes on besides the scan. See device.h.
 */
#include "device.h"

#include "device_inside.h"
#include "inside.h"

/* ---- the start ---- */

/* More steps than any store needs at boot, so that flash that fails ends the start in time. */
#define STEPS_MAX 4096u

static void settle_stores(fw_device_t *device, uint32_t now_ms)
{
    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        bool is_settled = fw_slots_is_ready(&device->slots) &&
                          fw_retain_is_settled(&device->retain) &&
                          fw_logbook_is_settled(&device->logbook) &&
                          fw_update_is_settled(&device->update);
        if (is_settled) {
            return;
        }
        fw_slots_step(&device->slots, now_ms);
        fw_retain_step(&device->retain, now_ms);
        fw_logbook_step(&device->logbook, now_ms);
        fw_update_step(&device->update, now_ms);
    }
}

fw_span_t fw_device_source(const fw_device_t *device, const fw_slot_view_t *view)
{
    const fw_flash_port_t *flash = device->setup->flash;
    return (fw_span_t){(const uint8_t *)flash->map(flash->ctx, view->address[FW_PART_SOURCE]),
                       view->bytes[FW_PART_SOURCE]};
}

static void read_configuration(fw_device_t *device)
{
    fw_slot_view_t view;
    fw_configuration_clear(&device->configuration);
    if (fw_slots_active(&device->slots, FW_PAIR_SETTINGS, &view)) {
        (void)fw_configuration_read(&device->configuration, fw_device_source(device, &view));
    }
}

/* What the link needs: of the configuration where that knows, else of the setup. */
static fw_settings_t settings_of(const fw_device_t *device)
{
    const fw_configuration_t *configuration = &device->configuration;
    fw_settings_t settings = device->setup->settings;
    settings.software = device->setup->software;
    settings.board = device->setup->board_title;
    if (configuration->address != 0u) {
        settings.address = configuration->address;
        settings.keys = &configuration->keys;
    }
    if (configuration->texts[FW_TEXT_NAME][0] != '\0') {
        settings.title = configuration->texts[FW_TEXT_NAME];
    }
    bool is_utc = fw_string_length(configuration->texts[FW_TEXT_ZONE]) == 4u;
    if (!is_utc || settings.zone == NULL) {
        settings.zone = configuration->texts[FW_TEXT_ZONE];
    }
    if (configuration->texts[FW_TEXT_GATEWAY_1][0] != '\0') {
        settings.gateways = configuration->texts[FW_TEXT_GATEWAY_2][0] != '\0' ? 2u : 1u;
    }
    return settings;
}

/* On blank flash the logbook's numbers begin anywhere, so that those of a life before, which a gateway may
 * remember, are none of this one's. */
static void begin_to_count(fw_device_t *device)
{
    const fw_port_t *port = device->setup->port;
    uint8_t random[4];
    port->random(port->ctx, random, sizeof random);
    fw_logbook_go_on_after(&device->logbook, fw_load_u32(random) >> 2);
}

uint8_t fw_device_boot(fw_device_t *device, const fw_device_setup_t *setup)
{
    fw_fill((uint8_t *)device, 0, sizeof *device);
    device->setup = setup;
    uint32_t now_ms = setup->port->now_ms(setup->port->ctx);
    fw_flash_init(&device->flash, setup->flash);
    device->flash.erase_gap_ms = 0; /* nothing scans yet */
    device->met = (uint8_t)(now_ms >> FW_MET_SHIFT);
    fw_update_open(&device->update, &device->flash, &setup->identity);
    for (uint32_t i = 0; i < STEPS_MAX && !fw_update_is_settled(&device->update); i++) {
        fw_update_step(&device->update, now_ms);
    }
    return fw_update_boot_slot(&device->update);
}

bool fw_device_init(fw_device_t *device)
{
    const fw_device_setup_t *setup = device->setup;
    uint32_t now_ms = setup->port->now_ms(setup->port->ctx);
    fw_slots_open(&device->slots, &device->flash);
    fw_retain_open(&device->retain, &device->flash);
    fw_logbook_open(&device->logbook, &device->flash);
    settle_stores(device, now_ms);
    if (device->logbook.last == 0u) {
        begin_to_count(device);
    }
    fw_slot_view_t view = {.generation = 0};
    (void)fw_slots_active(&device->slots, FW_PAIR_SCRIPT, &view);
    fw_retain_settle(&device->retain, view.generation);
    settle_stores(device, now_ms);
    read_configuration(device);

    const fw_settings_t settings = settings_of(device);
    if (!fw_controller_init(&device->controller, &settings, setup->port)) {
        return false;
    }
    device->scripts = (fw_scripts_t){
        .controller = &device->controller,
        .slots = &device->slots,
        .retain = &device->retain,
        .board = setup->board,
        .flash = setup->flash,
        .compiler = &device->work.compiler,
    };
    fw_scripts_start(&device->scripts, setup->first_script, setup->is_crashing, now_ms);
    settle_stores(device, now_ms);
    device->flash.erase_gap_ms = FW_ERASE_GAP_MS;
    fw_events_start(&device->events, &device->scripts, &device->logbook, now_ms);
    fw_device_lend(device);
    return true;
}

/* ---- why outputs changed ---- */

uint32_t fw_device_wall_s(fw_device_t *device)
{
    uint64_t wall_ms = 0;
    bool is_known = fw_clock_wall(&device->controller.clock, fw_now(&device->controller), &wall_ms);
    return is_known ? (uint32_t)(wall_ms / 1000u) : 0u;
}

/* What the last scan brought: an entry of the logbook for each output that it changed, and what the script
 * had to say. */
static void log_scan(fw_device_t *device, uint32_t now_ms)
{
    fw_controller_t *controller = &device->controller;
    if (controller->scans == device->logged_scans) {
        return;
    }
    device->logged_scans = controller->scans;
    const fw_points_t *points = &controller->runner.points;
    uint32_t wall_s = fw_device_wall_s(device);
    for (uint8_t i = 0; i < points->count && controller->driven != 0u; i++) {
        const fw_point_t *point = &points->at[i];
        if ((controller->driven >> i & 1u) == 0u || point->cause.kind == FW_CAUSE_BOOT) {
            continue; /* its first value is no change */
        }
        const uint32_t words[FW_LOGBOOK_ENTRY_WORDS] = {
            wall_s,
            controller->status.boot_id,
            (uint32_t)(controller->uptime_ms / 1000u),
            (device->scripts.generation & 0xFFFFu) | (uint32_t)fw_point_channel(point) << 16 |
                (uint32_t)point->cause.kind << 24,
            (uint32_t)point->value,
            point->cause.by,
            point->cause.reference,
        };
        (void)fw_logbook_add(&device->logbook, FW_LOGBOOK_CAUSE, words, now_ms);
    }
    controller->driven = 0;
    fw_events_note(&device->events, wall_s, now_ms);
}

/* ---- saving the settings ---- */

enum { SAVE_NOTHING = 0, SAVE_BEGIN, SAVE_ERASE, SAVE_WRITE, SAVE_RECORD };

void fw_device_save_settings(fw_device_t *device)
{
    if (device->saving == SAVE_NOTHING) {
        device->saving = SAVE_BEGIN;
        device->entry = 0;
        device->save_failed = false;
    }
}

/* What is set up anew holds at once, but for the link's address and key, which a restart takes. */
static void apply_configuration(fw_device_t *device)
{
    const fw_machine_t *machine = device->setup->machine;
    fw_settings_t settings = settings_of(device);
    device->controller.settings.title = settings.title;
    device->controller.settings.gateways = settings.gateways;
    (void)fw_controller_set_zone(&device->controller, settings.zone);
    machine->configured(machine->ctx, &device->configuration);
}

static void end_save(fw_device_t *device, bool failed)
{
    device->saving = SAVE_NOTHING;
    device->save_failed = failed;
    if (failed) {
        read_configuration(device); /* what holds is what is in flash */
    } else {
        apply_configuration(device);
    }
}

static void write_entries(fw_device_t *device)
{
    uint8_t bytes[2u + FW_TEXT_SETTING_BYTES_MAX];
    size_t length =
        fw_configuration_write(&device->configuration, &device->entry, bytes, sizeof bytes);
    size_t done = 0;
    while (done < length) {
        size_t taken = 0;
        if (fw_slots_write(&device->slots, bytes + done, length - done, &taken) != FW_SLOTS_OK) {
            end_save(device, true);
            return;
        }
        done += taken;
    }
    if (length == 0u) {
        bool begun = fw_slots_finish(&device->slots, false) == FW_SLOTS_OK;
        device->saving = SAVE_RECORD;
        if (!begun) {
            end_save(device, true);
        }
    }
}

void fw_device_make_room(fw_device_t *device)
{
    fw_slots_t *slots = &device->slots;
    if (slots->pair == FW_PAIR_SCRIPT && slots->state == FW_SLOTS_WRITING &&
        !fw_scripts_is_working(&device->scripts)) {
        fw_slots_abort(slots);
    }
}

static void save_step(fw_device_t *device)
{
    fw_slots_t *slots = &device->slots;
    switch (device->saving) {
    case SAVE_BEGIN:
        fw_device_make_room(device);
        if (fw_slots_begin(slots, FW_PAIR_SETTINGS) == FW_SLOTS_OK) {
            device->saving = SAVE_ERASE;
        }
        break;
    case SAVE_ERASE:
        if (slots->state == FW_SLOTS_WRITING) {
            device->saving = SAVE_WRITE;
        } else if (slots->state == FW_SLOTS_IDLE) {
            end_save(device, true);
        }
        break;
    case SAVE_WRITE:
        write_entries(device);
        break;
    case SAVE_RECORD:
        if (slots->state == FW_SLOTS_IDLE) {
            end_save(device, slots->has_failed);
        }
        break;
    default:
        break;
    }
}

/* ---- the slices ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* One step of one store, whose turn it is: at most one erase or program in a poll. */
static uint32_t step_stores(fw_device_t *device, uint32_t now_ms)
{
    uint32_t wake_ms = FW_WAKE_MS_MAX;
    for (uint8_t i = 0; i < 4u; i++) {
        device->turn = (uint8_t)((device->turn + 1u) % 4u);
        uint32_t before = device->flash.operations;
        uint32_t due_ms = device->turn == 0u   ? fw_slots_step(&device->slots, now_ms)
                          : device->turn == 1u ? fw_retain_step(&device->retain, now_ms)
                          : device->turn == 2u ? fw_logbook_step(&device->logbook, now_ms)
                                               : fw_update_step(&device->update, now_ms);
        wake_ms = least(wake_ms, due_ms < FW_SCAN_INTERVAL_MS ? FW_SCAN_INTERVAL_MS : due_ms);
        if (device->flash.operations != before) {
            return FW_SCAN_INTERVAL_MS;
        }
    }
    return wake_ms;
}

/* A new image is good once its gateway has been there for a minute; without one, once it has run for
 * five. Until then every boot counts against it; and one that does not come to its gateway boots, lest
 * nobody ever reaches the board again. */
static void confirm_update(fw_device_t *device, uint32_t now_ms)
{
    const fw_controller_t *controller = &device->controller;
    bool has_gateway = device->configuration.texts[FW_TEXT_GATEWAY_1][0] != '\0';
    bool is_live = controller->link.state == FW_LINK_LIVE &&
                   fw_since(now_ms, controller->link.since_ms) >= FW_CONFIRM_LINK_MS;
    bool has_run = !has_gateway && controller->uptime_ms >= FW_CONFIRM_RUN_MS;
    if (device->update.phase == FW_UPDATE_TRIAL && (is_live || has_run)) {
        (void)fw_update_confirm(&device->update); /* asked again while it is busy */
    }
    if (!has_gateway || controller->link.state == FW_LINK_LIVE) {
        device->met = (uint8_t)(now_ms >> FW_MET_SHIFT);
    }
    uint8_t away = (uint8_t)((now_ms >> FW_MET_SHIFT) - device->met);
    if (device->update.phase == FW_UPDATE_TRIAL && !device->must_restart &&
        away > (FW_CONFIRM_AWAY_MS >> FW_MET_SHIFT)) {
        fw_device_restart(device);
    }
}

static void restart_in_time(fw_device_t *device, uint32_t now_ms)
{
    if (device->must_restart && fw_since(now_ms, device->restart_ms) >= FW_RESTART_DELAY_MS) {
        const fw_machine_t *machine = device->setup->machine;
        device->must_restart = false;
        machine->restart(machine->ctx);
    }
}

uint32_t fw_device_poll(fw_device_t *device)
{
    if (device->flash.has_stalled) {
        device->flash.has_stalled = false;
        device->controller.stall = FW_GAP_ERASE;
    }
    uint32_t wake_ms = fw_controller_poll(&device->controller);
    uint32_t now_ms = fw_now(&device->controller);
    log_scan(device, now_ms);
    fw_device_look_for_fault(device, now_ms);
    fw_scripts_poll(&device->scripts, now_ms);
    bool is_looking = fw_device_look_into_scan(device, now_ms);
    fw_device_record(device, now_ms);
    device->controller.condition = (fw_condition_t){
        .trial_left_ms = fw_scripts_trial_left_ms(&device->scripts, now_ms),
        .reset = device->setup->reset,
        .script = device->scripts.state,
        .free_bytes = device->setup->machine->free_bytes(device->setup->machine->ctx),
        .digest = device->kept.generation == device->scripts.generation ? device->kept.digest : NULL,
        .update = &device->update,
    };
    bool is_asked = fw_device_kept_step(device);
    save_step(device);
    confirm_update(device, now_ms);
    wake_ms = least(wake_ms, step_stores(device, now_ms));
    fw_events_poll(&device->events);
    restart_in_time(device, now_ms);
    bool is_busy = device->saving != SAVE_NOTHING || fw_scripts_is_working(&device->scripts) ||
                   device->must_restart || is_asked || is_looking || fw_device_is_dumping(device);
    wake_ms = least(wake_ms, is_busy ? FW_SCAN_INTERVAL_MS : FW_RETAIN_LOOK_MS);
    return wake_ms;
}
