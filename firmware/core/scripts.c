/*
 * scripts.c: see scripts.h.
 */
#include "scripts.h"

#include "inside.h"
#include "lex.h"

/* Statements compiled in one poll: about 2 ms of a chip's time. */
#define STATEMENTS_A_POLL 4u

/* ---- running what is active ---- */

static const uint32_t *mapped(const fw_scripts_t *scripts, uint32_t address)
{
    return scripts->flash->map(scripts->flash->ctx, address);
}

static bool is_retained(const fw_record_t *record)
{
    return record->tag == FW_RECORD_RETAINED || record->tag == FW_RECORD_PARAMETER;
}

static uint32_t key_of(const fw_record_t *record)
{
    uint8_t bytes[FW_NAME_BYTES_MAX];
    return fw_retain_key(fw_record_text(record, bytes, sizeof bytes), record->b);
}

static bool is_counter(const fw_program_t *program, uint8_t cell)
{
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(program, &at, &record)) {
        if (record.tag == FW_RECORD_COUNTER && record.a == cell) {
            return true;
        }
    }
    return false;
}

/* Claims the names of a program, forgets all others, and gives its cells what they kept. */
static void bind_values(fw_scripts_t *scripts)
{
    fw_vm_t *vm = &scripts->controller->runner.vm;
    fw_retain_t *retain = scripts->retain;
    uint16_t at = 0;
    uint8_t count = 0;
    fw_record_t record;
    fw_retain_unbind(retain);
    while (fw_program_next(&vm->program, &at, &record)) {
        if (is_retained(&record)) {
            fw_retain_claim(retain, key_of(&record));
        }
    }
    fw_retain_prune(retain);
    at = 0;
    while (fw_program_next(&vm->program, &at, &record) && count < FW_SCRIPT_VARIABLES_MAX) {
        if (!is_retained(&record)) {
            continue;
        }
        uint8_t place = fw_retain_bind(retain, key_of(&record),
                                       is_counter(&vm->program, record.a),
                                       (int32_t)record.words[0]);
        scripts->places[count++] = place;
        if (place == FW_RETAIN_NONE) {
            continue;
        }
        int32_t value = retain->values[place].value;
        if (record.tag == FW_RECORD_PARAMETER) {
            int32_t least = (int32_t)record.words[2];
            int32_t most = (int32_t)record.words[3];
            value = value < least ? least : value > most ? most : value;
        }
        vm->cells[record.a] = value;
    }
}

/* Tells `retain` what the names hold now. False: it does not take all of them now. */
static bool put_values(fw_scripts_t *scripts)
{
    const fw_vm_t *vm = &scripts->controller->runner.vm;
    uint16_t at = 0;
    uint8_t count = 0;
    bool took_all = true;
    fw_record_t record;
    while (fw_program_next(&vm->program, &at, &record) && count < FW_SCRIPT_VARIABLES_MAX) {
        if (!is_retained(&record)) {
            continue;
        }
        uint8_t place = scripts->places[count++];
        if (place != FW_RETAIN_NONE) {
            took_all = fw_retain_put(scripts->retain, place, vm->cells[record.a]) && took_all;
        }
    }
    return took_all;
}

bool fw_scripts_program(const fw_scripts_t *scripts, const fw_slot_view_t *view,
                        fw_program_t *program)
{
    *program = (fw_program_t){
        .code = mapped(scripts, view->address[FW_PART_CODE]),
        .table = mapped(scripts, view->address[FW_PART_TABLE]),
        .code_words = (uint16_t)(view->bytes[FW_PART_CODE] / 4u),
        .table_words = (uint16_t)(view->bytes[FW_PART_TABLE] / 4u),
    };
    return fw_program_is_current(program);
}

/* The active version's program; false if there is none that this firmware can run. */
static bool active_program(const fw_scripts_t *scripts, fw_program_t *program,
                           fw_slot_view_t *view)
{
    return fw_slots_active(scripts->slots, FW_PAIR_SCRIPT, view) &&
           fw_scripts_program(scripts, view, program);
}

static bool run_active(fw_scripts_t *scripts, uint32_t now_ms)
{
    fw_program_t program;
    fw_slot_view_t view;
    if (!active_program(scripts, &program, &view)) {
        return false;
    }
    fw_span_t source = {(const uint8_t *)mapped(scripts, view.address[FW_PART_SOURCE]),
                        view.bytes[FW_PART_SOURCE]};
    fw_script_title(source, scripts->title);
    fw_controller_run(scripts->controller, &program, scripts->title);
    bind_values(scripts);
    scripts->generation = view.generation;
    scripts->looked_ms = now_ms;
    return true;
}

