/*
 * replay.c: see replay.h.
 */
#include "replay.h"

size_t fw_replay_bytes(void)
{
    return sizeof(fw_replay_t);
}

size_t fw_replay_align(void)
{
    return _Alignof(fw_replay_t);
}

size_t fw_replay_scan_bytes(void)
{
    return sizeof(fw_replay_scan_t);
}

/* ---- the head ---- */

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | (uint32_t)at[1] << 8);
}

static uint32_t get_u32(const uint8_t *at)
{
    return get_u16(at) | (uint32_t)get_u16(at + 2) << 16;
}

fw_replay_result_t fw_replay_head(const uint8_t *bytes, size_t length, fw_replay_head_t *head)
{
    static const uint8_t magic[4] = {'S', 'W', 'R', 'C'};
    if (length < 5u || !fw_equal(bytes, magic, sizeof(magic))) {
        return FW_REPLAY_NONE;
    }
    if (bytes[4] != FW_RECORDER_FORMAT) {
        return FW_REPLAY_FORMAT;
    }
    if (length < FW_RECORDER_HEAD_BYTES) {
        return FW_REPLAY_BROKEN;
    }
    *head = (fw_replay_head_t){
        .recorded =
            {
                .why = bytes[5],
                .flags = bytes[6],
                .point = bytes[7],
                .line = get_u16(bytes + 8),
                .generation = get_u32(bytes + 12),
                .script_crc = get_u32(bytes + 16),
                .boot_id = get_u32(bytes + 20),
                .time_s = get_u32(bytes + 24),
                .uptime_ms = get_u32(bytes + 28) | (uint64_t)get_u32(bytes + 32) << 32,
            },
        .format = bytes[4],
        .now_ms = get_u32(bytes + 36),
        .digest = get_u32(bytes + 40),
        .used = {get_u16(bytes + 44), get_u16(bytes + 48)},
        .scans = {get_u16(bytes + 46), get_u16(bytes + 50)},
    };
    bool is_whole = get_u16(bytes + 10) == FW_RECORDER_HEAD_BYTES && head->used[1] > 0u &&
                    (size_t)FW_RECORDER_HEAD_BYTES + head->used[0] + head->used[1] == length;
    if (!is_whole) {
        return FW_REPLAY_BROKEN;
    }
    uint32_t sum = fw_recorder_sum(FW_RECORDER_SUM_BEGIN, bytes, FW_RECORDER_SUM_AT);
    sum = fw_recorder_sum(sum, bytes + FW_RECORDER_HEAD_BYTES, length - FW_RECORDER_HEAD_BYTES);
    return sum == get_u32(bytes + FW_RECORDER_SUM_AT) ? FW_REPLAY_END : FW_REPLAY_BROKEN;
}

/* ---- numbers ---- */

/* False: there is none, or none of 32 bits. */
static bool get(fw_replay_t *replay, uint32_t *number)
{
    *number = 0;
    for (uint32_t shift = 0; replay->at < replay->end && shift < 35u; shift += 7u) {
        uint8_t byte = *replay->at++;
        if (shift == 28u && byte > 0x0Fu) {
            return false;
        }
        *number |= (uint32_t)(byte & 0x7Fu) << shift;
        if (byte < 0x80u) {
            return true;
        }
    }
    return false;
}

static bool get_signed(fw_replay_t *replay, int32_t *number)
{
    uint32_t bits = 0;
    bool is_number = get(replay, &bits);
    *number = (int32_t)((bits & 1u) != 0u ? ~(bits >> 1) : bits >> 1);
    return is_number;
}

static bool get_byte(fw_replay_t *replay, uint8_t *byte)
{
    uint32_t number = 0;
    bool is_byte = get(replay, &number) && number <= UINT8_MAX;
    *byte = (uint8_t)number;
    return is_byte;
}

/* How long before the scan. */
static bool get_moment(fw_replay_t *replay, uint32_t *moment_ms)
{
    uint32_t age_ms = 0;
    bool is_age = get(replay, &age_ms);
    *moment_ms = replay->recorder.now_ms - age_ms;
    return is_age;
}

static bool get_cause(fw_replay_t *replay, fw_cause_t *cause)
{
    return get_byte(replay, &cause->kind) && get(replay, &cause->by) &&
           get(replay, &cause->reference);
}

/* ---- a checkpoint ---- */

