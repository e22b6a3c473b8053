/*
 * recorder.c: see recorder.h.
 */
#include "recorder.h"

/* Where less than this is left, a segment ends. A scan that brings more than there is room for begins the
 * recording anew. */
#define SPARE_BYTES 64

uint32_t fw_recorder_sum(uint32_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ bytes[i]) * 16777619u;
    }
    return sum;
}

/* A number of 32 bits in sevens. */
#define NUMBER_BYTES_MAX 5

static bool is_full(const fw_tape_t *tape)
{
    return tape->end - tape->at < NUMBER_BYTES_MAX;
}

static void put(fw_tape_t *tape, uint32_t number)
{
    uint8_t *at = tape->at;
    if (is_full(tape)) {
        return;
    }
    if (number < 0x80u && tape->digest == NULL) { /* as most are */
        *at = (uint8_t)number;
        tape->at = at + 1;
        return;
    }
    for (; number >= 0x80u; number >>= 7) {
        *at++ = (uint8_t)(number | 0x80u);
    }
    *at++ = (uint8_t)number;
    if (tape->digest == NULL) {
        tape->at = at;
        return;
    }
    *tape->digest = fw_recorder_sum(*tape->digest, tape->at, (size_t)(at - tape->at));
}

/* Numbers near 0 are short, on either side. */
static void put_signed(fw_tape_t *tape, int32_t number)
{
    uint32_t bits = (uint32_t)number << 1;
    put(tape, number < 0 ? ~bits : bits);
}

/* ---- the checkpoint ---- */

void fw_recorder_find_kept(uint32_t kept[FW_SCRIPT_CELLS / 32u], const fw_program_t *program)
{
    uint16_t at = 0;
    fw_record_t record;
    for (size_t i = 0; i < FW_SCRIPT_CELLS / 32u; i++) {
        kept[i] = 0;
    }
    while (fw_program_next(program, &at, &record)) {
        switch (record.tag) {
        case FW_RECORD_INPUT:
        case FW_RECORD_OUTPUT:
        case FW_RECORD_VARIABLE:
        case FW_RECORD_RETAINED:
        case FW_RECORD_PARAMETER:
        case FW_RECORD_COMMAND:
        case FW_RECORD_ARGUMENT:
        case FW_RECORD_MACHINE:
        case FW_RECORD_DURING:
        case FW_RECORD_FLAG:
            kept[record.a / 32u] |= (uint32_t)1 << record.a % 32u;
            break;
        default:
            break;
        }
    }
}

static void put_machine(fw_tape_t *tape, const fw_recorder_t *recorder, const fw_vm_t *vm)
{
    put(tape, vm->divisions_by_zero);
    put(tape, vm->alarms);
    for (uint8_t word = 0; word < FW_SCRIPT_CELLS / 32u; word++) {
        const int32_t *cell = &vm->cells[word * 32u];
        for (uint32_t kept = recorder->kept[word]; kept != 0u; kept >>= 1, cell++) {
            if ((kept & 1u) != 0u) {
                put_signed(tape, *cell);
            }
        }
    }
    uint8_t blocks = FW_SCRIPT_BLOCKS_MAX;
    while (blocks > 0u && vm->blocks[blocks - 1u].value == 0 && vm->blocks[blocks - 1u].since_ms == 0u) {
        blocks--;
    }
    put(tape, blocks);
    for (uint8_t i = 0; i < blocks; i++) {
        put_signed(tape, vm->blocks[i].value);
        put(tape, vm->blocks[i].since_ms);
    }
}

static void put_cause(fw_tape_t *tape, const fw_cause_t *cause)
{
    put(tape, cause->kind);
    put(tape, cause->by);
    put(tape, cause->reference);
}

static void put_point(fw_tape_t *tape, const fw_recorder_t *recorder, const fw_runner_t *runner,
                      uint8_t at)
{
    const fw_point_t *point = &runner->points.at[at];
    const fw_runner_point_t *state = &runner->at[at];
    put(tape, point->flags);
    put(tape, recorder->now_ms - state->changed_ms);
    if (!fw_point_type_is_output(point->type)) { /* its value is its cell's */
        put_signed(tape, recorder->raw[at]);
        put_signed(tape, state->wanted);
        return;
    }
    /* What is wanted of an output is in its cell. */
    put_signed(tape, point->value);
    put_cause(tape, &point->cause);
    put_cause(tape, &state->wish);
    put(tape, recorder->now_ms - state->disagreed_ms);
    put(tape, state->override | (state->disagrees ? FW_TAPE_DISAGREES : 0u));
    put(tape, runner->vm.set_by[point->record.a]);
}

