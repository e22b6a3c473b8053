/*
 * controller.c: the controller's life: start, scan, poll, and what the port tells. See
 * controller.h.
 */
#include "controller.h"

#include "inside.h"

/* Uptime and the clock's estimate are counted at every poll; see fw_clock_now. */
_Static_assert(FW_WAKE_MS_MAX < 0x7FFFFFFFu, "a wake must come within half a wrap");

void fw_log(const fw_controller_t *controller, fw_log_level_t level, const char *text)
{
    controller->port->log(controller->port->ctx, level, text);
}

fw_commands_scene_t fw_scene(fw_controller_t *controller)
{
    fw_commands_scene_t scene = {.behaviour = controller->behaviour,
                                 .points = &controller->points};
    scene.time_known = fw_clock_now(&controller->clock, fw_now(controller), &scene.time);
    return scene;
}

static bool settings_valid(const fw_settings_t *settings)
{
    uint16_t most = settings->record_bytes_max;
    bool record = most == 0u || (most >= FW_RECORD_BYTES_MIN && most <= FW_RECORD_BYTES_MAX);
    bool address = settings->address != FW_ADDRESS_GATEWAY &&
                   settings->address <= FW_ADDRESS_CONTROLLER_MAX;
    bool gateways = settings->gateways >= 1u && settings->gateways <= FW_GATEWAYS_MAX;
    return record && address && gateways && settings->behaviour <= FW_BEHAVIOUR_RAMP &&
           (!settings->clear || FW_CLEAR_LINK != 0);
}

bool fw_controller_init(fw_controller_t *controller, const fw_settings_t *settings,
                        const fw_port_t *port)
{
    if (!settings_valid(settings)) {
        return false;
    }
    fw_fill((uint8_t *)controller, 0, sizeof *controller);
    controller->settings = *settings;
    controller->port = port;
    if (controller->settings.record_bytes_max == 0u) {
        controller->settings.record_bytes_max = FW_RECORD_BYTES_MAX;
    }
    uint32_t boot_id = settings->boot_id;
    if (boot_id == 0u) {
        uint8_t random[4];
        port->random(port->ctx, random, sizeof random);
        boot_id = fw_load_u32(random);
    }
    uint32_t now_ms = fw_now(controller);
    controller->counted_ms = now_ms;
    /* The first poll is to scan at once: outputs are ours from the first moment on. */
    controller->scanned_ms = now_ms - FW_SCAN_INTERVAL_MS;
    controller->busy = true;
    controller->behaviour = fw_behaviour((fw_behaviour_kind_t)settings->behaviour);
    fw_points_init(&controller->points, controller->behaviour->points,
                   controller->behaviour->points_count);
    controller->behaviour->start(&controller->state, now_ms);
    fw_status_init(&controller->status, boot_id, &controller->points, now_ms);
    fw_commands_init(&controller->commands);
    fw_clock_init(&controller->clock);
    fw_link_init(controller);
    return true;
}

/* ---- the scan ---- */

static void latch_inputs(fw_controller_t *controller)
{
    fw_points_t *points = &controller->points;
    const fw_port_t *port = controller->port;
    for (uint8_t i = 0; i < points->count; i++) {
        const fw_point_profile_t *profile = &points->profiles[i];
        if (fw_point_type_is_output(profile->type)) {
            continue;
        }
        int32_t value = port->read_input(port->ctx, profile->channel);
        if (!fw_point_type_is_analogue(profile->type)) {
            value = value != 0 ? 1 : 0;
        } else {
            bool bad = value < profile->value_min || value > profile->value_max;
            fw_points_flag(points, i, FW_POINT_BAD, bad);
        }
        fw_points_set(points, i, value, (fw_cause_t){.kind = FW_CAUSE_INPUT});
    }
}

static void drive_outputs(fw_controller_t *controller)
{
    fw_points_t *points = &controller->points;
    const fw_port_t *port = controller->port;
    for (uint8_t i = 0; i < points->count && points->undriven != 0u; i++) {
        if (((points->undriven >> i) & 1u) != 0u) {
            port->write_output(port->ctx, points->profiles[i].channel, points->at[i].value);
        }
    }
    points->undriven = 0;
}

