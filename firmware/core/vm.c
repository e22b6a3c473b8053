/*
 * vm.c: see vm.h.
 */
#include "vm.h"

/* ---- arithmetic ---- */

static int32_t saturate(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* Rounded, half away from zero. */
static int64_t divide_rounded(int64_t dividend, int64_t divisor)
{
    int64_t half = (divisor < 0 ? -divisor : divisor) / 2;
    return (dividend < 0 ? dividend - half : dividend + half) / divisor;
}

/* A quotient that 0 has none of: 0, and a fault if the branch is taken. `next` is the word behind. */
static int32_t no_quotient(fw_vm_t *vm, bool taken, const uint32_t *next)
{
    if (taken) {
        vm->divisions_by_zero++;
        vm->divided_at = (uint16_t)(next - vm->program.code - 1);
    }
    return 0;
}

static int32_t divide(fw_vm_t *vm, int32_t dividend, int32_t divisor, bool taken,
                      const uint32_t *next)
{
    return divisor == 0 ? no_quotient(vm, taken, next) : saturate((int64_t)dividend / divisor);
}

static int32_t divide_num(fw_vm_t *vm, int32_t dividend, int32_t divisor, bool taken,
                          const uint32_t *next)
{
    return divisor == 0 ? no_quotient(vm, taken, next)
                        : saturate(divide_rounded((int64_t)dividend * 1000, divisor));
}

static int32_t modulo(fw_vm_t *vm, int32_t dividend, int32_t divisor, bool taken,
                      const uint32_t *next)
{
    return divisor == 0 ? no_quotient(vm, taken, next) : (int32_t)((int64_t)dividend % divisor);
}

/* ---- blocks ---- */

/* Bits of fw_block_t.value. */
#define LAST 1  /* the input of the scan before */
#define STATE 2 /* the output, or that time runs */

/* Phases of a timer. */
enum { AT_REST = 0, RUNNING, OVER };

/* A time that is below 0 counts as none. */
static bool is_over(fw_vm_t *vm, const fw_block_t *block, int32_t time_ms)
{
    uint32_t elapsed_ms = vm->now_ms - block->since_ms;
    if (time_ms <= 0 || elapsed_ms >= (uint32_t)time_ms) {
        return true;
    }
    uint32_t left_ms = (uint32_t)time_ms - elapsed_ms;
    if (left_ms < vm->due_ms) {
        vm->due_ms = left_ms;
    }
    return false;
}

static bool rises(fw_block_t *block, bool input, bool may)
{
    bool rose = may && input && (block->value & LAST) == 0;
    block->value = (block->value & ~LAST) | (input ? LAST : 0);
    return rose;
}

static bool ton(fw_vm_t *vm, fw_block_t *block, bool input, int32_t time_ms)
{
    if (!input) {
        block->value = AT_REST;
    } else {
        if (block->value == AT_REST) {
            block->value = RUNNING;
            block->since_ms = vm->now_ms;
        }
        /* Over stays over, however long the count goes round. */
        if (block->value == RUNNING && is_over(vm, block, time_ms)) {
            block->value = OVER;
        }
    }
    return block->value == OVER;
}

static bool tof(fw_vm_t *vm, fw_block_t *block, bool input, int32_t time_ms)
{
    if (input) {
        block->value = OVER; /* on, and no time runs */
    } else if (block->value == OVER) {
        block->value = RUNNING;
        block->since_ms = vm->now_ms;
    }
    if (block->value == RUNNING && is_over(vm, block, time_ms)) {
        block->value = AT_REST;
    }
    return block->value != AT_REST;
}

static bool tp(fw_vm_t *vm, fw_block_t *block, bool input, int32_t time_ms)
{
    if ((block->value & STATE) != 0 && is_over(vm, block, time_ms)) {
        block->value &= ~STATE;
    }
    bool rose = rises(block, input, vm->has_scanned);
    if (rose && (block->value & STATE) == 0 && time_ms > 0) {
        block->value |= STATE;
        block->since_ms = vm->now_ms;
    }
    return (block->value & STATE) != 0;
}

/* On first, then off, and so on; a phase that is none takes one scan. */
static bool blink(fw_vm_t *vm, fw_block_t *block, bool input, int32_t on_ms, int32_t off_ms)
{
    if (!input) {
        block->value = AT_REST;
        return false;
    }
    if (block->value == AT_REST) {
        block->value = RUNNING;
        block->since_ms = vm->now_ms;
        return true;
    }
    int32_t phase_ms = block->value == RUNNING ? on_ms : off_ms;
    if (is_over(vm, block, phase_ms)) {
        block->value = block->value == RUNNING ? OVER : RUNNING;
        uint32_t late_ms = vm->now_ms - block->since_ms - (uint32_t)(phase_ms > 0 ? phase_ms : 0);
        int32_t next_ms = block->value == RUNNING ? on_ms : off_ms;
        /* In step, unless a scan came so late that a phase was missed. */
        block->since_ms = next_ms > 0 && late_ms < (uint32_t)next_ms ? vm->now_ms - late_ms : vm->now_ms;
    }
    return block->value == RUNNING;
}

static bool ctu(fw_block_t *block, bool input, bool reset, int32_t limit, bool may)
{
    bool was = block->since_ms != 0u;
    block->since_ms = input ? 1u : 0u;
    if (reset) {
        block->value = 0;
    } else if (may && input && !was && block->value < INT32_MAX) {
        block->value++;
    }
    return block->value >= limit;
}

/* Off between the two until it was on, on until it was off; above or below, as the two say. */
static bool hysteresis(fw_block_t *block, int32_t input, int32_t on, int32_t off)
{
    bool is_on = on >= off ? input >= on : input <= on;
    bool is_off = on >= off ? input <= off : input >= off;
    if (is_on) {
        block->value = 1;
    } else if (is_off) {
        block->value = 0;
    }
    return block->value != 0;
}

/* A low-pass of first order: after `time_ms`, 63 % of a step. `since_ms` has 16 more bits. */
static int32_t filter(fw_block_t *block, int32_t input, int32_t time_ms, uint32_t elapsed_ms,
                      bool has_value)
{
    if (!has_value || time_ms <= 0) {
        block->value = input;
        block->since_ms = 0;
        return input;
    }
    int64_t fine = (int64_t)block->value * 65536 + (int64_t)block->since_ms;
    int64_t distance = (int64_t)input * 65536 - fine;
    uint32_t step_ms = elapsed_ms < 60000u ? elapsed_ms : 60000u;
    fine += distance / ((int64_t)time_ms + step_ms) * step_ms +
            distance % ((int64_t)time_ms + step_ms) * step_ms / ((int64_t)time_ms + step_ms);
    int64_t whole = fine / 65536 - (fine % 65536 < 0 ? 1 : 0);
    block->value = (int32_t)whole;
    block->since_ms = (uint32_t)(fine - whole * 65536);
    return block->since_ms >= 32768u ? saturate(whole + 1) : block->value;
}

/* Towards the input by so much a second. `since_ms` has what is left over of a step: thousandths of a
 * thousandth. */
static int32_t slew(fw_block_t *block, int32_t input, int32_t rate, uint32_t elapsed_ms,
                    bool has_value)
{
    int64_t distance = (int64_t)input - block->value;
    int64_t size = distance < 0 ? -distance : distance;
    uint64_t moved = (uint64_t)elapsed_ms * (uint32_t)(rate > 0 ? rate : 0) + block->since_ms;
    if (!has_value || (int64_t)(moved / 1000u) >= size) {
        block->value = input;
        block->since_ms = 0;
    } else {
        int64_t step = (int64_t)(moved / 1000u);
        block->value = (int32_t)(block->value + (distance < 0 ? -step : step));
        block->since_ms = (uint32_t)(moved % 1000u);
    }
    return block->value;
}

static int32_t runtime(fw_block_t *block, bool input, int32_t seconds, uint32_t elapsed_ms)
{
    if (input) {
        block->since_ms += elapsed_ms < 86400000u ? elapsed_ms : 86400000u;
        seconds = saturate((int64_t)seconds + block->since_ms / 1000u);
        block->since_ms %= 1000u;
    }
    return seconds;
}

static void note(uint32_t *bits, uint8_t number, bool is_set)
{
    uint32_t bit = 1u << (number & 31u);
    *bits = is_set ? *bits | bit : *bits & ~bit;
}

/* How long a machine has been in its state is told up to this: any time that a script can name. */
#define AGE_MS_MAX 0x80000000u

/* `value` is the state in which the scan found the machine, `since_ms` when it entered that. */
static void run_machine(fw_vm_t *vm, uint32_t word, uint32_t further)
{
    fw_block_t *block = &vm->blocks[further % FW_SCRIPT_BLOCKS_MAX];
    int32_t *a = &vm->cells[(word >> 8) & 0xFFu];
    int32_t b = vm->cells[(word >> 16) & 0xFFu];
    int32_t from = (int32_t)(word >> 24);
    int32_t to = (int32_t)((further >> 8) & 0xFFu);
    switch (word & 0xFFu) {
    case FW_OP_STATES:
        block->value = *a;
        if (!vm->has_scanned) {
            block->since_ms = vm->now_ms;
        } else if (vm->now_ms - block->since_ms > AGE_MS_MAX) {
            block->since_ms = vm->now_ms - AGE_MS_MAX;
        }
        break;
    case FW_OP_STEP:
        /* One step a scan: the machine still is where the scan found it. */
        if (b != 0 && *a == block->value && *a != to &&
            (from == (int32_t)FW_STATE_ANY || from == *a)) {
            *a = to;
            block->since_ms = vm->now_ms;
        }
        break;
    default: /* AFTER. A step in this scan is no reason for another. */
        *a = is_over(vm, block, b);
        break;
    }
}

/* An event happens when its condition becomes true, in the first scan too; an alarm stands from being
 * raised until it is over. Neither has a result. */
static void run_report(fw_vm_t *vm, uint32_t word, uint32_t further)
{
    fw_block_t *block = &vm->blocks[further % FW_SCRIPT_BLOCKS_MAX];
    uint8_t number = (uint8_t)(word >> 8);
    bool b = vm->cells[(word >> 16) & 0xFFu] != 0;
    bool c = vm->cells[word >> 24] != 0;
    if ((word & 0xFFu) == FW_OP_EVENT) {
        note(&vm->events, number, rises(block, b, true));
    } else {
        /* One that stood before a restart stands in the first scan. */
        bool stands = block->value != 0 || (!vm->has_scanned && (vm->alarms >> number & 1u) != 0u);
        block->value = b || (stands && !c);
        note(&vm->alarms, number, block->value != 0);
    }
}

/* The blocks that divide; apart from the scan, as work_out. */
__attribute__((noinline)) static int32_t run_dividing(uint32_t op, fw_block_t *block, int32_t b,
                                                      int32_t c, uint32_t elapsed_ms, bool may)
{
    switch (op) {
    case FW_OP_FILTER:
        return filter(block, b, c, elapsed_ms, may);
    case FW_OP_SLEW:
        return slew(block, b, c, elapsed_ms, may);
    default:
        return runtime(block, b != 0, c, elapsed_ms);
    }
}

/* A block that has a result. */
static int32_t block_result(fw_vm_t *vm, uint32_t word, uint32_t further, uint32_t elapsed_ms)
{
    fw_block_t *block = &vm->blocks[further % FW_SCRIPT_BLOCKS_MAX];
    int32_t b = vm->cells[(word >> 16) & 0xFFu];
    int32_t c = vm->cells[word >> 24];
    int32_t d = vm->cells[(further >> 8) & 0xFFu];
    bool may = vm->has_scanned; /* the first scan has no edges */
    switch (word & 0xFFu) {
    case FW_OP_RISE:
        return rises(block, b != 0, may);
    case FW_OP_FALL:
        return rises(block, b == 0, may);
    case FW_OP_TOGGLE:
        block->value ^= rises(block, b != 0, may) ? STATE : 0;
        return (block->value & STATE) != 0;
    case FW_OP_TON:
        return ton(vm, block, b != 0, c);
    case FW_OP_TOF:
        return tof(vm, block, b != 0, c);
    case FW_OP_TP:
        return tp(vm, block, b != 0, c);
    case FW_OP_BLINK:
        return blink(vm, block, b != 0, c, d);
    case FW_OP_SR:
        block->value = b != 0 || (block->value != 0 && c == 0);
        return block->value;
    case FW_OP_RS:
        block->value = c == 0 && (b != 0 || block->value != 0);
        return block->value;
    case FW_OP_CTU:
        return ctu(block, b != 0, c != 0, d, may);
    case FW_OP_HYSTERESIS:
        return hysteresis(block, b, c, d);
    default:
        return run_dividing(word & 0xFFu, block, b, c, elapsed_ms, may);
    }
}

/* Any block, state machine or report: an instruction of two words. */
static void run_block(fw_vm_t *vm, uint32_t word, uint32_t further, uint32_t elapsed_ms)
{
    uint32_t op = word & 0xFFu;
    if (op < FW_OP_EVENT) {
        vm->cells[(word >> 8) & 0xFFu] = block_result(vm, word, further, elapsed_ms);
    } else if (op < FW_OP_STATES) {
        run_report(vm, word, further);
    } else {
        run_machine(vm, word, further);
    }
}

/* ---- the machine ---- */

void fw_vm_start(fw_vm_t *vm, const fw_program_t *program)
{
    *vm = (fw_vm_t){.program = *program, .boot_cell = FW_CELL_NONE};
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(program, &at, &record)) {
        switch (record.tag) {
        case FW_RECORD_CONSTANT:
        case FW_RECORD_VARIABLE:
        case FW_RECORD_RETAINED:
        case FW_RECORD_PARAMETER:
            vm->cells[record.a] = (int32_t)record.words[0];
            break;
        case FW_RECORD_OUTPUT:
            vm->cells[record.a] = (int32_t)record.words[FW_OUTPUT_SAFE];
            break;
        case FW_RECORD_ARGUMENT:
            /* 0, or what is nearest to it in the range. */
            vm->cells[record.a] = (int32_t)record.words[0] > 0   ? (int32_t)record.words[0]
                                  : (int32_t)record.words[1] < 0 ? (int32_t)record.words[1]
                                                                 : 0;
            break;
        case FW_RECORD_FLAG:
            if (record.b == FW_FLAG_BOOT) {
                vm->boot_cell = record.a;
                vm->cells[record.a] = 1;
            }
            break;
        default:
            break;
        }
    }
}

