/*
 * runner.c: see runner.h.
 */
#include "runner.h"

static int32_t word_of(const fw_record_t *record, uint8_t at)
{
    return (int32_t)record->words[at];
}

static bool is_output(const fw_runner_t *runner, uint8_t point)
{
    return fw_point_type_is_output(runner->points.at[point].type);
}

/* Hangs a flag's cell where it is written. */
static void hang_flag(fw_runner_t *runner, const fw_record_t *record)
{
    uint8_t point = 0;
    switch (record->b) {
    case FW_FLAG_ONLINE:
        runner->online_cell = record->a;
        break;
    case FW_FLAG_SYNCED:
        runner->synced_cell = record->a;
        break;
    case FW_FLAG_BAD:
    case FW_FLAG_FAULT:
        point = fw_points_find_cell(&runner->points, (uint8_t)fw_word(record->words));
        if (point != FW_POINT_NONE) {
            runner->at[point].flag_cell = record->a;
        }
        break;
    default: /* the machine knows of its first scan itself */
        break;
    }
}

/* What their outputs did before the start nobody knows: they begin off, whatever is safe. */
static void begin_interlock(fw_runner_t *runner, const fw_record_t *record)
{
    for (uint8_t at = 0; at < record->b && at < FW_INTERLOCK_OUTPUTS_MAX; at++) {
        uint8_t cell = (uint8_t)(fw_word(record->words + 1) >> (8u * at));
        uint8_t point = fw_points_find_cell(&runner->points, cell);
        if (point != FW_POINT_NONE) {
            runner->points.at[point].value = 0;
        }
    }
}

/* The first of an output's assignments is where its causes are looked up from. */
static void note_assignment(fw_runner_t *runner, uint8_t cell, uint16_t at)
{
    uint8_t point = fw_points_find_cell(&runner->points, cell);
    if (point != FW_POINT_NONE && runner->at[point].causes_at == 0u) {
        runner->at[point].causes_at = at;
    }
}

void fw_runner_start(fw_runner_t *runner, const fw_program_t *program, uint32_t now_ms)
{
    fw_vm_start(&runner->vm, program);
    fw_points_init(&runner->points, program);
    runner->inputs = 0;
    runner->at_rest = 0;
    runner->fears_loss = 0;
    for (uint8_t i = 0; i < runner->points.count; i++) {
        runner->at[i] = (fw_runner_point_t){
            .wish = {.kind = FW_CAUSE_BOOT},
            .wanted = runner->points.at[i].value,
            .changed_ms = now_ms,
            .cell = runner->points.at[i].record.a,
            .flag_cell = FW_CELL_NONE,
            .tag = FW_TAG_NONE,
        };
        if (!is_output(runner, i)) {
            runner->inputs |= (uint32_t)1 << i;
        } else if (runner->points.at[i].record.words[FW_OUTPUT_LINK_LOSS_MS] != 0u) {
            runner->fears_loss |= (uint32_t)1 << i;
        }
    }
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        runner->forces[i].length_ms = 0;
    }
    runner->forced = 0;
    runner->shadow = NULL;
    runner->durings = 0;
    runner->interlocks_count = 0;
    runner->online_cell = FW_CELL_NONE;
    runner->synced_cell = FW_CELL_NONE;
    runner->online_ms = now_ms;
    runner->was_online = false;
    runner->is_stopped = false;
    runner->is_awaited = false;
    runner->confirming = 0;
    runner->schedules = 0;
    runner->looked_utc = -1;
    runner->quiet_until_utc = 0;
    runner->due_ms = 0;
    runner->leaves_out = false;
#if FW_SKIPS_SCANS
    runner->digest = 0;
#endif
    uint16_t at = 0;
    uint16_t begins = 0;
    fw_record_t record;
    for (; fw_program_next(program, &at, &record); begins = at) {
        if (record.tag == FW_RECORD_ASSIGNMENT) {
            note_assignment(runner, record.a, begins);
        } else if (record.tag == FW_RECORD_INTERLOCK && runner->interlocks_count < FW_INTERLOCKS_MAX) {
            runner->interlocks[runner->interlocks_count++] = record;
            begin_interlock(runner, &record);
        } else if (record.tag == FW_RECORD_DURING) {
            runner->vm.cells[record.a] = word_of(&record, FW_DURING_UNSYNCED);
            runner->durings++;
        } else if (record.tag == FW_RECORD_FLAG) {
            hang_flag(runner, &record);
        } else if (record.tag == FW_RECORD_PLACE) {
            const fw_place_t place = {word_of(&record, 0), word_of(&record, 1)};
            fw_almanac_open(&runner->almanac, &place);
        }
    }
}