static bool is_same_force(const fw_force_t *a, const fw_force_t *b)
{
    return a->length_ms == b->length_ms &&
           (a->length_ms == 0u ||
            (a->point == b->point && a->value == b->value && a->since_ms == b->since_ms));
}

static void put_force(fw_tape_t *tape, const fw_recorder_t *recorder, uint8_t place,
                      const fw_force_t *force)
{
    put(tape, place + 1u);
    put(tape, force->length_ms);
    if (force->length_ms != 0u) {
        put(tape, force->point);
        put_signed(tape, force->value);
        put(tape, recorder->now_ms - force->since_ms);
    }
}

/* The places that are not as they were, and remembers them. Whether there are any. */
static bool put_news_of_forces(fw_tape_t *tape, fw_recorder_t *recorder, const fw_runner_t *runner)
{
    bool any = false;
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        const fw_force_t *force = &runner->forces[i];
        if (!is_same_force(force, &recorder->forces[i])) {
            any = true;
            put_force(tape, recorder, i, force);
            recorder->forces[i] = *force;
        }
    }
    if (any) {
        put(tape, 0);
    }
    recorder->forced = runner->forced;
    return any;
}

/* Those of the last scan: a hand may have come since. */
static void put_all_forces(fw_tape_t *tape, const fw_recorder_t *recorder)
{
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        if (recorder->forces[i].length_ms != 0u) {
            put_force(tape, recorder, i, &recorder->forces[i]);
        }
    }
    put(tape, 0);
}

static void put_state(fw_tape_t *tape, const fw_recorder_t *recorder, const fw_runner_t *runner)
{
    put(tape, recorder->now_ms);
    put(tape, (recorder->bits & ~FW_TAPE_LEAVES_OUT) |
                  (runner->vm.has_scanned ? FW_TAPE_HAS_SCANNED : 0u));
    put(tape, recorder->now_ms - runner->online_ms);
    put(tape, recorder->now_ms - runner->vm.now_ms);
    put_machine(tape, recorder, &runner->vm);
    for (uint8_t i = 0; i < runner->points.count; i++) {
        put_point(tape, recorder, runner, i);
    }
    put_all_forces(tape, recorder);
}

uint32_t fw_recorder_digest(const fw_recorder_t *recorder, const fw_runner_t *runner)
{
    uint8_t number[NUMBER_BYTES_MAX];
    uint32_t digest = FW_RECORDER_SUM_BEGIN;
    fw_tape_t tape = {.at = number, .end = number + sizeof(number), .digest = &digest};
    put_state(&tape, recorder, runner);
    return digest;
}

static fw_segment_t *other(fw_recorder_t *recorder)
{
    return &recorder->segments[recorder->current == recorder->segments ? 1 : 0];
}

/* Begins the segment that is now to be written. */
static void begin_segment(fw_recorder_t *recorder, const fw_runner_t *runner, fw_segment_t *segment)
{
    segment->used = 0;
    segment->scans = 0;
    recorder->current = segment;
    recorder->tape = (fw_tape_t){.at = segment->bytes,
                                 .end = segment->bytes + FW_RECORDER_SEGMENT_BYTES};
    put_state(&recorder->tape, recorder, runner);
    if (is_full(&recorder->tape)) { /* as large as this it may well be next time */
        recorder->current = NULL;
        recorder->waits = FW_RECORDER_SCANS;
    }
}

/* ---- scans ---- */

/* As the script sees it: a digital input has two levels. */
static int32_t reading(int32_t raw, uint32_t is_digital)
{
    return is_digital != 0u ? raw != 0 : raw;
}

static void put_input(fw_tape_t *tape, const fw_recorder_t *recorder, uint32_t input, int32_t before)
{
    put(tape, input + 1u);
    if ((recorder->digital >> input & 1u) == 0u) {
        put_signed(tape, (int32_t)((uint32_t)recorder->raw[input] - (uint32_t)before));
    }
}