static bool get_machine(fw_replay_t *replay)
{
    fw_vm_t *vm = &replay->runner.vm;
    uint8_t blocks = 0;
    if (!get(replay, &vm->divisions_by_zero) || !get(replay, &vm->alarms)) {
        return false;
    }
    for (uint32_t cell = 0; cell < FW_SCRIPT_CELLS; cell++) {
        bool is_kept = (replay->recorder.kept[cell / 32u] >> cell % 32u & 1u) != 0u;
        if (is_kept && !get_signed(replay, &vm->cells[cell])) {
            return false;
        }
    }
    if (!get_byte(replay, &blocks) || blocks > FW_SCRIPT_BLOCKS_MAX) {
        return false;
    }
    for (uint8_t i = 0; i < FW_SCRIPT_BLOCKS_MAX; i++) {
        vm->blocks[i] = (fw_block_t){.value = 0};
        if (i < blocks && !(get_signed(replay, &vm->blocks[i].value) &&
                            get(replay, &vm->blocks[i].since_ms))) {
            return false;
        }
    }
    return true;
}

static bool get_point(fw_replay_t *replay, uint8_t at)
{
    fw_point_t *point = &replay->runner.points.at[at];
    fw_runner_point_t *state = &replay->runner.at[at];
    int32_t *cell = &replay->runner.vm.cells[point->record.a];
    uint8_t override = 0;
    if (!get_byte(replay, &point->flags) || !get_moment(replay, &state->changed_ms)) {
        return false;
    }
    if (!fw_point_type_is_output(point->type)) {
        point->value = *cell;
        return get_signed(replay, &replay->recorder.raw[at]) && get_signed(replay, &state->wanted);
    }
    state->wanted = *cell;
    bool is_whole = get_signed(replay, &point->value) && get_cause(replay, &point->cause) &&
                    get_cause(replay, &state->wish) &&
                    get_moment(replay, &state->disagreed_ms) && get_byte(replay, &override) &&
                    get_byte(replay, &replay->runner.vm.set_by[point->record.a]);
    state->disagrees = (override & FW_TAPE_DISAGREES) != 0u;
    uint32_t found = override & ~(uint32_t)FW_TAPE_DISAGREES;
    state->override = found & 3u;
    return is_whole && found <= FW_OVERRIDE_SAFE;
}

/* What a digest is made of. */
static void remember_forces(fw_replay_t *replay)
{
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        replay->recorder.forces[i] = replay->runner.forces[i];
    }
}

/* Places up to the one that is none. */
static bool get_forces(fw_replay_t *replay)
{
    fw_runner_t *runner = &replay->runner;
    uint8_t place = 0;
    while (get_byte(replay, &place) && place > 0u && place <= FW_FORCES_MAX) {
        fw_force_t *force = &runner->forces[place - 1u];
        *force = (fw_force_t){.length_ms = 0};
        if (!get(replay, &force->length_ms)) {
            return false;
        }
        if (force->length_ms == 0u) {
            continue;
        }
        if (!get_byte(replay, &force->point) || force->point >= runner->points.count ||
            !fw_point_type_is_output(runner->points.at[force->point].type) ||
            !get_signed(replay, &force->value) || !get_moment(replay, &force->since_ms)) {
            return false;
        }
    }
    runner->forced = 0;
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        const fw_force_t *force = &runner->forces[i];
        runner->forced |= force->length_ms == 0u ? 0u : (uint32_t)1 << force->point;
    }
    return place == 0u;
}

static bool get_state(fw_replay_t *replay)
{
    fw_runner_t *runner = &replay->runner;
    fw_recorder_t *recorder = &replay->recorder;
    bool is_whole = get(replay, &recorder->now_ms) && get(replay, &recorder->bits) &&
                    recorder->bits < FW_TAPE_LEAVES_OUT && get_moment(replay, &runner->online_ms) &&
                    get_moment(replay, &runner->vm.now_ms) && get_machine(replay);
    for (uint8_t i = 0; is_whole && i < runner->points.count; i++) {
        is_whole = get_point(replay, i);
    }
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        runner->forces[i].length_ms = 0;
    }
    runner->vm.has_scanned = (recorder->bits & FW_TAPE_HAS_SCANNED) != 0u;
    recorder->bits &= ~FW_TAPE_HAS_SCANNED;
    runner->was_online = (recorder->bits & FW_TAPE_IS_ONLINE) != 0u;
    runner->is_stopped = (recorder->bits & FW_TAPE_IS_STOPPED) != 0u;
    is_whole = is_whole && get_forces(replay);
    remember_forces(replay);
    return is_whole;
}

/* Reads the next segment's checkpoint. What the scans so far have led to must be the same. */
static fw_replay_result_t begin_segment(fw_replay_t *replay, bool has_state)
{
    uint32_t expected = has_state ? fw_recorder_digest(&replay->recorder, &replay->runner) : 0u;
    replay->at = replay->next;
    replay->end = replay->at + replay->head.used[replay->segment];
    replay->next = replay->end;
    replay->scans = replay->head.scans[replay->segment];
    if (!get_state(replay)) {
        return FW_REPLAY_BROKEN;
    }
    uint32_t found = fw_recorder_digest(&replay->recorder, &replay->runner);
    return !has_state || found == expected ? FW_REPLAY_END : FW_REPLAY_ELSEWHERE;
}

