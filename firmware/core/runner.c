/*
 * runner.c: see runner.h.
 */
#include "runner.h"

static int32_t word_of(const fw_record_t *record, uint8_t at)
{
    return (int32_t)record->words[at];
}

/* Hangs a flag's cell where it is written. */
static void hang_flag(fw_runner_t *runner, const fw_record_t *record)
{
    uint8_t point = (uint8_t)record->words[0];
    switch (record->b) {
    case FW_FLAG_ONLINE:
        runner->online_cell = record->a;
        break;
    case FW_FLAG_SYNCED:
        runner->synced_cell = record->a;
        break;
    case FW_FLAG_BAD:
        for (uint8_t i = 0; i < runner->inputs_count; i++) {
            if (runner->inputs[i].record.a == point) {
                runner->inputs[i].bad_cell = record->a;
            }
        }
        break;
    case FW_FLAG_FAULT:
        for (uint8_t i = 0; i < runner->outputs_count; i++) {
            if (runner->outputs[i].record.a == point) {
                runner->outputs[i].fault_cell = record->a;
            }
        }
        break;
    default: /* the machine knows of its first scan itself */
        break;
    }
}

void fw_runner_start(fw_runner_t *runner, const fw_program_t *program, uint32_t now_ms)
{
    fw_vm_start(&runner->vm, program);
    runner->inputs_count = 0;
    runner->outputs_count = 0;
    runner->interlocks_count = 0;
    runner->online_cell = FW_CELL_NONE;
    runner->synced_cell = FW_CELL_NONE;
    runner->online_ms = now_ms;
    runner->looked_utc = -1;
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(program, &at, &record)) {
        if (record.tag == FW_RECORD_INPUT && runner->inputs_count < FW_POINTS_MAX) {
            runner->inputs[runner->inputs_count++] =
                (fw_runner_input_t){.record = record, .bad_cell = FW_CELL_NONE};
        } else if (record.tag == FW_RECORD_OUTPUT && runner->outputs_count < FW_POINTS_MAX) {
            runner->outputs[runner->outputs_count++] = (fw_runner_output_t){
                .record = record,
                .level = word_of(&record, FW_OUTPUT_SAFE),
                .changed_ms = now_ms,
                .fault_cell = FW_CELL_NONE,
            };
        } else if (record.tag == FW_RECORD_INTERLOCK &&
                   runner->interlocks_count < FW_INTERLOCKS_MAX) {
            runner->interlocks[runner->interlocks_count++] = record;
        } else if (record.tag == FW_RECORD_DURING) {
            runner->vm.cells[record.a] = word_of(&record, FW_DURING_UNSYNCED);
        } else if (record.tag == FW_RECORD_FLAG) {
            hang_flag(runner, &record);
        }
    }
}

/* ---- inputs ---- */

static void latch_digital(fw_runner_input_t *input, int32_t *cell, int32_t raw, uint32_t now_ms,
                          bool is_first)
{
    uint32_t debounce_ms = input->record.words[FW_INPUT_DEBOUNCE_MS];
    raw = raw != 0;
    if (is_first || raw == *cell) {
        *cell = raw;
        input->candidate = raw;
        return;
    }
    if (input->candidate != raw) {
        input->candidate = raw;
        input->candidate_ms = now_ms;
    }
    if (now_ms - input->candidate_ms >= debounce_ms) {
        *cell = raw;
    }
}

/* The straight line through the two pairs of an input, rounded half away from what the first gives.
 * Differences of 32-bit numbers have 33 bits, so it goes by magnitudes, whose products fit 64. */