/* What an instruction gives that takes long to work out. Apart from the scan, as all that is seldom: within it,
 * what this keeps would take the scan's own registers. */
__attribute__((noinline)) static int32_t work_out(fw_vm_t *vm, uint32_t word, bool taken,
                                                  const uint32_t *next)
{
    int32_t b = vm->cells[(word >> 16) & 0xFFu];
    int32_t c = vm->cells[word >> 24];
    switch (word & 0xFFu) {
    case FW_OP_NEGATE:
        return saturate(-(int64_t)b);
    case FW_OP_ABS:
        return saturate(b < 0 ? -(int64_t)b : (int64_t)b);
    case FW_OP_MULTIPLY:
        return saturate((int64_t)b * c);
    case FW_OP_MULTIPLY_NUM:
        return saturate(divide_rounded((int64_t)b * c, 1000));
    case FW_OP_DIVIDE:
        return divide(vm, b, c, taken, next);
    case FW_OP_DIVIDE_NUM:
        return divide_num(vm, b, c, taken, next);
    case FW_OP_MODULO:
        return modulo(vm, b, c, taken, next);
    case FW_OP_INT_TO_NUM:
        return saturate((int64_t)b * 1000);
    default: /* NUM_TO_INT */
        return (int32_t)divide_rounded(b, 1000);
    }
}