const uint8_t *fw_scripts_source(const fw_scripts_t *scripts, uint16_t *length)
{
    fw_slot_view_t view;
    *length = 0;
    if (!fw_slots_active(scripts->slots, FW_PAIR_SCRIPT, &view)) {
        return NULL;
    }
    *length = view.bytes[FW_PART_SOURCE];
    return (const uint8_t *)mapped(scripts, view.address[FW_PART_SOURCE]);
}

/* ---- the steps of what takes longer ---- */

static bool append_code(void *ctx, uint32_t word)
{
    const fw_scripts_t *scripts = ctx;
    return fw_slots_append(scripts->slots, FW_PART_CODE, word) == FW_SLOTS_OK;
}

static bool append_table(void *ctx, uint32_t word)
{
    const fw_scripts_t *scripts = ctx;
    return fw_slots_append(scripts->slots, FW_PART_TABLE, word) == FW_SLOTS_OK;
}

/* Gives the work its result. */
static void finish(fw_scripts_t *scripts, fw_scripts_result_t result)
{
    scripts->result = (uint8_t)result;
}

static void begin_step(fw_scripts_t *scripts)
{
    if (scripts->step == 0u) {
        if (fw_slots_begin(scripts->slots, FW_PAIR_SCRIPT) != FW_SLOTS_OK) {
            return; /* another save is under way */
        }
        scripts->step = 1;
    } else if (scripts->slots->state == FW_SLOTS_WRITING) {
        finish(scripts, FW_SCRIPTS_OK);
    } else if (scripts->slots->state == FW_SLOTS_IDLE) {
        finish(scripts, FW_SCRIPTS_FAULT);
    }
}

static void compile_step(fw_scripts_t *scripts)
{
    if (scripts->step == 0u) {
        fw_slot_view_t view;
        const fw_program_sink_t sink = {scripts, append_code, append_table};
        if (fw_slots_end_source(scripts->slots) != FW_SLOTS_OK) {
            finish(scripts, FW_SCRIPTS_FAULT);
            return;
        }
        fw_slots_written(scripts->slots, &view);
        scripts->step = 1;
        scripts->compilations++;
        scripts->controller->recorder = NULL; /* which had the memory till now, ... */
        scripts->controller->runner.shadow = NULL; /* ... or this */
        if (fw_compile_begin(scripts->compiler,
                             (const uint8_t *)mapped(scripts, view.address[FW_PART_SOURCE]),
                             view.bytes[FW_PART_SOURCE], scripts->board, sink)) {
            return;
        }
    }
    fw_compile_state_t state = FW_COMPILE_MORE;
    for (uint8_t i = 0; i < STATEMENTS_A_POLL && state == FW_COMPILE_MORE; i++) {
        state = fw_compile_step(scripts->compiler);
    }
    if (state == FW_COMPILE_DONE) {
        const fw_compiler_t *compiler = scripts->compiler;
        scripts->is_compiled = true;
        scripts->operations = compiler->operations;
        scripts->cost = compiler->cost;
        scripts->code_words = compiler->code_words;
        scripts->table_words = compiler->table_words;
        finish(scripts, FW_SCRIPTS_OK);
    } else if (state == FW_COMPILE_FAILED) {
        bool is_fault = scripts->slots->state != FW_SLOTS_WRITING;
        fw_slots_abort(scripts->slots);
        scripts->error = scripts->compiler->error;
        finish(scripts, is_fault ? FW_SCRIPTS_FAULT : FW_SCRIPTS_ERROR);
    }
}

static void watch_trial_from(fw_scripts_t *scripts, uint32_t now_ms)
{
    const fw_controller_t *controller = scripts->controller;
    scripts->trial_ms = now_ms;
    scripts->away_ms = now_ms;
    scripts->trial_had_link = controller->link.state == FW_LINK_LIVE;
    scripts->trial_end = FW_TRIAL_NOT_ENDED;
    scripts->faulty = fw_runner_faults(&controller->runner);
}