static int32_t scaled(const fw_record_t *record, int32_t raw)
{
    int64_t offset = (int64_t)raw - word_of(record, FW_INPUT_RAW_FROM);
    int64_t width = (int64_t)word_of(record, FW_INPUT_RAW_TO) - word_of(record, FW_INPUT_RAW_FROM);
    int64_t rise = (int64_t)word_of(record, FW_INPUT_TO) - word_of(record, FW_INPUT_FROM);
    bool falls = (offset < 0) != ((width < 0) != (rise < 0));
    uint64_t by = (uint64_t)(width < 0 ? -width : width);
    uint64_t far = (uint64_t)(offset < 0 ? -offset : offset);
    uint64_t high = (uint64_t)(rise < 0 ? -rise : rise);
    uint64_t whole = far / by;
    uint64_t moved = (far % by * high + by / 2u) / by;
    /* Past 33 bits any more makes no difference. */
    moved = whole > ((uint64_t)1 << 33) / high ? (uint64_t)1 << 33 : moved + whole * high;
    int64_t value = word_of(record, FW_INPUT_FROM) + (falls ? -(int64_t)moved : (int64_t)moved);
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* One that cannot be believed keeps its last good value. */
static void latch_analogue(fw_runner_input_t *input, int32_t *cell, int32_t raw)
{
    int32_t value = scaled(&input->record, raw);
    input->bad = value < word_of(&input->record, FW_INPUT_BAD_BELOW) ||
                 value > word_of(&input->record, FW_INPUT_BAD_ABOVE);
    if (!input->bad) {
        *cell = value;
    }
}

/* Half-open, and of the day that it begins on. */
static bool is_within(const fw_zone_t *zone, const uint32_t *window, int64_t utc)
{
    int32_t today = fw_zone_day(zone, utc);
    int32_t from = (int32_t)window[FW_WINDOW_FROM];
    int32_t to = (int32_t)window[FW_WINDOW_TO];
    for (int32_t day = today - 1; day <= today; day++) {
        bool is_due = (window[FW_WINDOW_DAYS] >> fw_weekday(day) & 1u) != 0u;
        int64_t begins = fw_zone_moment(zone, day, from);
        int64_t ends = fw_zone_moment(zone, to > from ? day : day + 1, to);
        if (is_due && utc >= begins && utc < ends) {
            return true;
        }
    }
    return false;
}

/* Looks at the clock, once a second and whenever it begins or ceases to be known. */
static void look_at_clock(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    int64_t utc = scan->synced ? scan->utc : -1;
    if (utc == runner->looked_utc) {
        return;
    }
    runner->looked_utc = utc;
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(&runner->vm.program, &at, &record)) {
        if (record.tag != FW_RECORD_DURING) {
            continue;
        }
        bool is_on = !scan->synced && word_of(&record, FW_DURING_UNSYNCED) != 0;
        for (uint8_t i = 0; scan->synced && i < record.b && !is_on; i++) {
            is_on = is_within(scan->zone, record.words + FW_DURING_WORDS + i * FW_WINDOW_WORDS, utc);
        }
        runner->vm.cells[record.a] = is_on;
    }
}

static void latch(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    for (uint8_t i = 0; i < runner->inputs_count; i++) {
        fw_runner_input_t *input = &runner->inputs[i];
        int32_t *cell = &runner->vm.cells[input->record.a];
        if (input->record.b == FW_TYPE_BOOL) {
            latch_digital(input, cell, scan->raw[i], scan->now_ms, !runner->vm.has_scanned);
        } else {
            latch_analogue(input, cell, scan->raw[i]);
        }
        if (input->bad_cell != FW_CELL_NONE) {
            runner->vm.cells[input->bad_cell] = input->bad;
        }
    }
    look_at_clock(runner, scan);
    if (runner->online_cell != FW_CELL_NONE) {
        runner->vm.cells[runner->online_cell] = scan->online;
    }
    if (runner->synced_cell != FW_CELL_NONE) {
        runner->vm.cells[runner->synced_cell] = scan->synced;
    }
}

/* ---- outputs ---- */

static fw_runner_output_t *output_of(fw_runner_t *runner, uint8_t cell)
{
    for (uint8_t i = 0; i < runner->outputs_count; i++) {
        if (runner->outputs[i].record.a == cell) {
            return &runner->outputs[i];
        }
    }
    return NULL;
}

/* Whether every interlock lets this output come on: of those in one, all others are off, and have been
 * for its gap. Outputs go one after the other, so of two that want to come on in one scan the one that
 * the script names first does. */