/* No command's number, for a scan without a call. */
#define NO_COMMAND 0x100u

/* An instruction about the command that is called: its arguments into their cells, which end with the
 * names; or out again, if the script refuses it. */
__attribute__((noinline)) static void run_command(fw_vm_t *vm, fw_vm_run_t *offered, uint32_t word)
{
    bool is_offer = (word & 0xFFu) == FW_OP_OFFER;
    bool is_refused = !is_offer && vm->cells[word >> 24] != 0;
    if (is_offer) {
        offered->first_cell = (word >> 16) & 0xFFu;
        offered->arguments = word >> 24;
    }
    for (uint32_t i = 0; i < offered->arguments && i < FW_ARGUMENTS_MAX; i++) {
        int32_t *cell = &vm->cells[(offered->first_cell + i) & 0xFFu];
        if (is_offer) {
            offered->before[i] = *cell;
            *cell = offered->call->arguments[i];
        } else if (is_refused) {
            *cell = offered->before[i];
        }
    }
    if (!is_offer) {
        vm->cells[(word >> 16) & 0xFFu] = !is_refused;
        offered->answer = is_refused ? FW_VM_REFUSED : FW_VM_TAKEN;
    }
}

/* The instructions that most of a script is, each done in fewer steps than a call would take; false: it is
 * another. */
