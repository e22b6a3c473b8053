/*
 * cost.h: what the machine's operations cost at most, in instructions of the LX106.
 *
 * Measured by firmware/bench/costs.c under QEMU, over operands at the ends of their ranges, with
 * the compiler and the flags of an image, and a twentieth added; `cargo xtask test qemu` fails when
 * one costs more. A division is QEMU's port's, not the ROM's. Nothing uses these figures yet.
 */
#ifndef FW_COST_H
#define FW_COST_H

/* A scan of the machine with nothing to do. */
#define FW_COST_SCAN 135

/* Operation, instructions at most. */
#define FW_OP_COSTS(X)          \
    X(FW_OP_MOVE, 30)           \
    X(FW_OP_NOT, 35)            \
    X(FW_OP_AND, 35)            \
    X(FW_OP_OR, 35)             \
    X(FW_OP_NEGATE, 35)         \
    X(FW_OP_ABS, 35)            \
    X(FW_OP_ADD, 45)            \
    X(FW_OP_SUBTRACT, 45)       \
    X(FW_OP_MULTIPLY, 75)       \
    X(FW_OP_MULTIPLY_NUM, 1035) \
    X(FW_OP_DIVIDE, 350)        \
    X(FW_OP_DIVIDE_NUM, 990)    \
    X(FW_OP_MODULO, 335)        \
    X(FW_OP_MIN, 30)            \
    X(FW_OP_MAX, 30)            \
    X(FW_OP_EQUAL, 35)          \
    X(FW_OP_DIFFERS, 35)        \
    X(FW_OP_BELOW, 35)          \
    X(FW_OP_AT_MOST, 35)        \
    X(FW_OP_INT_TO_NUM, 75)     \
    X(FW_OP_NUM_TO_INT, 260)    \
    X(FW_OP_WHEN, 30)           \
    X(FW_OP_ALWAYS, 30)         \
    X(FW_OP_SET, 35)            \
    X(FW_OP_OFFER, 130)         \
    X(FW_OP_TAKE, 60)           \
    X(FW_OP_RISE, 70)           \
    X(FW_OP_FALL, 70)           \
    X(FW_OP_TOGGLE, 70)         \
    X(FW_OP_TON, 80)            \
    X(FW_OP_TOF, 80)            \
    X(FW_OP_TP, 90)             \
    X(FW_OP_BLINK, 90)          \
    X(FW_OP_SR, 65)             \
    X(FW_OP_RS, 60)             \
    X(FW_OP_CTU, 75)            \
    X(FW_OP_HYSTERESIS, 65)     \
    X(FW_OP_FILTER, 2050)       \
    X(FW_OP_RUNTIME, 355)       \
    X(FW_OP_SLEW, 1270)         \
    X(FW_OP_EVENT, 60)          \
    X(FW_OP_ALARM, 55)          \
    X(FW_OP_STATES, 50)         \
    X(FW_OP_STEP, 60)           \
    X(FW_OP_AFTER, 60)

#endif