/* Runs what was brought. */
static void accept_step(fw_scripts_t *scripts, bool is_trial, uint32_t now_ms)
{
    switch (scripts->step) {
    case 0: /* what the names hold now is what a return brings back */
        if (put_values(scripts) &&
            (!is_trial || fw_retain_mark(scripts->retain,
                                         fw_slots_next_generation(scripts->slots)))) {
            scripts->step = 1;
        }
        break;
    case 1:
        if (fw_retain_is_settled(scripts->retain)) {
            bool begun = fw_slots_finish(scripts->slots, is_trial) == FW_SLOTS_OK;
            scripts->step = begun ? 2 : 4;
        }
        break;
    case 2:
        if (scripts->slots->state == FW_SLOTS_IDLE) {
            scripts->step = scripts->slots->has_failed ? 4 : 3;
        }
        break;
    case 3:
        if (fw_retain_is_settled(scripts->retain)) {
            scripts->is_compiled = false;
            scripts->state = is_trial ? FW_SCRIPT_ON_TRIAL : FW_SCRIPT_KEPT;
            watch_trial_from(scripts, now_ms);
            finish(scripts, run_active(scripts, now_ms) ? FW_SCRIPTS_OK : FW_SCRIPTS_FAULT);
        }
        break;
    default: /* it did not get into flash: the mark goes */
        if (!is_trial || fw_retain_keep(scripts->retain)) {
            scripts->is_compiled = false;
            finish(scripts, FW_SCRIPTS_FAULT);
        }
        break;
    }
}

/* Ends a trial the one way or the other. */
static void end_step(fw_scripts_t *scripts, bool keeps, uint32_t now_ms)
{
    switch (scripts->step) {
    case 0: {
        fw_slots_answer_t answer = keeps ? fw_slots_commit(scripts->slots, FW_PAIR_SCRIPT)
                                         : fw_slots_revert(scripts->slots, FW_PAIR_SCRIPT);
        scripts->step = answer == FW_SLOTS_OK ? 1 : 0;
        break;
    }
    case 1:
        if (scripts->slots->state != FW_SLOTS_IDLE) {
            break;
        }
        if (scripts->slots->has_failed) {
            finish(scripts, FW_SCRIPTS_FAULT);
            break;
        }
        scripts->step = 2;
        break;
    case 2:
        if (keeps ? fw_retain_keep(scripts->retain) : fw_retain_restore(scripts->retain)) {
            scripts->step = 3;
        }
        break;
    default:
        if (fw_retain_is_settled(scripts->retain)) {
            scripts->state = FW_SCRIPT_KEPT;
            bool runs = keeps || run_active(scripts, now_ms);
            scripts->state = runs ? FW_SCRIPT_KEPT : FW_SCRIPT_NONE;
            finish(scripts, FW_SCRIPTS_OK);
        }
        break;
    }
}

static void work_step(fw_scripts_t *scripts, uint32_t now_ms)
{
    switch (scripts->work) {
    case FW_SCRIPTS_BEGIN:
        begin_step(scripts);
        break;
    case FW_SCRIPTS_COMPILE:
        compile_step(scripts);
        break;
    case FW_SCRIPTS_TRY:
        accept_step(scripts, true, now_ms);
        break;
    case FW_SCRIPTS_ACCEPT:
        accept_step(scripts, false, now_ms);
        break;
    case FW_SCRIPTS_KEEP:
        end_step(scripts, true, now_ms);
        break;
    default:
        end_step(scripts, false, now_ms);
        break;
    }
}

/* ---- what is asked ---- */

bool fw_scripts_is_working(const fw_scripts_t *scripts)
{
    return scripts->work != FW_SCRIPTS_NOTHING && scripts->result == FW_SCRIPTS_WAIT;
}

bool fw_scripts_is_compiling(const fw_scripts_t *scripts)
{
    return fw_scripts_is_working(scripts) && scripts->work == FW_SCRIPTS_COMPILE && scripts->step > 0u;
}

static void start_work(fw_scripts_t *scripts, fw_scripts_work_t work)
{
    scripts->work = (uint8_t)work;
    scripts->step = 0;
    scripts->result = FW_SCRIPTS_WAIT;
}

/* The result of what was asked for, once; WAIT if it is still being done. */
static fw_scripts_result_t result_of(fw_scripts_t *scripts)
{
    if (scripts->result != FW_SCRIPTS_WAIT) {
        scripts->work = FW_SCRIPTS_NOTHING;
    }
    return (fw_scripts_result_t)scripts->result;
}