/* Something will happen by itself in so long. Where no scan is left out, nobody asks. */
static void expect(fw_runner_t *runner, uint32_t length_ms, uint32_t elapsed_ms)
{
    uint32_t left_ms = elapsed_ms < length_ms ? length_ms - elapsed_ms : 0u;
    if (FW_SKIPS_SCANS && left_ms < runner->due_ms) {
        runner->due_ms = left_ms;
    }
}

/* ---- inputs ---- */

/* Notes whether a point may be passed over until something new is wanted of it, or read from it. */
static void rest(fw_runner_t *runner, uint8_t point, bool may)
{
    uint32_t bit = (uint32_t)1 << point;
    runner->at_rest = may ? runner->at_rest | bit : runner->at_rest & ~bit;
}

static void latch_digital(fw_runner_t *runner, uint8_t point, int32_t raw, uint32_t now_ms)
{
    fw_runner_point_t *state = &runner->at[point];
    const fw_record_t *record = &runner->points.at[point].record;
    int32_t *cell = &runner->vm.cells[record->a];
    uint32_t debounce_ms = record->words[FW_INPUT_DEBOUNCE_MS];
    raw = raw != 0;
    if (runner->vm.has_scanned && raw != *cell) {
        if (state->wanted != raw) {
            state->wanted = raw;
            state->changed_ms = now_ms;
        }
        if (now_ms - state->changed_ms < debounce_ms) {
            expect(runner, debounce_ms, now_ms - state->changed_ms);
            return;
        }
    }
    *cell = raw;
    state->wanted = raw;
}

/* The straight line through the two pairs of an input, rounded half away from zero. Differences of
 * 32-bit numbers have 33 bits, so it goes by magnitudes, whose products fit 64. */
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
    uint64_t part = far % by * high;
    uint64_t moved = part / by;
    uint64_t rest = part % by;
    /* Past 33 bits any more makes no difference. */
    moved = whole > ((uint64_t)1 << 33) / high ? (uint64_t)1 << 33 : moved + whole * high;
    int64_t value = word_of(record, FW_INPUT_FROM) + (falls ? -(int64_t)moved : (int64_t)moved);
    bool is_outwards = falls ? value <= 0 : value >= 0;
    if (rest > by - rest || (rest == by - rest && is_outwards)) {
        value += falls ? -1 : 1;
    }
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* One that cannot be believed keeps its last good value. */
static void latch_analogue(fw_runner_t *runner, uint8_t point, int32_t raw)
{
    runner->at[point].wanted = raw;
    const fw_record_t *record = &runner->points.at[point].record;
    int32_t value = scaled(record, raw);
    bool is_bad = value < word_of(record, FW_INPUT_BAD_BELOW) ||
                  value > word_of(record, FW_INPUT_BAD_ABOVE);
    fw_points_flag(&runner->points, point, FW_POINT_BAD, is_bad);
    if (!is_bad) {
        runner->vm.cells[record->a] = value;
    }
    if (runner->at[point].flag_cell != FW_CELL_NONE) {
        runner->vm.cells[runner->at[point].flag_cell] = is_bad;
    }
}

/* Looks at the clock when a window may begin or end, and when it begins or ceases to be known or goes
 * back. */
