/*
 * costs.c: what each operation of the machine costs, and whether core/cost.h still tells the truth.
 *
 * For each operation: a program of many of it against an empty one, over operands at the ends of
 * their ranges and over several scans, since blocks have a memory. Prints operation, instructions
 * of the dearest, and what cost.h states. Likewise what recording a scan costs.
 */
#include "cost.h"
#include "measure.h"
#include "recorder.h"

#include <stdio.h>

enum { COPIES = 64, STATES = 4, OPERANDS = 192 };

static const struct {
    const char *name;
    uint8_t op;
    uint32_t most;
} costs[] = {
#define ROW(op, instructions) {#op, op, instructions},
    FW_OP_COSTS(ROW)
#undef ROW
};

_Static_assert(sizeof(costs) / sizeof(costs[0]) == FW_OPS - 1, "every operation but the end");

static const int32_t ends[] = {0, 1, -1, 7, 1000, 12345678, INT32_MAX, INT32_MIN};
static const int32_t few[] = {0, 1000, INT32_MAX};

static uint32_t code[2 * COPIES + 1];
static fw_vm_t vm;

/* Cells of the operands. */
enum { A = 0, B = 1, C = 2, D = 3, FOUR_ARGUMENTS = 4 };

static uint16_t write_program(uint8_t op, uint32_t copies)
{
    uint16_t words = 0;
    for (uint32_t i = 0; i < copies; i++) {
        bool is_offer = op == FW_OP_OFFER;
        code[words++] = fw_instruction((fw_op_t)op, A, B, is_offer ? FOUR_ARGUMENTS : C);
        if (fw_op_is_block(op)) {
            code[words++] = (i % FW_SCRIPT_BLOCKS_MAX) | (uint32_t)D << 8 | (uint32_t)D << 16;
        }
    }
    code[words++] = FW_OP_END;
    return words;
}

static void set_operands(uint32_t at)
{
    vm.cells[A] = (int32_t)(at % STATES);
    vm.cells[B] = ends[at % 8u];
    vm.cells[C] = ends[at / 8u % 8u];
    vm.cells[D] = few[at / 64u % 3u];
}

static uint32_t scan_cycles(uint32_t now_ms)
{
    static const fw_vm_call_t call = {.command = A, .arguments = {1, 2, 3, 4}};
    uint32_t before = simcall_cycles();
    fw_vm_scan(&vm, now_ms, &call);
    return simcall_cycles() - before;
}

/* The dearest of so many copies, in cycles. */
static uint32_t dearest_cycles(uint8_t op, uint32_t copies)
{
    static const uint32_t steps_ms[] = {0, 10, 10, 5000, 100000000u, 10};
    fw_program_t program = {.code = code, .code_words = write_program(op, copies)};
    uint32_t dearest = 0;
    for (uint32_t at = 0; at < OPERANDS; at++) {
        uint32_t now_ms = 0;
        fw_vm_start(&vm, &program);
        for (uint32_t step = 0; step < sizeof(steps_ms) / sizeof(steps_ms[0]); step++) {
            now_ms += steps_ms[step];
            /* The same, then others, so that blocks change as well as stay. */
            set_operands(step % 2u == 0u ? at : (at * 7u + step) % OPERANDS);
            uint32_t cycles = scan_cycles(now_ms);
            dearest = cycles > dearest ? cycles : dearest;
        }
    }
    return dearest;
}

/* ---- the recorder ---- */

enum { RECORDED_CELLS = 64, RECORDED_BLOCKS = 16, RECORDED_POINTS = 8 };

static fw_recorder_t recorder;
static fw_runner_t runner;

