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
    fw_commands_scene_t scene = {.program = &controller->runner.vm.program,
                                 .points = &controller->runner.points};
    scene.time_known = fw_clock_now(&controller->clock, fw_now(controller), &scene.time);
    return scene;
}

static bool settings_valid(const fw_settings_t *settings)
{
    uint16_t most = settings->record_bytes_max;
    bool record = most == 0u || (most >= FW_RECORD_BYTES_MIN && most <= FW_RECORD_BYTES_MAX);
    bool address = settings->address != FW_ADDRESS_GATEWAY &&
                   settings->address <= FW_ADDRESS_CONTROLLER_MAX;
    bool gateways = settings->gateways <= FW_GATEWAYS_MAX;
    return record && address && gateways && (!settings->clear || FW_CLEAR_LINK != 0);
}

/* The zone that the settings name; false if it is none. */
static bool read_zone(fw_zone_t *zone, const char *text)
{
    fw_span_t span = {.bytes = (const uint8_t *)text};
    if (text == NULL) {
        return fw_zone_parse(zone, (fw_span_t){(const uint8_t *)"UTC0", 4});
    }
    span.length = fw_string_length(text);
    return fw_zone_parse(zone, span);
}

bool fw_controller_init(fw_controller_t *controller, const fw_settings_t *settings,
                        const fw_port_t *port)
{
    const fw_program_t nothing = {.code = NULL};
    fw_fill((uint8_t *)controller, 0, sizeof *controller);
    if (!settings_valid(settings) || !read_zone(&controller->zone, settings->zone)) {
        return false;
    }
    controller->settings = *settings;
    if (settings->keys != NULL) {
        controller->keys = *settings->keys;
    }
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
    controller->script_title = "none";
    fw_runner_start(&controller->runner, &nothing, now_ms);
    fw_status_init(&controller->status, boot_id, &controller->runner.points, now_ms);
    fw_commands_init(&controller->commands);
    fw_clock_init(&controller->clock);
    fw_link_init(controller);
    return true;
}

/* ---- the scan ---- */

static bool is_online(const fw_controller_t *controller)
{
    return controller->link.state == FW_LINK_LIVE;
}

static void drive_outputs(fw_controller_t *controller)
{
    fw_points_t *points = &controller->runner.points;
    controller->driven |= points->undriven;
    const fw_port_t *port = controller->port;
    for (uint8_t i = 0; i < points->count && points->undriven != 0u; i++) {
        if (((points->undriven >> i) & 1u) != 0u) {
            const fw_point_t *point = &points->at[i];
            port->write_output(port->ctx, fw_point_channel(point), point->value);
        }
    }
    points->undriven = 0;
}

/* Notes a scan that comes late. The first one of a script comes when it comes, and so does one for a hand
 * that came while scans were left out. */
static void note_gap(fw_controller_t *controller, uint32_t now_ms)
{
    const fw_runner_t *runner = &controller->runner;
    uint32_t gap_ms = fw_since(now_ms, controller->scanned_ms);
    uint32_t due_ms = runner->due_ms < FW_SCAN_INTERVAL_MS ? FW_SCAN_INTERVAL_MS : runner->due_ms;
    bool is_free = !runner->vm.has_scanned || (runner->leaves_out && runner->due_ms == 0u);
    if (is_free || gap_ms < FW_SCAN_INTERVAL_MS || gap_ms - FW_SCAN_INTERVAL_MS < due_ms) {
        return;
    }
    controller->late_scans++;
    if (gap_ms > controller->longest_gap_ms) {
        controller->longest_gap_ms = gap_ms;
        controller->gap_cause = controller->stall;
    }
}

/* Commands whose feedback followed or did not. */
static void settle(fw_controller_t *controller, const fw_commands_scene_t *scene)
{
    uint8_t outcome = 0;
    bool confirmed = false;
    while (fw_runner_settled(&controller->runner, &outcome, &confirmed)) {
        fw_commands_settle(&controller->commands, scene, outcome, confirmed);
    }
}