static void look_at_clock(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    int64_t utc = scan->synced ? scan->utc : -1;
    runner->schedules = 0;
    bool is_quiet = utc >= runner->looked_utc && utc < runner->quiet_until_utc;
    if (utc == runner->looked_utc || is_quiet) {
        return;
    }
    runner->looked_utc = utc;
    fw_look_t look = {.until = 0};
    if (scan->synced) {
        fw_look_begin(&look, scan->zone, &runner->almanac, utc);
    }
    uint16_t at = 0;
    uint8_t number = 0;
    fw_record_t record;
    while (fw_program_next_of(&runner->vm.program, &at, FW_RECORD_DURING, &record)) {
        bool is_on = !scan->synced && word_of(&record, FW_DURING_UNSYNCED) != 0;
        for (uint8_t i = 0; scan->synced && i < record.b && !is_on; i++) {
            is_on = fw_window_holds(&look, record.words + FW_DURING_WORDS + i * FW_WINDOW_WORDS);
        }
        if (is_on != (runner->vm.cells[record.a] != 0)) {
            runner->vm.cells[record.a] = is_on;
            runner->schedules = (uint16_t)(runner->schedules | 1u << (number & 15u));
        }
        number++;
    }
    runner->quiet_until_utc = look.until;
}

static void latch_input(fw_runner_t *runner, uint8_t point, int32_t raw, uint32_t now_ms)
{
    const int32_t *cell = &runner->vm.cells[runner->at[point].cell];
    bool is_taken = true;
    if (runner->points.at[point].type == FW_POINT_DIGITAL_INPUT) {
        latch_digital(runner, point, raw, now_ms);
        is_taken = raw == *cell; /* else it may count in a later scan */
    } else {
        latch_analogue(runner, point, raw);
    }
    rest(runner, point, is_taken);
    if (*cell != runner->points.at[point].value) {
        fw_points_set(&runner->points, point, *cell, (fw_cause_t){.kind = FW_CAUSE_INPUT});
    }
}

static void latch(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    uint32_t at_rest = runner->at_rest;
    uint8_t i = 0;
    for (uint32_t inputs = runner->inputs; inputs != 0u; inputs >>= 1, at_rest >>= 1, i++) {
        bool is_same = (at_rest & 1u) != 0u && scan->raw[i] == runner->at[i].wanted;
        if ((inputs & 1u) != 0u && !is_same) {
            latch_input(runner, i, scan->raw[i], scan->now_ms);
        }
    }
    if (runner->durings > 0u) {
        look_at_clock(runner, scan);
    }
    if (runner->durings > 0u || runner->synced_cell != FW_CELL_NONE) {
        expect(runner, 1000, 0);
    }
    if (runner->online_cell != FW_CELL_NONE) {
        runner->vm.cells[runner->online_cell] = scan->online;
    }
    if (runner->synced_cell != FW_CELL_NONE) {
        runner->vm.cells[runner->synced_cell] = scan->synced;
    }
}

/* ---- outputs ---- */

/* Why the script gave an output the value that it has since this scan. */
static fw_cause_t cause_of(const fw_runner_t *runner, uint8_t point, const fw_command_t *command)
{
    fw_assignment_t assignment;
    uint8_t cell = runner->points.at[point].record.a;
    if (!fw_program_assignment(&runner->vm.program, runner->at[point].causes_at, cell,
                               runner->vm.set_by[cell], &assignment)) {
        return (fw_cause_t){.kind = FW_CAUSE_SCRIPT};
    }
    uint32_t commands = assignment.commands;
    if (command != NULL && command->kind == FW_COMMAND_CALL && (commands >> command->index & 1u) != 0u) {
        return command->cause;
    }
    bool is_schedule = (assignment.schedules & runner->schedules) != 0u;
    return (fw_cause_t){.kind = is_schedule ? FW_CAUSE_SCHEDULE : FW_CAUSE_SCRIPT,
                        .reference = assignment.line};
}

/* Whether every interlock lets this output come on: of those in one, all others are off, and have been
 * for its gap. Outputs go one after the other, so of two that want to come on in one scan the one that
 * the script names first does. */
static bool may_come_on(const fw_runner_t *runner, uint8_t point, uint32_t now_ms)
{
    for (uint8_t i = 0; i < runner->interlocks_count; i++) {
        const fw_record_t *interlock = &runner->interlocks[i];
        bool is_in = false;
        bool others_off = true;
        for (uint8_t at = 0; at < interlock->b && at < FW_INTERLOCK_OUTPUTS_MAX; at++) {
            uint8_t cell = (uint8_t)(fw_word(interlock->words + 1) >> (8u * at));
            uint8_t other = fw_points_find_cell(&runner->points, cell);
            if (other == point) {
                is_in = true;
            } else if (other != FW_POINT_NONE &&
                       (runner->points.at[other].value != 0 ||
                        now_ms - runner->at[other].changed_ms < interlock->words[2])) {
                others_off = false;
            }
        }
        if (is_in && !others_off) {
            return false;
        }
    }
    return true;
}