static bool may_come_on(fw_runner_t *runner, const fw_runner_output_t *output, uint32_t now_ms)
{
    for (uint8_t i = 0; i < runner->interlocks_count; i++) {
        const fw_record_t *interlock = &runner->interlocks[i];
        bool is_in = false;
        bool others_off = true;
        for (uint8_t at = 0; at < interlock->b && at < FW_INTERLOCK_OUTPUTS_MAX; at++) {
            const fw_runner_output_t *other =
                output_of(runner, (uint8_t)(interlock->words[1] >> (8u * at)));
            if (other == output) {
                is_in = true;
            } else if (other != NULL &&
                       (other->level != 0 || now_ms - other->changed_ms < interlock->words[2])) {
                others_off = false;
            }
        }
        if (is_in && !others_off) {
            return false;
        }
    }
    return true;
}

/* What an output is to be, interlocks aside. */
static int32_t wanted(const fw_runner_t *runner, const fw_runner_output_t *output,
                      const fw_runner_scan_t *scan)
{
    uint32_t patience_ms = output->record.words[FW_OUTPUT_LINK_LOSS_MS];
    bool is_lost = patience_ms != 0u && !scan->online &&
                   scan->now_ms - runner->online_ms >= patience_ms;
    if (!is_lost) {
        return runner->vm.cells[output->record.a];
    }
    bool holds = (output->record.words[FW_OUTPUT_FLAGS] & FW_OUTPUT_HOLD) != 0u;
    return holds ? output->level : word_of(&output->record, FW_OUTPUT_SAFE);
}

/* Feedback and output, both ways; the time to follow counts from each change. What the feedback says
 * in the scan of a change belongs to the old level. */
static void confirm(fw_runner_t *runner, fw_runner_output_t *output, uint32_t now_ms, bool has_changed)
{
    uint32_t feedback = output->record.words[FW_OUTPUT_FEEDBACK];
    if (feedback == FW_CELL_NONE) {
        return;
    }
    bool agrees = (runner->vm.cells[feedback & 0xFFu] != 0) == (output->level != 0);
    if (has_changed || (!agrees && !output->disagrees)) {
        output->disagrees = true;
        output->disagreed_ms = now_ms;
    } else if (agrees) {
        output->disagrees = false;
        output->fault = false;
    } else if (now_ms - output->disagreed_ms >= output->record.words[FW_OUTPUT_WITHIN_MS]) {
        output->fault = true;
    }
    if (output->fault_cell != FW_CELL_NONE) {
        runner->vm.cells[output->fault_cell] = output->fault;
    }
}

fw_vm_answer_t fw_runner_scan(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    latch(runner, scan);
    fw_vm_answer_t answer = fw_vm_scan(&runner->vm, scan->now_ms, scan->call);
    if (scan->online) {
        runner->online_ms = scan->now_ms;
    } else if (scan->now_ms - runner->online_ms > INT32_MAX) {
        /* However long it is away, it stays so when the count goes round. */
        runner->online_ms = scan->now_ms - INT32_MAX;
    }
    for (uint8_t i = 0; i < runner->outputs_count; i++) {
        fw_runner_output_t *output = &runner->outputs[i];
        int32_t level = wanted(runner, output, scan);
        if (output->record.b == FW_TYPE_BOOL && level != 0 && output->level == 0 &&
            !may_come_on(runner, output, scan->now_ms)) {
            level = 0;
        }
        bool has_changed = level != output->level;
        if (has_changed) {
            output->level = level;
            output->changed_ms = scan->now_ms;
        } else if (scan->now_ms - output->changed_ms > INT32_MAX) {
            output->changed_ms = scan->now_ms - INT32_MAX;
        }
        confirm(runner, output, scan->now_ms, has_changed);
    }
    return answer;
}

bool fw_runner_set(fw_runner_t *runner, uint8_t output, int32_t value)
{
    if (output >= runner->outputs_count) {
        return false;
    }
    const fw_record_t *record = &runner->outputs[output].record;
    bool is_manual = (record->words[FW_OUTPUT_FLAGS] & FW_OUTPUT_MANUAL) != 0u;
    bool is_level = record->b != FW_TYPE_BOOL || value == 0 || value == 1;
    if (!is_manual || !is_level) {
        return false;
    }
    runner->vm.cells[record->a] = value;
    return true;
}