/* Those that read differently, and remembers them. Whether there are any. */
static bool put_inputs(fw_tape_t *tape, fw_recorder_t *recorder, const int32_t *raw)
{
    bool any = false;
    uint32_t digital = recorder->digital;
    int32_t *known = recorder->raw;
    for (uint32_t inputs = recorder->inputs; inputs != 0u; inputs >>= 1, digital >>= 1, raw++, known++) {
        if ((inputs & 1u) == 0u) {
            continue;
        }
        int32_t now = reading(*raw, digital & 1u);
        int32_t before = *known;
        if (now != before) {
            any = true;
            *known = now;
            put_input(tape, recorder, (uint32_t)(known - recorder->raw), before);
        }
    }
    if (any) {
        put(tape, 0);
    }
    return any;
}

static void put_command(fw_tape_t *tape, const fw_command_t *command)
{
    put(tape, command->kind);
    put(tape, command->index);
    put_cause(tape, &command->cause);
    for (uint8_t i = 0; i < FW_ARGUMENTS_MAX; i++) {
        put_signed(tape, command->arguments[i]);
    }
}

static uint32_t bits_of(const fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    uint32_t bits = scan->online ? FW_TAPE_IS_ONLINE : 0u;
    bits |= scan->synced ? FW_TAPE_IS_SYNCED : 0u;
    bits |= runner->is_stopped ? FW_TAPE_IS_STOPPED : 0u;
    bits |= FW_SKIPS_SCANS && runner->leaves_out ? FW_TAPE_LEAVES_OUT : 0u;
    return bits;
}

static void put_scan(fw_tape_t *tape, fw_recorder_t *recorder, const fw_runner_t *runner,
                     const fw_runner_scan_t *scan, uint32_t elapsed_ms)
{
    uint8_t *head = tape->at;
    uint32_t bits = bits_of(runner, scan);
    uint32_t news = bits ^ recorder->bits;
    uint32_t what = 0;
    tape->at = head + 2;
    if (elapsed_ms > FW_TAPE_MS_MAX) {
        what |= FW_TAPE_LONG;
        put(tape, elapsed_ms);
        elapsed_ms = 0;
    }
    if (put_inputs(tape, recorder, scan->raw)) {
        what |= FW_TAPE_INPUTS;
    }
    if (scan->command != NULL) {
        what |= FW_TAPE_COMMAND;
        put_command(tape, scan->command);
    }
    if ((runner->forced | recorder->forced) != 0u && put_news_of_forces(tape, recorder, runner)) {
        what |= FW_TAPE_FORCES;
    }
    if (runner->schedules != 0u) {
        what |= FW_TAPE_DURINGS;
        put(tape, runner->schedules);
    }
    what |= (news & FW_TAPE_IS_ONLINE) != 0u ? FW_TAPE_ONLINE : 0u;
    what |= (news & FW_TAPE_IS_SYNCED) != 0u ? FW_TAPE_SYNCED : 0u;
    what |= (recorder->bits & FW_TAPE_LEAVES_OUT) != 0u ? FW_TAPE_LEFT_OUT : 0u;
    recorder->bits = bits;
    head[0] = (uint8_t)(what == 0u ? elapsed_ms : elapsed_ms | FW_TAPE_MORE);
    if (what == 0u) {
        tape->at = head + 1;
    } else {
        head[1] = (uint8_t)what;
    }
}

void fw_recorder_begin(fw_recorder_t *recorder, const fw_runner_t *runner)
{
    fw_recorder_find_kept(recorder->kept, &runner->vm.program);
    recorder->inputs = 0;
    recorder->digital = 0;
    for (uint8_t i = 0; i < runner->points.count; i++) {
        uint8_t type = runner->points.at[i].type;
        recorder->inputs |= fw_point_type_is_output(type) ? 0u : (uint32_t)1 << i;
        recorder->digital |= fw_point_type_is_analogue(type) ? 0u : (uint32_t)1 << i;
    }
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        recorder->forces[i].length_ms = 0;
    }
    recorder->forced = 0;
    recorder->waits = 0;
    recorder->current = NULL;
    recorder->segments[0].used = 0;
    recorder->segments[1].used = 0;
}

/* With a scan of which nothing is known but what it led to. */
static void begin_with(fw_recorder_t *recorder, const fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    for (uint8_t i = 0; i < runner->points.count; i++) {
        bool is_input = (recorder->inputs >> i & 1u) != 0u;
        recorder->raw[i] = is_input ? reading(scan->raw[i], recorder->digital >> i & 1u) : 0;
    }
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        recorder->forces[i] = runner->forces[i];
    }
    recorder->forced = runner->forced;
    recorder->bits = bits_of(runner, scan);
    recorder->segments[1].used = 0;
    begin_segment(recorder, runner, &recorder->segments[0]);
}