/* A state of so many cells, blocks and outputs, or inputs, all numbers as long as they can be. */
static void set_state(uint32_t cells, uint32_t blocks, uint8_t points, bool are_inputs)
{
    static const fw_program_t nothing = {.code = NULL};
    const fw_cause_t cause = {.kind = FW_CAUSE_COMMAND, .by = UINT32_MAX, .reference = UINT32_MAX};
    fw_runner_start(&runner, &nothing, 0);
    runner.points.count = points;
    for (uint8_t i = 0; i < points; i++) {
        uint8_t type = are_inputs ? FW_POINT_ANALOGUE_INPUT : FW_POINT_ANALOGUE_OUTPUT;
        runner.points.at[i] = (fw_point_t){.cause = cause, .value = INT32_MIN, .type = type};
        runner.at[i] = (fw_runner_point_t){.wish = cause,
                                           .wanted = INT32_MIN,
                                           .changed_ms = 1000,
                                           .disagreed_ms = 1000,
                                           .override = FW_OVERRIDE_SAFE,
                                           .disagrees = true};
    }
    for (uint32_t i = 0; i < cells; i++) {
        runner.vm.cells[i] = INT32_MIN;
    }
    for (uint32_t i = 0; i < blocks; i++) {
        runner.vm.blocks[i] = (fw_block_t){INT32_MIN, UINT32_MAX};
    }
    fw_recorder_begin(&recorder, &runner);
    recorder.kept[0] = cells > 0u ? UINT32_MAX : 0u;
    recorder.kept[1] = cells > 32u ? UINT32_MAX : 0u;
}

/* Of the scan in which all comes together: everything is new, and a segment ends and the next begins. */
static uint32_t record_cycles(uint32_t cells, uint32_t blocks, uint8_t points, bool are_inputs)
{
    static int32_t raw[FW_SCRIPT_POINTS_MAX];
    const fw_command_t command = {.cause = {.by = UINT32_MAX, .reference = UINT32_MAX},
                                  .arguments = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN},
                                  .index = 15,
                                  .kind = FW_COMMAND_SET};
    fw_runner_scan_t scan = {.raw = raw, .now_ms = 0};
    set_state(cells, blocks, points, are_inputs);
    fw_recorder_note(&recorder, &runner, &scan);
    recorder.current->scans = FW_RECORDER_SCANS - 1u;
    for (uint8_t i = 0; i < FW_FORCES_MAX; i++) {
        runner.forces[i] = (fw_force_t){.value = INT32_MIN, .since_ms = 1000, .length_ms = UINT32_MAX};
    }
    for (uint8_t i = 0; i < points; i++) {
        raw[i] = INT32_MIN;
    }
    runner.forced = 1;
    runner.schedules = UINT16_MAX;
    scan = (fw_runner_scan_t){
        .raw = raw, .command = &command, .now_ms = 500, .online = true, .synced = true};
    uint32_t before = simcall_cycles();
    fw_recorder_note(&recorder, &runner, &scan);
    uint32_t cycles = simcall_cycles() - before;
    for (uint8_t i = 0; i < points; i++) {
        raw[i] = 0;
    }
    return cycles;
}

static uint32_t each(uint32_t cycles, uint32_t without, uint32_t copies)
{
    return (measure_instructions(cycles - without) + copies - 1u) / copies;
}

static bool tell(const char *name, uint32_t instructions, uint32_t most)
{
    printf("%s %lu %lu\n", name, (unsigned long)instructions, (unsigned long)most);
    return instructions <= most;
}

int main(void)
{
    if (!measure_check()) {
        printf("expected a cycle for each %u instructions\n", INSTRUCTIONS_EACH_CYCLE);
        return 1;
    }
    uint32_t empty = dearest_cycles(FW_OP_END, 0);
    bool holds = tell("scan", measure_instructions(empty), FW_COST_SCAN);
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        uint32_t cycles = dearest_cycles(costs[i].op, COPIES) - empty;
        uint32_t instructions = each(cycles, 0, COPIES);
        holds = tell(costs[i].name, instructions, costs[i].most) && holds;
    }
    uint32_t none = record_cycles(0, 0, 0, false);
    uint32_t cells = record_cycles(RECORDED_CELLS, 0, 0, false);
    uint32_t blocks = record_cycles(0, RECORDED_BLOCKS, 0, false);
    uint32_t outputs = record_cycles(0, 0, RECORDED_POINTS, false);
    uint32_t inputs = record_cycles(0, 0, RECORDED_POINTS, true);
    uint32_t points = outputs > inputs ? outputs : inputs;
    holds = tell("recorder", measure_instructions(none), FW_COST_RECORDER) && holds;
    holds = tell("recorded cell", each(cells, none, RECORDED_CELLS), FW_COST_RECORDED_CELL) && holds;
    holds = tell("recorded block", each(blocks, none, RECORDED_BLOCKS), FW_COST_RECORDED_BLOCK) && holds;
    holds = tell("recorded point", each(points, none, RECORDED_POINTS), FW_COST_RECORDED_POINT) && holds;
    printf(holds ? "costs hold\n" : "core/cost.h states too little\n");
    return holds ? 0 : 1;
}
