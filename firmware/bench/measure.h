/*
 * measure.h: what the benchmarks under QEMU share: counting instructions, and the ways of the
 * world.
 *
 * With -icount shift=0 an instruction takes a nanosecond, and the cycle counter goes on by one each
 * 25 of them, which a loop of known length proves before anything is measured (measure_check).
 */
#ifndef FW_MEASURE_H
#define FW_MEASURE_H

#include "simcall.h"

#include <stdbool.h>

#define INSTRUCTIONS_EACH_CYCLE 25u

/* A script and its name, of the header that cargo xtask renders. */
typedef struct {
    const char *name;
    const char *text;
} example_t;

/* The inputs of a scan. Digital ones are 0 and 1, AI0 is thousandths of 0 to 1023. */
typedef struct {
    int32_t digital[8];
    int32_t analogue;
} world_t;

enum { SCANS = 2000, SCAN_MS = 10 };

/* Nothing in it stands still for ever, and each run has the same. The analogue pin is read ten
 * times a second, as on the chip. */
static inline world_t world_at(uint32_t scan)
{
    world_t world;
    for (uint32_t i = 0; i < 8u; i++) {
        world.digital[i] = (int32_t)(scan / (37u + 20u * i) & 1u);
    }
    uint32_t ramp = scan / 10u * 10u % 1000u;
    world.analogue = (int32_t)((ramp < 500u ? ramp : 999u - ramp) * 2046u);
    return world;
}

static inline uint32_t measure_instructions(uint32_t cycles)
{
    return cycles * INSTRUCTIONS_EACH_CYCLE;
}

/* 100,000 turns of two instructions. False when they are not counted so. */
static inline bool measure_check(void)
{
    uint32_t turns = 100000;
    uint32_t before = simcall_cycles();
    __asm__ volatile("1: addi %0, %0, -1\n bnez %0, 1b" : "+r"(turns));
    uint32_t counted = measure_instructions(simcall_cycles() - before);
    return counted >= 199950u && counted <= 200050u;
}

#endif