void fw_recorder_note(fw_recorder_t *recorder, const fw_runner_t *runner,
                      const fw_runner_scan_t *scan)
{
    if (recorder == NULL) {
        return;
    }
    if (recorder->waits > 0u) {
        recorder->waits--;
        return;
    }
    uint32_t elapsed_ms = scan->now_ms - recorder->now_ms;
    fw_segment_t *segment = recorder->current;
    fw_tape_t *tape = &recorder->tape;
    bool was_stopped = (recorder->bits & FW_TAPE_IS_STOPPED) != 0u;
    recorder->now_ms = scan->now_ms;
    if (segment == NULL || runner->is_stopped != was_stopped || is_full(tape)) {
        begin_with(recorder, runner, scan);
        return;
    }
    put_scan(tape, recorder, runner, scan, elapsed_ms);
    segment->scans++;
    if (segment->scans < FW_RECORDER_SCANS && tape->end - tape->at >= SPARE_BYTES) {
        return;
    }
    if (is_full(tape)) {
        begin_with(recorder, runner, scan);
    } else {
        segment->used = (uint32_t)(tape->at - segment->bytes);
        begin_segment(recorder, runner, other(recorder));
    }
}

void fw_recorder_set(fw_recorder_t *recorder, uint8_t cell, int32_t value)
{
    if (recorder == NULL || recorder->current == NULL) {
        return;
    }
    /* Where there is no room the next scan finds that the tape is full. */
    if (!is_full(&recorder->tape)) {
        *recorder->tape.at++ = FW_TAPE_CELL;
    }
    put(&recorder->tape, cell);
    put_signed(&recorder->tape, value);
}

/* ---- the end ---- */

static void put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value);
    put_u16(at + 2, value >> 16);
}

bool fw_recorder_end(fw_recorder_t *recorder, const fw_runner_t *runner,
                     const fw_recorded_t *recorded)
{
    static const uint8_t magic[4] = {'S', 'W', 'R', 'C'};
    fw_segment_t *newer = recorder->current;
    if (newer == NULL || is_full(&recorder->tape)) {
        return false;
    }
    const fw_segment_t *older = other(recorder);
    newer->used = (uint32_t)(recorder->tape.at - newer->bytes);
    uint8_t *head = recorder->head;
    fw_copy(head, magic, sizeof(magic));
    head[4] = FW_RECORDER_FORMAT;
    head[5] = recorded->why;
    head[6] = recorded->flags;
    head[7] = recorded->point;
    put_u16(head + 8, recorded->line);
    put_u16(head + 10, FW_RECORDER_HEAD_BYTES);
    put_u32(head + 12, recorded->generation);
    put_u32(head + 16, recorded->script_crc);
    put_u32(head + 20, recorded->boot_id);
    put_u32(head + 24, recorded->time_s);
    put_u32(head + 28, (uint32_t)recorded->uptime_ms);
    put_u32(head + 32, (uint32_t)(recorded->uptime_ms >> 32));
    put_u32(head + 36, recorder->now_ms);
    put_u32(head + 40, fw_recorder_digest(recorder, runner));
    put_u16(head + 44, older->used);
    put_u16(head + 46, older->used == 0u ? 0u : older->scans);
    put_u16(head + 48, newer->used);
    put_u16(head + 50, newer->scans);
    uint32_t sum = fw_recorder_sum(FW_RECORDER_SUM_BEGIN, head, FW_RECORDER_SUM_AT);
    sum = fw_recorder_sum(sum, older->bytes, older->used);
    put_u32(head + FW_RECORDER_SUM_AT, fw_recorder_sum(sum, newer->bytes, newer->used));
    return true;
}

fw_span_t fw_recorder_piece(const fw_recorder_t *recorder, uint32_t at)
{
    const fw_segment_t *newer = recorder->current;
    const fw_segment_t *older = &recorder->segments[newer == recorder->segments ? 1 : 0];
    const fw_span_t pieces[] = {{recorder->head, FW_RECORDER_HEAD_BYTES},
                                {older->bytes, older->used},
                                {newer->bytes, newer->used}};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        if (at < pieces[i].length) {
            return (fw_span_t){pieces[i].bytes + at, pieces[i].length - at};
        }
        at -= (uint32_t)pieces[i].length;
    }
    return (fw_span_t){NULL, 0};
}