/* Inputs, one command, the behaviour, outputs; then, the outputs being written, the receipts. */
static void scan(fw_controller_t *controller, uint32_t now_ms)
{
    controller->scanned_ms = now_ms;
    controller->input_news = false;
    latch_inputs(controller);

    fw_commands_scene_t scene = fw_scene(controller);
    fw_execution_t execution;
    bool executing = fw_commands_next(&controller->commands, &scene, &execution);
    bool calling = executing && !execution.set;
    if (executing && execution.set) {
        fw_points_set(&controller->points, execution.point, execution.call.arguments[0],
                      execution.call.cause);
    }
    fw_scan_t result = controller->behaviour->scan(&controller->state, &controller->points,
                                                   calling ? &execution.call : NULL, now_ms);
    drive_outputs(controller);

    controller->busy = result.busy;
    fw_commands_settle(&controller->commands, &scene, result.settled);
    if (executing) {
        fw_commands_finish(&controller->commands, &scene, execution.outcome,
                           calling ? result.result : FW_CALL_EXECUTED);
    }
}

/* Milliseconds until the next scan must be; FW_WAKE_MS_MAX while nothing moves. */
static uint32_t scan_due_ms(const fw_controller_t *controller, uint32_t now_ms)
{
    if (!controller->busy && !controller->input_news && controller->commands.queued == 0u) {
        return FW_WAKE_MS_MAX;
    }
    uint32_t elapsed = fw_since(now_ms, controller->scanned_ms);
    return elapsed >= FW_SCAN_INTERVAL_MS ? 0u : FW_SCAN_INTERVAL_MS - elapsed;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t fw_controller_poll(fw_controller_t *controller)
{
    uint32_t now_ms = fw_now(controller);
    controller->uptime_ms += fw_since(now_ms, controller->counted_ms);
    controller->counted_ms = now_ms;
    if (fw_since(now_ms, controller->scanned_ms) >= FW_SCAN_INTERVAL_MS) {
        scan(controller, now_ms);
    }
    uint32_t wake_ms = least(fw_link_poll(controller), FW_WAKE_MS_MAX);
    fw_send_pump(controller);
    wake_ms = least(wake_ms, scan_due_ms(controller, now_ms));
    if (fw_link_open(&controller->link)) {
        wake_ms = least(wake_ms, fw_status_delta_due_ms(&controller->status, &controller->points,
                                                        now_ms));
        if (controller->link.filled != 0u) {
            /* The link takes no more: it says `sent` when it does, or is asked again then. */
            wake_ms = wake_ms == 0u ? FW_SCAN_INTERVAL_MS : wake_ms;
            wake_ms = controller->link.port_busy ? wake_ms : least(wake_ms, FW_SCAN_INTERVAL_MS);
        }
    }
    return wake_ms == 0u ? 1u : wake_ms;
}

/* ---- what the port tells ---- */

void fw_controller_input_changed(fw_controller_t *controller)
{
    controller->input_news = true;
}

void fw_controller_connected(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    if (link->state != FW_LINK_DIALLING) {
        return;
    }
    link->since_ms = fw_now(controller);
    link->state = FW_LINK_GREETING;
    if (!fw_send_greeting(controller)) {
        fw_link_close(controller, true);
        return;
    }
    fw_send_pump(controller);
}

void fw_controller_disconnected(fw_controller_t *controller)
{
    if (controller->link.state != FW_LINK_CLOSED) {
        fw_link_close(controller, false);
    }
}

void fw_controller_sent(fw_controller_t *controller)
{
    controller->link.port_busy = false;
    fw_send_pump(controller);
}

void fw_controller_end(fw_controller_t *controller)
{
    fw_noise_ephemeral_wipe(&controller->link.ephemeral);
    fw_noise_wipe(&controller->link.handshake);
    fw_cipher_wipe(&controller->link.sending);
    fw_cipher_wipe(&controller->link.receiving);
    for (size_t i = 0; i < sizeof controller->settings.key; i++) {
        ((volatile uint8_t *)controller->settings.key)[i] = 0;
    }
}

fw_link_state_t fw_controller_link_state(const fw_controller_t *controller)
{
    return (fw_link_state_t)controller->link.state;
}