fw_scripts_result_t fw_scripts_begin(fw_scripts_t *scripts, uint32_t bytes)
{
    if (scripts->work == FW_SCRIPTS_BEGIN && scripts->wanted_bytes == bytes) {
        return result_of(scripts);
    }
    bool is_taken = scripts->work == FW_SCRIPTS_BEGIN || scripts->work > FW_SCRIPTS_COMPILE;
    if (fw_scripts_is_working(scripts) && is_taken) {
        return FW_SCRIPTS_WAIT; /* of two who begin at once, the one after the other */
    }
    if (scripts->state == FW_SCRIPT_ON_TRIAL) {
        return FW_SCRIPTS_WRONG_STATE; /* the other slot is what it would go back to */
    }
    if (bytes > FW_SCRIPT_SOURCE_MAX) {
        return FW_SCRIPTS_OUT_OF_RANGE;
    }
    if (scripts->slots->pair == FW_PAIR_SCRIPT) {
        fw_slots_abort(scripts->slots);
    }
    scripts->openings++;
    scripts->wanted_bytes = bytes;
    scripts->written_bytes = 0;
    scripts->is_compiled = false;
    start_work(scripts, FW_SCRIPTS_BEGIN);
    return FW_SCRIPTS_WAIT;
}

/* Whether what was begun is in the slot, and not compiled yet. */
static bool is_brought(const fw_scripts_t *scripts)
{
    return !fw_scripts_is_working(scripts) && !scripts->is_compiled &&
           scripts->slots->pair == FW_PAIR_SCRIPT && scripts->slots->state == FW_SLOTS_WRITING;
}

bool fw_scripts_is_bringing(const fw_scripts_t *scripts)
{
    return is_brought(scripts) && !scripts->slots->is_source_whole;
}

fw_scripts_result_t fw_scripts_write(fw_scripts_t *scripts, uint32_t at, fw_span_t bytes)
{
    if (!fw_scripts_is_bringing(scripts) || at > scripts->written_bytes ||
        bytes.length > scripts->wanted_bytes - at) {
        return FW_SCRIPTS_WRONG_STATE;
    }
    size_t known = scripts->written_bytes - at;
    while (known < bytes.length) {
        size_t taken = 0;
        if (fw_slots_write(scripts->slots, bytes.bytes + known, bytes.length - known, &taken) !=
            FW_SLOTS_OK) {
            return FW_SCRIPTS_FAULT;
        }
        known += taken;
        scripts->written_bytes += (uint32_t)taken;
    }
    return FW_SCRIPTS_OK;
}

fw_scripts_result_t fw_scripts_do(fw_scripts_t *scripts, fw_scripts_work_t work)
{
    if (scripts->work == work) {
        return result_of(scripts);
    }
    if (fw_scripts_is_working(scripts)) {
        return FW_SCRIPTS_WAIT;
    }
    bool may = false;
    switch (work) {
    case FW_SCRIPTS_COMPILE:
        may = is_brought(scripts) && scripts->written_bytes == scripts->wanted_bytes;
        break;
    case FW_SCRIPTS_TRY:
    case FW_SCRIPTS_ACCEPT: /* settings that were saved meanwhile have taken its place */
        may = scripts->is_compiled && scripts->slots->pair == FW_PAIR_SCRIPT &&
              scripts->slots->state == FW_SLOTS_WRITING;
        break;
    case FW_SCRIPTS_KEEP:
    case FW_SCRIPTS_REVERT:
        may = scripts->state == FW_SCRIPT_ON_TRIAL;
        break;
    default:
        break;
    }
    if (!may) {
        return FW_SCRIPTS_WRONG_STATE;
    }
    start_work(scripts, work);
    return FW_SCRIPTS_WAIT;
}

fw_scripts_result_t fw_scripts_adjust(fw_scripts_t *scripts, fw_span_t name, int32_t value)
{
    fw_runner_t *runner = &scripts->controller->runner;
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(&runner->vm.program, &at, &record)) {
        if (record.tag != FW_RECORD_PARAMETER || !fw_record_is(&record, name)) {
            continue;
        }
        if (value < (int32_t)record.words[2] || value > (int32_t)record.words[3]) {
            return FW_SCRIPTS_OUT_OF_RANGE;
        }
        runner->vm.cells[record.a] = value;
        fw_recorder_set(scripts->controller->recorder, record.a, value);
        runner->due_ms = 0;
        scripts->controller->input_news = true;
        (void)put_values(scripts); /* what is not taken now is at the next look */
        fw_retain_save_now(scripts->retain);
        return FW_SCRIPTS_OK;
    }
    return FW_SCRIPTS_WRONG_STATE;
}

/* ---- by itself ---- */

uint32_t fw_scripts_trial_left_ms(const fw_scripts_t *scripts, uint32_t now_ms)
{
    uint32_t elapsed_ms = fw_since(now_ms, scripts->trial_ms);
    bool runs = scripts->state == FW_SCRIPT_ON_TRIAL && scripts->trial_had_link &&
                elapsed_ms < FW_TRIAL_MS;
    return runs ? FW_TRIAL_MS - elapsed_ms : 0u;
}

