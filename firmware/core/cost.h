/*
 * cost.h: what the machine's operations cost at most, in instructions of the LX106.
 *
 * Measured by firmware/bench/costs.c under QEMU, over operands at the ends of their ranges, with
 * the compiler and the flags of an image, and a twentieth added; `cargo xtask test qemu` fails when
 * one costs more. A division is QEMU's port's, not the ROM's. The compiler adds them
 * up: every scan works through every instruction.
 */
#ifndef FW_COST_H
#define FW_COST_H

/* A scan of the machine with nothing to do. */
#define FW_COST_SCAN 135

/* Operation, instructions at most. */
#define FW_OP_COSTS(X)          \
    X(FW_OP_MOVE, 25)           \
    X(FW_OP_NOT, 30)            \
    X(FW_OP_AND, 30)            \
    X(FW_OP_OR, 30)             \
    X(FW_OP_NEGATE, 70)         \
    X(FW_OP_ABS, 70)            \
    X(FW_OP_ADD, 40)            \
    X(FW_OP_SUBTRACT, 40)       \
    X(FW_OP_MULTIPLY, 105)      \
    X(FW_OP_MULTIPLY_NUM, 1055) \
    X(FW_OP_DIVIDE, 375)        \
    X(FW_OP_DIVIDE_NUM, 1015)   \
    X(FW_OP_MODULO, 365)        \
    X(FW_OP_MIN, 30)            \
    X(FW_OP_MAX, 30)            \
    X(FW_OP_EQUAL, 30)          \
    X(FW_OP_DIFFERS, 30)        \
    X(FW_OP_BELOW, 30)          \
    X(FW_OP_AT_MOST, 30)        \
    X(FW_OP_INT_TO_NUM, 105)    \
    X(FW_OP_NUM_TO_INT, 290)    \
    X(FW_OP_WHEN, 30)           \
    X(FW_OP_ALWAYS, 25)         \
    X(FW_OP_SET, 35)            \
    X(FW_OP_OFFER, 125)         \
    X(FW_OP_TAKE, 60)           \
    X(FW_OP_RISE, 75)           \
    X(FW_OP_FALL, 75)           \
    X(FW_OP_TOGGLE, 70)         \
    X(FW_OP_TON, 85)            \
    X(FW_OP_TOF, 85)            \
    X(FW_OP_TP, 95)             \
    X(FW_OP_BLINK, 95)          \
    X(FW_OP_SR, 70)             \
    X(FW_OP_RS, 65)             \
    X(FW_OP_CTU, 75)            \
    X(FW_OP_HYSTERESIS, 70)     \
    X(FW_OP_FILTER, 2065)       \
    X(FW_OP_RUNTIME, 365)       \
    X(FW_OP_SLEW, 1270)         \
    X(FW_OP_EVENT, 60)          \
    X(FW_OP_ALARM, 55)          \
    X(FW_OP_STATES, 50)         \
    X(FW_OP_STEP, 55)           \
    X(FW_OP_AFTER, 55)

/* What a scan costs besides the machine: by the lot, for each point of a kind, each interlock and each
 * forced output. An output's change looks up its cause, and at most all of them change in one scan. */
#define FW_COST_RUNNER 600
#define FW_COST_DIGITAL_INPUT 130
#define FW_COST_ANALOGUE_INPUT 900
#define FW_COST_OUTPUT 260
#define FW_COST_OUTPUT_CHANGE 900
#define FW_COST_INTERLOCK 400
#define FW_COST_RECORD 25 /* looked at for a cause */

/* Recording it, where all comes together: everything is new, and a segment ends and the next begins. By
 * the lot, and for each cell that a name has, each block and each point. */
#define FW_COST_RECORDER 6500
#define FW_COST_RECORDED_CELL 85
#define FW_COST_RECORDED_BLOCK 135
#define FW_COST_RECORDED_POINT 730

/* A look at the clock, and each window; once a second at most. */
#define FW_COST_LOOK 8000
#define FW_COST_WINDOW 6500
/* Four of the sun's days, as the first look of all works them out; later ones one a day. */
#define FW_COST_SUN 100000

/* The most that a script may cost: half of the 10 ms between two scans, at 80 MHz and one and a half
 * cycles an instruction. The rest is for link, page and flash. */
#define FW_SCAN_INSTRUCTIONS_MAX 266000u

/* Microseconds of so many instructions on the chip: 80 MHz, and one and a half cycles each. */
#define FW_MICROSECONDS(instructions) (((instructions) * 3u + 159u) / 160u)

#endif