static fw_force_t *force_of(fw_runner_t *runner, uint8_t point)
{
    bool is_forced = (runner->forced >> point & 1u) != 0u;
    for (uint8_t i = 0; is_forced && i < FW_FORCES_MAX; i++) {
        if (runner->forces[i].length_ms != 0u && runner->forces[i].point == point) {
            return &runner->forces[i];
        }
    }
    return NULL;
}

static void end_old_forces(fw_runner_t *runner, uint32_t now_ms)
{
    for (uint8_t i = 0; runner->forced != 0u && i < FW_FORCES_MAX; i++) {
        fw_force_t *force = &runner->forces[i];
        if (force->length_ms != 0u && now_ms - force->since_ms >= force->length_ms) {
            force->length_ms = 0;
            runner->forced &= ~((uint32_t)1 << force->point);
        } else if (force->length_ms != 0u) {
            expect(runner, force->length_ms, now_ms - force->since_ms);
        }
    }
}

/* What an output is to be, interlocks aside, and what speaks against what is wanted of it. */
static int32_t level_of(fw_runner_t *runner, uint8_t point, const fw_runner_scan_t *scan,
                        fw_override_t *override)
{
    const fw_point_t *output = &runner->points.at[point];
    const fw_force_t *force = force_of(runner, point);
    uint32_t patience_ms = output->record.words[FW_OUTPUT_LINK_LOSS_MS];
    uint32_t away_ms = scan->online ? 0u : scan->now_ms - runner->online_ms;
    *override = FW_OVERRIDE_NONE;
    if (runner->is_stopped) {
        *override = FW_OVERRIDE_SAFE;
    } else if (force != NULL) {
        *override = FW_OVERRIDE_FORCE;
        return force->value;
    } else if (patience_ms != 0u && !scan->online && away_ms >= patience_ms) {
        *override = FW_OVERRIDE_LINK_LOSS;
    } else if (patience_ms != 0u && !scan->online) {
        expect(runner, patience_ms, away_ms);
    }
    if (*override == FW_OVERRIDE_NONE) {
        return runner->at[point].wanted;
    }
    bool holds = (fw_word(output->record.words + FW_OUTPUT_FLAGS) & FW_OUTPUT_HOLD) != 0u;
    return holds ? output->value : word_of(&output->record, FW_OUTPUT_SAFE);
}

/* Feedback and output, both ways; the time to follow counts from each change. What the feedback says
 * in the scan of a change belongs to the level before, and so settles who waits for that. */
static void confirm(fw_runner_t *runner, uint8_t point, int32_t level_before, uint32_t now_ms)
{
    const fw_point_t *output = &runner->points.at[point];
    fw_runner_point_t *state = &runner->at[point];
    uint32_t within_ms = output->record.words[FW_OUTPUT_WITHIN_MS];
    bool feedback = runner->vm.cells[fw_word(output->record.words + FW_OUTPUT_FEEDBACK) & 0xFFu] != 0;
    bool agrees = feedback == (level_before != 0);
    bool is_fault = (output->flags & FW_POINT_FAULT) != 0u;
    bool has_changed = output->value != level_before;
    bool is_late = false;
    if (!has_changed && agrees) {
        state->disagrees = false;
        is_fault = false;
    } else if (has_changed || !state->disagrees) {
        state->disagrees = true;
        state->disagreed_ms = now_ms;
    } else if (now_ms - state->disagreed_ms >= within_ms) {
        is_late = true;
        is_fault = true; /* till they agree: one that began anew is still one */
    }
    if (state->disagrees && !is_late) {
        expect(runner, within_ms, now_ms - state->disagreed_ms);
    }
    if (state->tag != FW_TAG_NONE && state->settled == FW_SETTLED_NOT &&
        (agrees || has_changed || is_late)) {
        state->settled = agrees ? FW_SETTLED_CONFIRMED : FW_SETTLED_FAILED;
    }
    fw_points_flag(&runner->points, point, FW_POINT_FAULT, is_fault);
    if (state->flag_cell != FW_CELL_NONE) {
        runner->vm.cells[state->flag_cell] = is_fault;
    }
}

