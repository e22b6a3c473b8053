/*
 * vm.h: runs a program: one call, one scan.
 *
 * Whoever runs it puts inputs, parameters and what a command brings into their cells, scans, and takes
 * outputs out of theirs. The machine knows of no pin and no clock but the milliseconds it is given.
 */
#ifndef FW_VM_H
#define FW_VM_H

#include "program.h"

/* What a function block keeps from scan to scan. */
typedef struct {
    int32_t value;
    uint32_t since_ms;
} fw_block_t;

/* A command that was called, its arguments within their ranges. */
typedef struct {
    uint8_t command; /* its number, in the order of the script */
    int32_t arguments[FW_ARGUMENTS_MAX];
} fw_vm_call_t;

typedef enum {
    FW_VM_NO_CALL = 0,
    FW_VM_TAKEN,
    FW_VM_REFUSED,
} fw_vm_answer_t;

typedef struct {
    fw_program_t program;
    int32_t cells[FW_SCRIPT_CELLS];
    fw_block_t blocks[FW_SCRIPT_BLOCKS_MAX];
    uint32_t now_ms;
    uint32_t due_ms;            /* until the next of the running timers is over; UINT32_MAX: none runs */
    uint32_t divisions_by_zero; /* so far; each gave 0 */
    uint32_t events;            /* a bit for each that happened in the last scan */
    uint32_t alarms;            /* a bit for each that is raised; set before the first scan: it stands yet */
    uint8_t set_by[FW_SCRIPT_CELLS]; /* the assignment that gave a cell its value; 0: its only one */
    uint16_t divided_at;        /* where the code last divided by zero */
    bool has_scanned : 1;    /* these two in one word: a byte is dear to read where flash has none */
    uint32_t boot_cell : 31; /* FW_CELL_NONE: nobody asks */
} fw_vm_t;

/* A scan while it runs. Fields are the machine's own. */
typedef struct {
    const fw_vm_call_t *call;         /* NULL: there is none */
    int32_t before[FW_ARGUMENTS_MAX]; /* what its arguments' cells held */
    uint32_t first_cell;
    uint32_t arguments;
    fw_vm_answer_t answer;
    uint32_t elapsed_ms; /* since the scan before */
    bool taken;          /* the branch that it is in */
} fw_vm_run_t;

#define FW_VM_PIECE_WORDS 32u

/* One that goes on piece by piece. The same. */
typedef struct {
    fw_vm_run_t run;
    uint16_t place; /* of the code: what is next */
    uint32_t piece[FW_VM_PIECE_WORDS]; /* what runs, closed by an end: flash cannot be told where to stop */
} fw_vm_walk_t;

/* Sets every cell to its constant or initial value, every block to its beginning. */
void fw_vm_start(fw_vm_t *vm, const fw_program_t *program);

/* One scan. `now_ms` counts on and may wrap; `call` may be NULL. What became of the call. */
fw_vm_answer_t fw_vm_scan(fw_vm_t *vm, uint32_t now_ms, const fw_vm_call_t *call);

/* Begins a scan that fw_vm_walk goes on with. `call` must stay. For a copy of a machine: the scan after it
 * would have to be told of its end, and is not. */
void fw_vm_walk_begin(fw_vm_walk_t *walk, fw_vm_t *vm, uint32_t now_ms, const fw_vm_call_t *call);

/* Runs what comes before word `place` of the code, where an instruction begins. Whether the branch that it
 * has come to is taken. */
bool fw_vm_walk(fw_vm_walk_t *walk, fw_vm_t *vm, uint16_t place);

#endif