fw_replay_result_t fw_replay_begin(fw_replay_t *replay, const uint8_t *bytes, size_t length,
                                   const fw_program_t *program)
{
    *replay = (fw_replay_t){.next = bytes + FW_RECORDER_HEAD_BYTES};
    fw_replay_result_t result = fw_replay_head(bytes, length, &replay->head);
    if (result != FW_REPLAY_END) {
        return result;
    }
    fw_runner_start(&replay->runner, program, 0);
    replay->runner.durings = 0; /* nobody asks for the time of day: they are told */
    fw_recorder_begin(&replay->recorder, &replay->runner);
    replay->segment = replay->head.used[0] == 0u ? 1 : 0;
    return begin_segment(replay, false);
}

/* ---- a scan ---- */

static bool get_inputs(fw_replay_t *replay)
{
    fw_recorder_t *recorder = &replay->recorder;
    uint8_t number = 0;
    while (get_byte(replay, &number) && number > 0u) {
        uint32_t input = number - 1u;
        int32_t change = 0;
        if (input >= replay->runner.points.count || (recorder->inputs >> input & 1u) == 0u) {
            return false;
        }
        if ((recorder->digital >> input & 1u) != 0u) {
            recorder->raw[input] = recorder->raw[input] == 0;
        } else if (get_signed(replay, &change)) {
            recorder->raw[input] = (int32_t)((uint32_t)recorder->raw[input] + (uint32_t)change);
        } else {
            return false;
        }
    }
    return number == 0u;
}

static bool get_command(fw_replay_t *replay)
{
    fw_command_t *command = &replay->command;
    bool is_whole = get_byte(replay, &command->kind) && get_byte(replay, &command->index) &&
                    get_cause(replay, &command->cause);
    for (uint8_t i = 0; is_whole && i < FW_ARGUMENTS_MAX; i++) {
        is_whole = get_signed(replay, &command->arguments[i]);
    }
    switch (command->kind) {
    case FW_COMMAND_CALL:
        return is_whole && command->index < FW_SCRIPT_COMMANDS_MAX;
    case FW_COMMAND_SET:
        return is_whole && command->index < replay->runner.points.count;
    default:
        return is_whole && command->kind == FW_COMMAND_ADJUST;
    }
}

static bool toggle_durings(fw_replay_t *replay)
{
    uint32_t bits = 0;
    uint16_t at = 0;
    uint8_t number = 0;
    fw_record_t record;
    if (!get(replay, &bits) || bits > UINT16_MAX) {
        return false;
    }
    replay->runner.schedules = (uint16_t)bits;
    while (fw_program_next_of(&replay->runner.vm.program, &at, FW_RECORD_DURING, &record)) {
        if ((bits >> (number++ & 15u) & 1u) != 0u) {
            int32_t *cell = &replay->runner.vm.cells[record.a];
            *cell = *cell == 0;
        }
    }
    return true;
}

/* The cells that were set by hand. */
static bool get_cells(fw_replay_t *replay)
{
    replay->set_count = 0;
    while (replay->at < replay->end && *replay->at == FW_TAPE_CELL) {
        uint8_t cell = 0;
        int32_t value = 0;
        replay->at++;
        if (!get_byte(replay, &cell) || !get_signed(replay, &value)) {
            return false;
        }
        replay->runner.vm.cells[cell] = value;
        if (replay->set_count < FW_REPLAY_SET_MAX) {
            replay->set_cells[replay->set_count++] = cell;
        }
    }
    return true;
}

/* What the scan is given. */
static bool get_scan(fw_replay_t *replay)
{
    fw_recorder_t *recorder = &replay->recorder;
    if (!get_cells(replay) || replay->at == replay->end) {
        return false;
    }
    uint8_t first = *replay->at++;
    replay->elapsed_ms = first & ~FW_TAPE_MORE;
    replay->what = 0;
    if (first >= FW_TAPE_MORE) {
        if (replay->at == replay->end) {
            return false;
        }
        replay->what = *replay->at++;
    }
    if ((replay->what & FW_TAPE_LONG) != 0u && !get(replay, &replay->elapsed_ms)) {
        return false;
    }
    recorder->now_ms += replay->elapsed_ms;
    replay->has_command = (replay->what & FW_TAPE_COMMAND) != 0u;
    replay->runner.schedules = 0;
    recorder->bits ^= (replay->what & FW_TAPE_ONLINE) != 0u ? FW_TAPE_IS_ONLINE : 0u;
    recorder->bits ^= (replay->what & FW_TAPE_SYNCED) != 0u ? FW_TAPE_IS_SYNCED : 0u;
    return ((replay->what & FW_TAPE_INPUTS) == 0u || get_inputs(replay)) &&
           (!replay->has_command || get_command(replay)) &&
           ((replay->what & FW_TAPE_FORCES) == 0u || get_forces(replay)) &&
           ((replay->what & FW_TAPE_DURINGS) == 0u || toggle_durings(replay));
}

