/*
 * causes.c: what the compiler notes so that people learn why an output changed.
 *
 * Beside each cell stands what its value hangs on in the same scan: the commands whose call it uses, and
 * the schedules. An assignment to an output writes that down, with its line. Then a change in the scan
 * that took a command is that command's doing if the assignment hangs on it, and else the script's.
 */
#include "compile_inside.h"

/* How many cells an instruction reads, from b on. */
static uint8_t inputs_of(uint8_t op)
{
    switch (op) {
    case FW_OP_MOVE:
    case FW_OP_NOT:
    case FW_OP_NEGATE:
    case FW_OP_ABS:
    case FW_OP_INT_TO_NUM:
    case FW_OP_NUM_TO_INT:
    case FW_OP_SET:
    case FW_OP_RISE:
    case FW_OP_FALL:
    case FW_OP_TOGGLE:
    case FW_OP_STEP:
    case FW_OP_AFTER:
        return 1;
    case FW_OP_BLINK:
    case FW_OP_CTU:
    case FW_OP_HYSTERESIS:
        return 3;
    case FW_OP_OFFER:
    case FW_OP_TAKE:
    case FW_OP_STATES:
        return 0;
    default:
        return 2;
    }
}

void fw_compile_trace(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[4])
{
    uint32_t *causes = compiler->causes;
    uint32_t found = 0;
    for (uint8_t i = 0; i < inputs_of((uint8_t)op); i++) {
        found |= causes[cells[1u + i]];
    }
    switch (op) {
    case FW_OP_OFFER:
        for (uint8_t i = 0; i < cells[2]; i++) {
            causes[(uint8_t)(cells[1] + i)] = (uint32_t)1 << cells[0];
        }
        break;
    case FW_OP_TAKE:
        causes[cells[1]] = (uint32_t)1 << cells[0];
        break;
    case FW_OP_SET: /* any of its branches may have been the one */
    case FW_OP_STEP:
        causes[cells[0]] |= found;
        break;
    case FW_OP_END:
    case FW_OP_WHEN:
    case FW_OP_ALWAYS:
    case FW_OP_EVENT:
    case FW_OP_ALARM:
        break; /* no result */
    default:
        causes[cells[0]] = found;
        break;
    }
}

uint8_t fw_compile_trace_assignment(fw_compiler_t *compiler, fw_symbol_t *symbol, uint16_t line,
                                    uint32_t causes)
{
    uint8_t number = 0;
    if (compiler->depth > 0u) {
        causes |= compiler->causes[compiler->branches[compiler->depth - 1u].taken];
        if (symbol->assignments < UINT8_MAX) {
            symbol->assignments++;
        }
        number = symbol->assignments;
    }
    if (symbol->kind == FW_SYMBOL_OUTPUT) {
        compiler->chooses = compiler->chooses || number > 1u;
        if (compiler->first_assignment == 0u) {
            compiler->first_assignment = compiler->records;
        }
        const int32_t words[2] = {line, (int32_t)causes};
        fw_compile_write_record(compiler, FW_RECORD_ASSIGNMENT, symbol->cell, number, words, 2,
                                NULL);
    }
    return number;
}
