/*
 * scan.c: what a scan of each example costs on the chip's instruction set.
 *
 * Prints a line for each: its name, then instructions of the average scan and of the dearest one,
 * the compiler's operations, what it says that a scan costs at most, and what the script did. Ends with 1
 * where one costs more.
 */
#include "code.h"
#include "compile.h"
#include "measure.h"
#include "recorder.h"
#include FW_EXAMPLES

#include <string.h>

static const fw_pin_t pins[] = {
    {"DI1", FW_POINT_DIGITAL_INPUT, 0},   {"DI2", FW_POINT_DIGITAL_INPUT, 1},
    {"DI3", FW_POINT_DIGITAL_INPUT, 2},   {"DI4", FW_POINT_DIGITAL_INPUT, 3},
    {"DI5", FW_POINT_DIGITAL_INPUT, 4},   {"DI6", FW_POINT_DIGITAL_INPUT, 5},
    {"DI7", FW_POINT_DIGITAL_INPUT, 6},   {"DI8", FW_POINT_DIGITAL_INPUT, 7},
    {"AI0", FW_POINT_ANALOGUE_INPUT, 8},  {"RL1", FW_POINT_DIGITAL_OUTPUT, 9},
    {"RL2", FW_POINT_DIGITAL_OUTPUT, 10}, {"RL3", FW_POINT_DIGITAL_OUTPUT, 11},
    {"RL4", FW_POINT_DIGITAL_OUTPUT, 12}, {"RL5", FW_POINT_DIGITAL_OUTPUT, 13},
    {"RL6", FW_POINT_DIGITAL_OUTPUT, 14}, {"RL7", FW_POINT_DIGITAL_OUTPUT, 15},
    {"RL8", FW_POINT_DIGITAL_OUTPUT, 16},
};
static const fw_board_t board = {pins, sizeof(pins) / sizeof(pins[0])};

enum { ANALOGUE = 8 };

static uint32_t code[FW_SCRIPT_CODE_WORDS_MAX];
static uint32_t table[FW_SCRIPT_TABLE_WORDS_MAX];
static fw_program_t program;
static fw_compiler_t compiler;
static fw_runner_t runner;
static trace_t trace;
static fw_recorder_t recorder;

static bool put_code(void *ctx, uint32_t word)
{
    (void)ctx;
    code[program.code_words++] = word;
    return true;
}

static bool put_table(void *ctx, uint32_t word)
{
    (void)ctx;
    table[program.table_words++] = word;
    return true;
}

static bool compile(const char *text)
{
    program = (fw_program_t){.code = code, .table = table};
    fw_program_sink_t sink = {NULL, put_code, put_table};
    fw_compile_state_t state = FW_COMPILE_MORE;
    if (!fw_compile_begin(&compiler, (const uint8_t *)text, strlen(text), &board, sink)) {
        return false;
    }
    while (state == FW_COMPILE_MORE) {
        state = fw_compile_step(&compiler);
    }
    return state == FW_COMPILE_DONE;
}

/* The points that are inputs, in the order in which the script declares them. */
static void latch(const world_t *world, int32_t raw[FW_POINTS_MAX])
{
    for (uint8_t i = 0; i < runner.points.count; i++) {
        uint32_t channel = fw_point_channel(&runner.points.at[i]);
        if (channel <= ANALOGUE) {
            raw[i] = channel < ANALOGUE ? world->digital[channel] : world->analogue;
        }
    }
}

/* The world's call as the yard would hand it on; false if there is none, or the script has no commands. */
static bool call(const world_t *world, fw_command_t *command)
{
    uint16_t at = 0;
    uint8_t number = 0;
    fw_signature_t signatures[FW_SCRIPT_COMMANDS_MAX];
    uint32_t count = 0;
    while (count < FW_SCRIPT_COMMANDS_MAX &&
           fw_program_next_command(&program, &at, &number, &signatures[count])) {
        count++;
    }
    if (world->call == NO_CALL || count == 0u) {
        return false;
    }
    const fw_signature_t *signature = &signatures[(uint32_t)world->call % count];
    *command = (fw_command_t){
        .cause = {.kind = FW_CAUSE_COMMAND}, .index = signature->number, .kind = FW_COMMAND_CALL};
    for (uint8_t i = 0; i < signature->arguments_count; i++) {
        int32_t least = (int32_t)signature->arguments[i].words[0];
        int32_t most = (int32_t)signature->arguments[i].words[1];
        command->arguments[i] = world->argument < least  ? least
                                : world->argument > most ? most
                                                         : world->argument;
    }
    return true;
}

/* Sees what the last scan did. */
static void note(uint32_t scan)
{
    uint32_t bits = runner.vm.alarms != 0u ? TRACE_ALARM : 0u;
    uint32_t outputs = 0;
    for (uint8_t i = 0; i < runner.points.count; i++) {
        const fw_point_t *point = &runner.points.at[i];
        if (fw_point_type_is_output(point->type) && outputs < OUTPUTS_MAX) {
            bits |= (uint32_t)(point->value != 0) << outputs++;
        }
    }
    trace.bits[scan] = bits;
    for (uint32_t events = runner.vm.events; events != 0u; events &= events - 1u) {
        trace.events++;
    }
}

static bool measure(const example_t *example)
{
    static const char zone_text[] = "CET-1CEST,M3.5.0,M10.5.0/3";
    fw_zone_t zone;
    fw_zone_parse(&zone, (fw_span_t){(const uint8_t *)zone_text, sizeof(zone_text) - 1u});
    fw_runner_start(&runner, &program, 0);
    trace.events = 0;
    fw_recorder_begin(&recorder, &runner);
    uint32_t total = 0;
    uint32_t recording = 0;
    uint32_t dearest = 0;
    for (uint32_t scan = 0; scan < SCANS; scan++) {
        int32_t raw[FW_POINTS_MAX] = {0};
        world_t world = world_at(scan);
        latch(&world, raw);
        fw_command_t command;
        bool is_called = call(&world, &command);
        const fw_runner_scan_t around = {
            .raw = raw,
            .command = is_called ? &command : NULL,
            .now_ms = world.now_ms,
            .zone = &zone,
            .utc = world.utc,
            .online = true,
            .synced = true,
        };
        uint32_t before = simcall_cycles();
        fw_runner_scan(&runner, &around);
        uint32_t between = simcall_cycles();
        fw_recorder_note(&recorder, &runner, &around);
        uint32_t cycles = simcall_cycles() - before;
        total += between - before;
        recording += cycles - (between - before);
        dearest = cycles > dearest ? cycles : dearest;
        note(scan);
    }
    printf("%s %lu %lu %u %lu %lu ", example->name,
           (unsigned long)(measure_instructions(total) / SCANS),
           (unsigned long)measure_instructions(dearest), compiler.operations,
           (unsigned long)compiler.cost,
           (unsigned long)(measure_instructions(recording) / SCANS));
    trace_print(&trace);
    return measure_instructions(dearest) <= compiler.cost;
}

int main(void)
{
    if (!measure_check()) {
        printf("expected a cycle for each %u instructions\n", INSTRUCTIONS_EACH_CYCLE);
        return 1;
    }
    bool holds = true;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        if (!compile(examples[i].text)) {
            printf("%s: line %u: expected %s\n", examples[i].name, compiler.error.line,
                   compiler.error.expected);
            return 1;
        }
        holds = measure(&examples[i]) && holds;
    }
    if (!holds) {
        printf("core/cost.h states too little\n");
    }
    return holds ? 0 : 1;
}