static bool run_simple(fw_vm_t *vm, uint32_t word, bool *taken)
{
    int32_t *a = &vm->cells[(word >> 8) & 0xFFu];
    int32_t b = vm->cells[(word >> 16) & 0xFFu];
    int32_t c = vm->cells[word >> 24];
    switch (word & 0xFFu) {
    case FW_OP_MOVE:
        *a = b;
        return true;
    case FW_OP_NOT:
        *a = b == 0;
        return true;
    case FW_OP_AND:
        *a = b != 0 && c != 0;
        return true;
    case FW_OP_OR:
        *a = b != 0 || c != 0;
        return true;
    case FW_OP_ADD:
        *a = saturate((int64_t)b + c);
        return true;
    case FW_OP_SUBTRACT:
        *a = saturate((int64_t)b - c);
        return true;
    case FW_OP_MIN:
        *a = b < c ? b : c;
        return true;
    case FW_OP_MAX:
        *a = b > c ? b : c;
        return true;
    case FW_OP_EQUAL:
        *a = b == c;
        return true;
    case FW_OP_DIFFERS:
        *a = b != c;
        return true;
    case FW_OP_BELOW:
        *a = b < c;
        return true;
    case FW_OP_AT_MOST:
        *a = b <= c;
        return true;
    case FW_OP_SET:
        if (*taken) {
            *a = b;
            vm->set_by[(word >> 8) & 0xFFu] = (uint8_t)(word >> 24);
        }
        return true;
    case FW_OP_WHEN:
        *taken = *a != 0;
        return true;
    case FW_OP_ALWAYS:
        *taken = true;
        return true;
    default:
        return false;
    }
}