static fw_cause_t override_cause(fw_override_t override)
{
    switch (override) {
    case FW_OVERRIDE_LINK_LOSS:
        return (fw_cause_t){.kind = FW_CAUSE_LINK_LOSS};
    case FW_OVERRIDE_FORCE:
        return (fw_cause_t){.kind = FW_CAUSE_FORCE};
    case FW_OVERRIDE_SAFE:
        return (fw_cause_t){.kind = FW_CAUSE_SAFE};
    default:
        return (fw_cause_t){.kind = FW_CAUSE_SCRIPT};
    }
}

/* One output's way from what is wanted of it to its pin. True if the command is to be confirmed by it. */
static bool put_out(fw_runner_t *runner, uint8_t point, const fw_runner_scan_t *scan)
{
    fw_point_t *output = &runner->points.at[point];
    fw_runner_point_t *state = &runner->at[point];
    const fw_command_t *command = scan->command;
    int32_t value = runner->vm.cells[state->cell];
    int32_t before = output->value;
    bool is_news = value != state->wanted;
    if (is_news) {
        bool is_set =
            command != NULL && command->kind == FW_COMMAND_SET && command->index == point;
        state->wanted = value;
        state->wish = is_set ? command->cause : cause_of(runner, point, command);
    }
    fw_override_t override;
    int32_t level = level_of(runner, point, scan, &override);
    if (output->type == FW_POINT_DIGITAL_OUTPUT && level != 0 && before == 0 &&
        !may_come_on(runner, point, scan->now_ms)) {
        level = 0;
        runner->due_ms = 0;
    }
    if (override == FW_OVERRIDE_NONE && state->override != FW_OVERRIDE_NONE && !is_news) {
        state->wish = override_cause((fw_override_t)state->override); /* its end is why */
    }
    bool has_changed = level != before;
    bool is_of_command = false;
    if (has_changed) {
        fw_cause_t cause =
            override == FW_OVERRIDE_NONE ? state->wish : override_cause(override);
        is_of_command = cause.kind == FW_CAUSE_COMMAND;
        fw_points_set(&runner->points, point, level, cause);
        state->changed_ms = scan->now_ms;
        runner->due_ms = 0; /* its feedback is judged in the next scan */
    } else if (scan->now_ms - state->changed_ms > INT32_MAX) {
        state->changed_ms = scan->now_ms - INT32_MAX;
    }
    state->override = override & 3u;
    fw_points_flag(&runner->points, point, FW_POINT_FORCED, override == FW_OVERRIDE_FORCE);
    if (output->record.words[FW_OUTPUT_FEEDBACK] == FW_CELL_NONE) {
        rest(runner, point, override == FW_OVERRIDE_NONE && level == value);
        return false;
    }
    confirm(runner, point, before, scan->now_ms);
    return is_of_command && is_news && command != NULL && override == FW_OVERRIDE_NONE;
}

/* Each output goes its way, but for those at rest of which nothing new is wanted. */
static void put_all_out(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    uint32_t unsafe = scan->online ? 0u : runner->fears_loss;
    uint32_t at_rest = runner->is_stopped ? 0u : runner->at_rest & ~runner->forced & ~unsafe;
    runner->confirming = 0;
    for (uint8_t i = 0, count = runner->points.count; i < count; i++) {
        const fw_runner_point_t *state = &runner->at[i];
        bool is_same = (at_rest >> i & 1u) != 0u &&
                       runner->vm.cells[state->cell] == state->wanted &&
                       scan->now_ms - state->changed_ms <= INT32_MAX;
        if (!is_same && (runner->inputs >> i & 1u) == 0u && put_out(runner, i, scan)) {
            runner->confirming |= (uint32_t)1 << i;
        }
    }
}