static bool has_fault(fw_scripts_t *scripts)
{
    const fw_runner_t *runner = &scripts->controller->runner;
    return runner->vm.divisions_by_zero > 0u || (fw_runner_faults(runner) & ~scripts->faulty) != 0u;
}

static void watch_trial(fw_scripts_t *scripts, uint32_t now_ms)
{
    bool is_live = scripts->controller->link.state == FW_LINK_LIVE;
    if (is_live) {
        scripts->away_ms = now_ms;
    }
    fw_trial_end_t end = FW_TRIAL_NOT_ENDED;
    if (has_fault(scripts)) {
        end = FW_TRIAL_FAULTED;
    } else if (scripts->trial_had_link &&
               fw_since(now_ms, scripts->away_ms) > FW_TRIAL_AWAY_MS_MAX) {
        end = FW_TRIAL_LOST_LINK;
    } else if (scripts->trial_had_link && is_live &&
               fw_since(now_ms, scripts->trial_ms) >= FW_TRIAL_MS) {
        end = FW_TRIAL_PASSED;
    }
    if (end != FW_TRIAL_NOT_ENDED) {
        scripts->trial_end = (uint8_t)end;
        start_work(scripts, end == FW_TRIAL_PASSED ? FW_SCRIPTS_KEEP : FW_SCRIPTS_REVERT);
    }
}

void fw_scripts_poll(fw_scripts_t *scripts, uint32_t now_ms)
{
    if (fw_scripts_is_working(scripts)) {
        work_step(scripts, now_ms);
        return;
    }
    bool was_by_itself = scripts->trial_end != FW_TRIAL_NOT_ENDED &&
                         (scripts->work == FW_SCRIPTS_KEEP || scripts->work == FW_SCRIPTS_REVERT);
    if (was_by_itself) {
        scripts->work = FW_SCRIPTS_NOTHING; /* nobody asks what came of it */
    }
    if (scripts->state == FW_SCRIPT_ON_TRIAL) {
        watch_trial(scripts, now_ms);
    }
    fw_commands_t *commands = &scripts->controller->commands;
    if (commands->has_adjusted || fw_since(now_ms, scripts->looked_ms) >= FW_RETAIN_LOOK_MS) {
        scripts->looked_ms = now_ms;
        if (put_values(scripts) && commands->has_adjusted) {
            commands->has_adjusted = false;
            fw_retain_save_now(scripts->retain);
        }
    }
}

/* ---- at the start ---- */

/* More than any work takes, so that flash that fails ends the start in time. */
#define STEPS_MAX 20000u

/* Goes on with the work until it is done; nothing scans yet. */
static bool work_through(fw_scripts_t *scripts, uint32_t now_ms)
{
    for (uint32_t i = 0; fw_scripts_is_working(scripts) && i < STEPS_MAX; i++) {
        work_step(scripts, now_ms);
        fw_slots_step(scripts->slots, now_ms);
        fw_retain_step(scripts->retain, now_ms);
    }
    return scripts->result == FW_SCRIPTS_OK;
}

/* Compiles a text and keeps it. */
static bool install(fw_scripts_t *scripts, fw_span_t source, uint32_t now_ms)
{
    (void)fw_scripts_begin(scripts, (uint32_t)source.length);
    if (!work_through(scripts, now_ms) ||
        fw_scripts_write(scripts, 0, source) != FW_SCRIPTS_OK) {
        return false;
    }
    start_work(scripts, FW_SCRIPTS_COMPILE);
    if (!work_through(scripts, now_ms)) {
        return false;
    }
    start_work(scripts, FW_SCRIPTS_ACCEPT);
    return work_through(scripts, now_ms);
}

void fw_scripts_start(fw_scripts_t *scripts, fw_span_t source, bool stopped, uint32_t now_ms)
{
    fw_program_t program;
    fw_slot_view_t view;
    bool runs = false;
    if (active_program(scripts, &program, &view)) {
        runs = run_active(scripts, now_ms);
    } else if (fw_slots_active(scripts->slots, FW_PAIR_SCRIPT, &view)) {
        /* Another firmware compiled it. */
        uint16_t length = 0;
        const uint8_t *text = fw_scripts_source(scripts, &length);
        runs = install(scripts, (fw_span_t){text, length}, now_ms);
    }
    runs = runs || install(scripts, source, now_ms);
    scripts->work = FW_SCRIPTS_NOTHING;
    scripts->state = runs ? FW_SCRIPT_KEPT : FW_SCRIPT_NONE;
    if (runs && stopped) {
        fw_runner_stop(&scripts->controller->runner);
        scripts->state = FW_SCRIPT_SAFE_MODE;
    }
}