static inline uint32_t begin_run(fw_vm_t *vm, fw_vm_run_t *run, uint32_t now_ms,
                                 const fw_vm_call_t *call)
{
    uint32_t elapsed_ms = vm->has_scanned ? now_ms - vm->now_ms : 0u;
    run->call = call;
    run->first_cell = 0;
    run->arguments = 0;
    run->answer = FW_VM_NO_CALL;
    vm->now_ms = now_ms;
    vm->due_ms = UINT32_MAX;
    return elapsed_ms;
}

/* All of the code: a whole scan, or, if `piece` is not NULL, one that goes on. There is one loop for both: what
 * has a second caller is called, which takes longer. */
static fw_vm_answer_t run_code(fw_vm_t *vm, uint32_t now_ms, const fw_vm_call_t *call,
                               fw_vm_run_t *piece)
{
    fw_vm_run_t own;
    fw_vm_run_t *run = piece == NULL ? &own : piece;
    uint32_t elapsed_ms = 0;
    bool taken = true;
    if (piece == NULL) {
        elapsed_ms = begin_run(vm, run, now_ms, call);
    } else {
        elapsed_ms = run->elapsed_ms;
        taken = run->taken;
        call = run->call;
    }
    const uint32_t *code = vm->program.code;
    const uint32_t *end = code + vm->program.code_words;
    const uint32_t called = call == NULL ? NO_COMMAND : call->command;
    /* The last word is an end, so only a block, whose second word that could be, has to look out. */
    bool runs = code < end && end[-1] == FW_OP_END;
    while (runs) {
        uint32_t word = fw_word(code++);
        uint32_t op = word & 0xFFu;
        if (run_simple(vm, word, &taken)) {
            continue;
        }
        if (fw_op_is_block((uint8_t)op)) {
            run_block(vm, word, fw_word(code++), elapsed_ms);
            runs = code < end;
        } else if (op == FW_OP_OFFER || op == FW_OP_TAKE) {
            if (((word >> 8) & 0xFFu) == called) {
                run_command(vm, run, word);
            } else if (op == FW_OP_TAKE) {
                vm->cells[(word >> 16) & 0xFFu] = 0;
            }
        } else if (op >= FW_OP_NEGATE && op <= FW_OP_NUM_TO_INT) {
            vm->cells[(word >> 8) & 0xFFu] = work_out(vm, word, taken, code);
        } else {
            runs = false; /* END, or nothing that there is */
        }
    }
    if (piece != NULL) {
        piece->taken = taken;
        return FW_VM_NO_CALL; /* not known before its end */
    }
    vm->has_scanned = true;
    if (vm->boot_cell != FW_CELL_NONE) {
        vm->cells[vm->boot_cell] = 0;
    }
    return run->answer;
}