static fw_vm_answer_t run_program(fw_runner_t *runner, uint32_t now_ms, const fw_vm_call_t *call)
{
    if (runner->shadow != NULL) {
        fw_shadow_take(runner->shadow, &runner->vm, now_ms, call);
    }
    return fw_vm_scan(&runner->vm, now_ms, call);
}

/* Hands a command to the machine: what the script has to say of it. */
static fw_vm_answer_t run(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
    const fw_command_t *command = scan->command;
    if (command == NULL || command->kind != FW_COMMAND_CALL) {
        if (command != NULL) {
            bool is_set = command->kind == FW_COMMAND_SET;
            uint8_t cell = is_set ? runner->points.at[command->index].record.a : command->index;
            runner->vm.cells[cell] = command->arguments[0];
        }
        return run_program(runner, scan->now_ms, NULL);
    }
    fw_vm_call_t call = {.command = command->index};
    for (uint8_t i = 0; i < FW_ARGUMENTS_MAX; i++) {
        call.arguments[i] = command->arguments[i];
    }
    return run_program(runner, scan->now_ms, &call);
}

#if FW_SKIPS_SCANS
/* A scan that changes neither cell nor block nor point would change nothing the next time either, but
 * for what is expected. */
static void look_for_change(fw_runner_t *runner)
{
    uint64_t digest = 14695981039346656037u;
    for (uint16_t i = 0; i < FW_SCRIPT_CELLS; i++) {
        digest = (digest ^ (uint32_t)runner->vm.cells[i]) * 1099511628211u;
    }
    for (uint16_t i = 0; i < FW_SCRIPT_BLOCKS_MAX; i++) {
        digest = (digest ^ (uint32_t)runner->vm.blocks[i].value) * 1099511628211u;
        digest = (digest ^ runner->vm.blocks[i].since_ms) * 1099511628211u;
    }
    if (digest != runner->digest) {
        runner->digest = digest;
        runner->due_ms = 0;
    }
    expect(runner, runner->vm.due_ms, 0);
}

/* Nothing happened since the last scan but time: the scans that were left out would have said so. */
static void catch_up(fw_runner_t *runner, uint32_t now_ms)
{
    if (now_ms - runner->vm.now_ms > FW_SCAN_INTERVAL_MS && runner->leaves_out) {
        runner->vm.now_ms = now_ms - FW_SCAN_INTERVAL_MS;
        runner->online_ms = runner->was_online ? runner->vm.now_ms : runner->online_ms;
    }
}
#endif

fw_result_t fw_runner_scan(fw_runner_t *runner, const fw_runner_scan_t *scan)
{
#if FW_SKIPS_SCANS
    catch_up(runner, scan->now_ms);
    runner->due_ms = UINT32_MAX;
#endif
    latch(runner, scan);
    fw_vm_answer_t answer = FW_VM_REFUSED;
    if (!runner->is_stopped) {
        answer = run(runner, scan);
    }
    fw_runner_scan_t seen = *scan;
    if (answer == FW_VM_REFUSED) {
        seen.command = NULL; /* whatever changes now, it is not why */
    }
    if (scan->online) {
        runner->online_ms = scan->now_ms;
    } else if (scan->now_ms - runner->online_ms > INT32_MAX) {
        /* However long it is away, it stays so when the count goes round. */
        runner->online_ms = scan->now_ms - INT32_MAX;
    }
    runner->was_online = scan->online;
    end_old_forces(runner, scan->now_ms);
    put_all_out(runner, &seen);
#if FW_SKIPS_SCANS
    look_for_change(runner);
    if (scan->command != NULL) {
        runner->due_ms = 0; /* the next has none, which is a change, though the one before had one too */
    }
    runner->leaves_out = runner->due_ms > 0u;
#else
    runner->due_ms = 0;
#endif
    bool is_refused = scan->command != NULL && answer == FW_VM_REFUSED;
    return is_refused                 ? FW_RESULT_REFUSED
           : runner->confirming != 0u ? FW_RESULT_CONFIRMING
                                      : FW_RESULT_EXECUTED;
}

/* ---- who waits for a feedback ---- */

