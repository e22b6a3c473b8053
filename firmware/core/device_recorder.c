/*
 * device_recorder.c: when scans are recorded, when a recording is kept, and how it gets into flash.
 *
 * A fault ends the recording with the scan that was at fault. It then stays in memory until the slots are
 * free: a script's and the settings' saves go first. Once it is in flash, recording begins anew.
 */
#include "device_inside.h"
#include "inside.h"

enum { DUMP_NOTHING = 0, DUMP_WAIT, DUMP_ERASE, DUMP_WRITE, DUMP_RECORD };

bool fw_device_is_dumping(const fw_device_t *device)
{
    return device->dump.step != DUMP_NOTHING;
}

bool fw_device_drop_recording(fw_device_t *device)
{
    fw_dump_t *dump = &device->dump;
    if (dump->step == DUMP_WAIT) {
        dump->step = DUMP_NOTHING;
        dump->has_failed = true;
    }
    return dump->step == DUMP_NOTHING;
}

/* ---- which ---- */

/* The number of the output whose channel is the lowest of these bits. */
static uint8_t point_of(const fw_points_t *points, uint32_t channels)
{
    for (uint8_t i = 0; i < points->count; i++) {
        uint8_t channel = fw_point_channel(&points->at[i]);
        bool is_output = fw_point_type_is_output(points->at[i].type);
        if (is_output && channel < 32u && (channels >> channel & 1u) != 0u) {
            return i;
        }
    }
    return FW_POINT_NONE;
}

/* Where the output was given what its feedback did not follow; or, if no statement did, its own line. */
static uint16_t line_of(const fw_runner_t *runner, uint8_t point)
{
    fw_assignment_t assignment;
    const fw_record_t *record = &runner->points.at[point].record;
    bool is_found = fw_program_assignment(&runner->vm.program, runner->at[point].causes_at, record->a,
                                          runner->vm.set_by[record->a], &assignment);
    return is_found ? assignment.line : (uint16_t)record->words[FW_OUTPUT_LINE];
}

/* Whether the kept one tells of the same, byte for byte as the head has it. */
static bool is_known(const fw_device_t *device, const fw_recorded_t *recorded)
{
    fw_slot_view_t view;
    if (!fw_slots_active(&device->slots, FW_PAIR_DUMP, &view)) {
        return false;
    }
    const fw_flash_port_t *flash = device->setup->flash;
    const uint32_t *head = flash->map(flash->ctx, view.address[FW_PART_SOURCE]);
    uint32_t line = recorded->line;
    return (head[1] >> 8 & 0xFFu) == recorded->why && head[1] >> 24 == recorded->point &&
           (head[2] & 0xFFFFu) == line && head[3] == recorded->generation;
}

/* Ends the recording. False: there is nothing. */
static bool end_recording(fw_device_t *device, fw_recorded_t *recorded, uint32_t now_ms)
{
    fw_controller_t *controller = &device->controller;
    const fw_slot_pair_t *pair = &device->slots.pairs[FW_PAIR_SCRIPT];
    if (controller->recorder == NULL) {
        return false;
    }
    recorded->uptime_ms = controller->uptime_ms;
    recorded->boot_id = controller->status.boot_id;
    recorded->time_s = fw_device_wall_s(device);
    recorded->generation = device->scripts.generation;
    recorded->script_crc = pair->slots[pair->active].crc;
    recorded->flags = device->scripts.state == FW_SCRIPT_ON_TRIAL ? FW_RECORDED_ON_TRIAL : 0u;
    if (!fw_recorder_end(controller->recorder, &controller->runner, recorded)) {
        return false;
    }
    controller->recorder = NULL;
    device->dump.step = DUMP_WAIT;
    device->dump.has_failed = false;
    device->dump.is_of_fault = recorded->why != FW_RECORDED_ON_REQUEST;
    device->dump.began_ms = now_ms;
    device->dump.compilations = device->scripts.compilations;
    return true;
}