fw_vm_answer_t fw_vm_scan(fw_vm_t *vm, uint32_t now_ms, const fw_vm_call_t *call)
{
    return run_code(vm, now_ms, call, NULL);
}

/* ---- piece by piece ---- */

void fw_vm_walk_begin(fw_vm_walk_t *walk, fw_vm_t *vm, uint32_t now_ms, const fw_vm_call_t *call)
{
    walk->run.elapsed_ms = begin_run(vm, &walk->run, now_ms, call);
    walk->run.taken = true;
    walk->place = 0;
}

bool fw_vm_walk(fw_vm_walk_t *walk, fw_vm_t *vm, uint16_t place)
{
    const fw_program_t whole = vm->program;
    place = place < whole.code_words ? place : whole.code_words;
    while (walk->place < place) {
        /* As many instructions as there is room for, and an end. */
        uint16_t words = 0;
        while (words + 2u < FW_VM_PIECE_WORDS && walk->place < place) {
            uint32_t word = fw_word(whole.code + walk->place++);
            walk->piece[words++] = word;
            if (fw_op_is_block((uint8_t)word) && walk->place < whole.code_words) {
                walk->piece[words++] = fw_word(whole.code + walk->place++);
            }
        }
        walk->piece[words++] = FW_OP_END;
        vm->program.code = walk->piece;
        vm->program.code_words = words;
        (void)run_code(vm, vm->now_ms, NULL, &walk->run);
    }
    vm->program = whole;
    return walk->run.taken;
}