/* Behind its last scan cells may have been set, and nothing else. */
static fw_replay_result_t end_segment(fw_replay_t *replay)
{
    if (!get_cells(replay) || replay->at != replay->end) {
        return FW_REPLAY_BROKEN;
    }
    if (replay->segment == 0u) {
        replay->segment = 1;
        return begin_segment(replay, true);
    }
    bool agrees = replay->recorder.now_ms == replay->head.now_ms &&
                  fw_recorder_digest(&replay->recorder, &replay->runner) == replay->head.digest;
    return agrees ? FW_REPLAY_END : FW_REPLAY_ELSEWHERE;
}

fw_replay_result_t fw_replay_next(fw_replay_t *replay)
{
    while (replay->scans == 0u) {
        bool was_last = replay->segment == 1u;
        fw_replay_result_t result = end_segment(replay);
        if (result != FW_REPLAY_END || was_last) {
            return result;
        }
    }
    if (!get_scan(replay)) {
        return FW_REPLAY_BROKEN;
    }
    fw_recorder_t *recorder = &replay->recorder;
    const fw_runner_scan_t scan = {
        .raw = recorder->raw,
        .command = replay->has_command ? &replay->command : NULL,
        .now_ms = recorder->now_ms,
        .online = (recorder->bits & FW_TAPE_IS_ONLINE) != 0u,
        .synced = (recorder->bits & FW_TAPE_IS_SYNCED) != 0u,
    };
    replay->scans--;
    replay->runner.leaves_out = (replay->what & FW_TAPE_LEFT_OUT) != 0u;
    replay->result = (uint8_t)fw_runner_scan(&replay->runner, &scan);
    remember_forces(replay);
    return FW_REPLAY_SCAN;
}

/* ---- for the wrapper ---- */

size_t fw_host_recorder_bytes(void)
{
    return sizeof(fw_recorder_t);
}

size_t fw_host_recorder_align(void)
{
    return _Alignof(fw_recorder_t);
}

size_t fw_host_recording(fw_recorder_t *recorder, const fw_runner_t *runner, uint32_t script_crc,
                         uint8_t *into, size_t room)
{
    const fw_recorded_t recorded = {
        .script_crc = script_crc, .why = FW_RECORDED_ON_REQUEST, .point = FW_POINT_NONE};
    size_t length = 0;
    if (!fw_recorder_end(recorder, runner, &recorded)) {
        return 0;
    }
    for (;;) {
        fw_span_t piece = fw_recorder_piece(recorder, (uint32_t)length);
        if (piece.length == 0u || piece.length > room - length) {
            return length;
        }
        fw_copy(into + length, piece.bytes, piece.length);
        length += piece.length;
    }
}

fw_runner_t *fw_replay_runner(fw_replay_t *replay)
{
    return &replay->runner;
}

uint16_t fw_replay_divided_line(const fw_replay_t *replay)
{
    const fw_vm_t *vm = &replay->runner.vm;
    uint16_t next = 0;
    return fw_program_line(&vm->program, vm->divided_at, &next);
}

void fw_replay_scan(const fw_replay_t *replay, fw_replay_scan_t *scan)
{
    uint32_t bits = replay->recorder.bits;
    *scan = (fw_replay_scan_t){
        .now_ms = replay->recorder.now_ms,
        .elapsed_ms = replay->elapsed_ms,
        .by = replay->command.cause.by,
        .reference = replay->command.cause.reference,
        .forced = replay->runner.forced,
        .command = replay->has_command ? replay->command.kind : 0xFFu,
        .index = replay->command.index,
        .result = replay->result,
        .online = (bits & FW_TAPE_IS_ONLINE) != 0u,
        .synced = (bits & FW_TAPE_IS_SYNCED) != 0u,
        .set_count = replay->set_count,
    };
    for (uint8_t i = 0; i < FW_ARGUMENTS_MAX; i++) {
        scan->arguments[i] = replay->command.arguments[i];
    }
    for (uint8_t i = 0; i < replay->set_count; i++) {
        scan->set_cells[i] = replay->set_cells[i];
    }
}