/* Inputs, one command, the script, outputs; then, the outputs being written, the receipts. */
static void scan(fw_controller_t *controller, uint32_t now_ms)
{
    fw_runner_t *runner = &controller->runner;
    const fw_port_t *port = controller->port;
    int32_t raw[FW_SCRIPT_POINTS_MAX];
    note_gap(controller, now_ms);
    controller->stall = FW_GAP_UNKNOWN;
    controller->scanned_ms = now_ms;
    controller->scans++;
    controller->input_news = false;
    for (uint8_t i = 0; i < runner->points.count; i++) {
        const fw_point_t *point = &runner->points.at[i];
        if (!fw_point_type_is_output(point->type)) {
            raw[i] = port->read_input(port->ctx, fw_point_channel(point));
        }
    }
    fw_commands_scene_t scene = fw_scene(controller);
    fw_execution_t execution;
    bool executing = fw_commands_next(&controller->commands, &scene, &execution);
    uint64_t wall_ms = 0;
    fw_runner_scan_t around = {
        .raw = raw,
        .command = executing ? &execution.command : NULL,
        .now_ms = now_ms,
        .zone = &controller->zone,
        .online = is_online(controller),
        .synced = fw_clock_wall(&controller->clock, now_ms, &wall_ms),
    };
    around.utc = (int64_t)(wall_ms / 1000u);
    fw_result_t result = fw_runner_scan(runner, &around);
    drive_outputs(controller);
    fw_recorder_note(controller->recorder, runner, &around);

    settle(controller, &scene);
    if (executing) {
        if (result == FW_RESULT_CONFIRMING) {
            fw_runner_await(runner, execution.outcome);
        }
        fw_commands_finish(&controller->commands, &scene, &execution, result);
    }
}

void fw_controller_run(fw_controller_t *controller, const fw_program_t *program, const char *title)
{
    fw_runner_t *runner = &controller->runner;
    fw_commands_scene_t scene = fw_scene(controller);
    uint32_t now_ms = fw_now(controller);
    fw_runner_abandon(runner);
    settle(controller, &scene);
    fw_commands_drop(&controller->commands, &scene);
    controller->script_title = title;
    controller->condition.script = FW_SCRIPT_KEPT;
    controller->recorder = NULL;
    fw_runner_start(runner, program, now_ms);
    controller->scanned_ms = now_ms - FW_SCAN_INTERVAL_MS;
    fw_status_relayout(&controller->status, &runner->points);
}

bool fw_controller_set_zone(fw_controller_t *controller, const char *zone)
{
    fw_zone_t read;
    if (!read_zone(&read, zone)) {
        return false;
    }
    controller->zone = read;
    controller->runner.looked_utc = -1; /* schedules are looked at anew */
    return true;
}

/* Milliseconds until the next scan must be; FW_WAKE_MS_MAX while nothing moves. */
static uint32_t scan_due_ms(const fw_controller_t *controller, uint32_t now_ms)
{
    const fw_runner_t *runner = &controller->runner;
    bool is_news = controller->input_news || controller->commands.queued > 0u ||
                   !runner->vm.has_scanned || is_online(controller) != runner->was_online;
    uint32_t due_ms = is_news || runner->due_ms < FW_SCAN_INTERVAL_MS ? FW_SCAN_INTERVAL_MS
                                                                     : runner->due_ms;
    uint32_t elapsed = fw_since(now_ms, controller->scanned_ms);
    return elapsed >= due_ms ? 0u : due_ms - elapsed;
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
        wake_ms = least(wake_ms, fw_status_delta_due_ms(&controller->status,
                                                        &controller->runner.points, now_ms));
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

void fw_controller_tell_time(fw_controller_t *controller, uint64_t time)
{
    if (fw_clock_tell(&controller->clock, fw_now(controller), time)) {
        controller->input_news = true; /* schedules are looked at soon */
    }
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
    uint8_t state = controller->link.state;
    if (state != FW_LINK_CLOSED && state != FW_LINK_PREPARING) {
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
    fw_noise_work_wipe(&controller->link.work);
    fw_cipher_wipe(&controller->link.sending);
    fw_cipher_wipe(&controller->link.receiving);
    fw_keys_wipe(&controller->keys);
}

fw_link_state_t fw_controller_link_state(const fw_controller_t *controller)
{
    return (fw_link_state_t)controller->link.state;
}