/* One an hour, and within the first hour none that a boot before has kept: a controller that restarts time
 * and again does not wear its flash. */
static bool may_keep(const fw_device_t *device, fw_recorded_t *recorded, uint32_t now_ms)
{
    const fw_dump_t *dump = &device->dump;
    recorded->generation = device->scripts.generation;
    if (dump->has_kept) {
        return fw_since(now_ms, dump->kept_ms) >= FW_DUMP_GAP_MS;
    }
    return device->controller.uptime_ms >= FW_DUMP_GAP_MS || !is_known(device, recorded);
}

void fw_device_look_for_fault(fw_device_t *device, uint32_t now_ms)
{
    fw_dump_t *dump = &device->dump;
    const fw_runner_t *runner = &device->controller.runner;
    uint32_t faults = fw_runner_faults(runner);
    uint32_t begun = faults & ~dump->faults;
    uint32_t divisions = runner->vm.divisions_by_zero;
    bool has_divided = divisions != dump->divisions && !dump->has_divided;
    fw_recorded_t recorded = {.why = FW_RECORDED_DIVISION, .point = FW_POINT_NONE};
    dump->faults = faults;
    dump->divisions = divisions;
    if (device->controller.recorder == NULL || (!has_divided && begun == 0u)) {
        return;
    }
    if (has_divided) {
        uint16_t next = 0;
        dump->has_divided = true;
        recorded.line = fw_program_line(&runner->vm.program, runner->vm.divided_at, &next);
    } else {
        recorded.why = FW_RECORDED_FEEDBACK;
        recorded.point = point_of(&runner->points, begun);
        recorded.line = recorded.point == FW_POINT_NONE ? 0u : line_of(runner, recorded.point);
    }
    /* What ends a trial is always kept: somebody is about to look at it. */
    bool ends_trial = device->scripts.state == FW_SCRIPT_ON_TRIAL &&
                      (has_divided || (begun & ~device->scripts.faulty) != 0u);
    if (ends_trial || may_keep(device, &recorded, now_ms)) {
        (void)end_recording(device, &recorded, now_ms);
    }
}

bool fw_device_dump_now(fw_device_t *device)
{
    fw_dump_t *dump = &device->dump;
    uint32_t now_ms = fw_now(&device->controller);
    fw_recorded_t recorded = {.why = FW_RECORDED_ON_REQUEST, .point = FW_POINT_NONE};
    if (dump->was_asked && fw_since(now_ms, dump->asked_ms) < FW_DUMP_ASKED_GAP_MS) {
        return false;
    }
    if (!end_recording(device, &recorded, now_ms)) {
        return false;
    }
    dump->was_asked = true;
    dump->asked_ms = now_ms;
    return true;
}

/* ---- into flash ---- */

static void wait_for_slots(fw_device_t *device, uint32_t now_ms)
{
    fw_dump_t *dump = &device->dump;
    if (dump->compilations != device->scripts.compilations) {
        dump->step = DUMP_NOTHING; /* it was overwritten */
        dump->has_failed = true;
        return;
    }
    if (device->saving != 0u || fw_scripts_is_working(&device->scripts)) {
        return;
    }
    if (fw_since(now_ms, dump->began_ms) >= FW_DUMP_PATIENCE_MS) {
        fw_device_make_room(device);
    }
    if (fw_slots_begin(&device->slots, FW_PAIR_DUMP) == FW_SLOTS_OK) {
        dump->step = DUMP_ERASE;
        dump->generation = (uint16_t)fw_slots_next_generation(&device->slots);
        dump->written = 0;
    }
}

/* Flash has. What was kept before still is. */
static void fail(fw_dump_t *dump)
{
    dump->step = DUMP_NOTHING;
    dump->has_failed = true;
}