void fw_runner_await(fw_runner_t *runner, uint8_t tag)
{
    for (uint8_t i = 0; i < runner->points.count; i++) {
        if ((runner->confirming >> i & 1u) != 0u) {
            runner->at[i].tag = tag;
            runner->at[i].settled = FW_SETTLED_NOT;
            runner->is_awaited = true;
        }
    }
    runner->confirming = 0;
}

/* How the command of a tag stands: as the worst of its outputs. */
static fw_settled_t settled(const fw_runner_t *runner, uint8_t tag)
{
    fw_settled_t all = FW_SETTLED_CONFIRMED;
    for (uint8_t i = 0; i < runner->points.count; i++) {
        const fw_runner_point_t *state = &runner->at[i];
        if (state->tag == tag && state->settled == FW_SETTLED_FAILED) {
            return FW_SETTLED_FAILED;
        }
        if (state->tag == tag && state->settled == FW_SETTLED_NOT) {
            all = FW_SETTLED_NOT;
        }
    }
    return all;
}

static void forget(fw_runner_t *runner, uint8_t tag)
{
    runner->is_awaited = false;
    for (uint8_t i = 0; i < runner->points.count; i++) {
        if (runner->at[i].tag == tag) {
            runner->at[i].tag = FW_TAG_NONE;
        }
        runner->is_awaited = runner->is_awaited || runner->at[i].tag != FW_TAG_NONE;
    }
}

bool fw_runner_settled(fw_runner_t *runner, uint8_t *tag, bool *confirmed)
{
    for (uint8_t i = 0; runner->is_awaited && i < runner->points.count; i++) {
        uint8_t found = runner->at[i].tag;
        fw_settled_t how = found == FW_TAG_NONE ? FW_SETTLED_NOT : settled(runner, found);
        if (how != FW_SETTLED_NOT) {
            *tag = found;
            *confirmed = how == FW_SETTLED_CONFIRMED;
            forget(runner, found);
            return true;
        }
    }
    return false;
}

void fw_runner_abandon(fw_runner_t *runner)
{
    for (uint8_t i = 0; i < runner->points.count; i++) {
        runner->at[i].settled = FW_SETTLED_FAILED;
    }
}

/* ---- by hand ---- */

bool fw_runner_force(fw_runner_t *runner, uint8_t point, int32_t value, uint32_t length_ms,
                     uint32_t now_ms)
{
    bool is_level = point < runner->points.count && is_output(runner, point) &&
                    (runner->points.at[point].type == FW_POINT_ANALOGUE_OUTPUT || value == 0 ||
                     value == 1);
    if (!is_level || length_ms == 0u || length_ms > FW_FORCE_MS_MAX || runner->is_stopped) {
        return false;
    }
    fw_force_t *force = force_of(runner, point);
    for (uint8_t i = 0; force == NULL && i < FW_FORCES_MAX; i++) {
        force = runner->forces[i].length_ms == 0u ? &runner->forces[i] : NULL;
    }
    if (force == NULL) {
        return false;
    }
    *force = (fw_force_t){
        .value = value, .since_ms = now_ms, .length_ms = length_ms, .point = point};
    runner->forced |= (uint32_t)1 << point;
    runner->due_ms = 0;
    return true;
}

bool fw_runner_release(fw_runner_t *runner, uint8_t point)
{
    fw_force_t *force = force_of(runner, point);
    if (force == NULL) {
        return false;
    }
    force->length_ms = 0;
    runner->forced &= ~((uint32_t)1 << point);
    runner->due_ms = 0;
    return true;
}

void fw_runner_stop(fw_runner_t *runner)
{
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        runner->forces[i].length_ms = 0;
    }
    runner->forced = 0;
    runner->is_stopped = true;
    runner->vm.events = 0; /* those of the last scan happened once */
    runner->due_ms = 0;
}

uint32_t fw_runner_faults(const fw_runner_t *runner)
{
    uint32_t faults = 0;
    for (uint8_t i = 0; i < runner->points.count; i++) {
        const fw_point_t *point = &runner->points.at[i];
        uint8_t channel = fw_point_channel(point);
        if ((point->flags & FW_POINT_FAULT) != 0u && channel < 32u) {
            faults |= (uint32_t)1 << channel;
        }
    }
    return faults;
}