static void write_slice(fw_device_t *device)
{
    fw_dump_t *dump = &device->dump;
    fw_span_t piece = fw_recorder_piece(&device->work.recorder, dump->written);
    fw_slots_answer_t answer = FW_SLOTS_OK;
    size_t taken = 0;
    if (piece.length > 0u) {
        answer = fw_slots_write(&device->slots, piece.bytes, piece.length, &taken);
        dump->written = (uint16_t)(dump->written + taken);
    } else {
        answer = fw_slots_finish(&device->slots, false);
        dump->step = DUMP_RECORD;
    }
    if (answer != FW_SLOTS_OK) {
        fail(dump);
    }
}

/* Only what got into flash counts as kept. */
static void end_dump(fw_device_t *device)
{
    fw_dump_t *dump = &device->dump;
    fw_slot_view_t view;
    bool is_there = fw_slots_active(&device->slots, FW_PAIR_DUMP, &view);
    dump->step = DUMP_NOTHING;
    dump->has_failed = !is_there || (uint16_t)view.generation != dump->generation;
    if (!dump->has_failed && dump->is_of_fault) {
        dump->has_kept = true;
        dump->kept_ms = dump->began_ms;
    }
}

static void dump_step(fw_device_t *device, uint32_t now_ms)
{
    fw_dump_t *dump = &device->dump;
    uint8_t state = device->slots.state;
    switch (dump->step) {
    case DUMP_WAIT:
        wait_for_slots(device, now_ms);
        break;
    case DUMP_ERASE:
        dump->step = state == FW_SLOTS_WRITING ? DUMP_WRITE : DUMP_ERASE;
        if (state == FW_SLOTS_IDLE) {
            fail(dump);
        }
        break;
    case DUMP_WRITE:
        write_slice(device);
        break;
    default:
        if (state == FW_SLOTS_IDLE || device->slots.pair != FW_PAIR_DUMP) {
            end_dump(device); /* the next save may have begun already */
        }
        break;
    }
}

void fw_device_record(fw_device_t *device, uint32_t now_ms)
{
    fw_controller_t *controller = &device->controller;
    fw_dump_t *dump = &device->dump;
    if (dump->step != DUMP_NOTHING) {
        dump_step(device, now_ms);
    }
    if (controller->recorder != NULL || controller->runner.shadow != NULL ||
        dump->step != DUMP_NOTHING || device->kept.is_hashing ||
        fw_scripts_is_compiling(&device->scripts)) {
        return;
    }
    dump->divisions = controller->runner.vm.divisions_by_zero;
    dump->has_divided = dump->has_divided && dump->divisions > 0u; /* not of a script that begins */
    dump->faults = fw_runner_faults(&controller->runner);
    controller->recorder = &device->work.recorder;
    fw_recorder_begin(controller->recorder, &controller->runner);
}

/* ---- for the API ---- */

/* Where one is replaced by the next while it is read, its sum tells. */
size_t fw_device_recording(void *ctx, uint32_t at, uint8_t *into, size_t room)
{
    fw_device_t *device = ctx;
    fw_slot_view_t view;
    bool is_there = fw_slots_active(&device->slots, FW_PAIR_DUMP, &view);
    uint32_t length = is_there ? view.bytes[FW_PART_SOURCE] : 0u;
    if (at >= length) {
        return 0;
    }
    size_t count = length - at < room ? length - at : room;
    bool is_read =
        fw_flash_read_bytes(&device->flash, view.address[FW_PART_SOURCE] + at, into, count);
    return is_read ? count : 0u;
}

fw_api_result_t fw_device_keep_recording(void *ctx, bool begins)
{
    fw_device_t *device = ctx;
    if (begins && !fw_device_dump_now(device)) {
        return FW_PROBLEM_BUSY;
    }
    return fw_device_is_dumping(device) ? FW_API_WAIT
           : device->dump.has_failed    ? FW_PROBLEM_STORE
                                        : FW_PROBLEM_NONE;
}
