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
#include <stdio.h>

#define INSTRUCTIONS_EACH_CYCLE 25u

/* A script and its name, of the header that cargo xtask renders. */
typedef struct {
    const char *name;
    const char *text;
} example_t;

/* What the world brings to a scan. Digital inputs are 0 and 1, AI0 is thousandths of 0 to 1023. */
typedef struct {
    int32_t digital[8];
    int32_t analogue;
    uint32_t now_ms;
    int64_t utc;
    int32_t call;     /* of the script's commands in turn, from 0; NO_CALL */
    int32_t argument; /* of the call; the nearest that the command takes */
} world_t;

enum { SCANS = 2000, SCAN_MS = 10, NO_CALL = -1, OUTPUTS_MAX = 31 };

/* Scans after which four minutes are lost, so that long timers end; and those that have a call. */
enum { SCANS_TO_LEAP = 300, LEAP_MS = 240000, SCANS_TO_CALL = 350, CALL_ARGUMENT = 2000 };

/* Saturday the 29th of November 2025, 4:55 in Berlin, and by how much its clocks are ahead. */
#define BEGINS_UTC 1764388500
#define BERLIN_S 3600

/* Nothing in it stands still for ever, and each run has the same. The analogue pin is read ten
 * times a second, as on the chip. */
static inline world_t world_at(uint32_t scan)
{
    world_t world = {.call = NO_CALL};
    for (uint32_t i = 0; i < 8u; i++) {
        world.digital[i] = (int32_t)(scan / (37u + 20u * i) & 1u);
    }
    uint32_t ramp = scan / 10u * 10u % 1000u;
    world.analogue = (int32_t)((ramp < 500u ? ramp : 999u - ramp) * 2046u);
    world.now_ms = scan * SCAN_MS + scan / SCANS_TO_LEAP * LEAP_MS;
    world.utc = BEGINS_UTC + (int64_t)(world.now_ms / 1000u);
    if (scan > 0u && scan % SCANS_TO_CALL == 0u) {
        world.call = (int32_t)(scan / SCANS_TO_CALL) - 1;
        world.argument = world.call % 2 == 0 ? 0 : CALL_ARGUMENT;
    }
    return world;
}

/* What a script did: a bit for each output, the lowest for the first, and bit 31 while an alarm is
 * raised. So two programs that should do the same can be told apart. */
typedef struct {
    uint32_t bits[SCANS];
    uint32_t events;
} trace_t;

#define TRACE_ALARM 0x80000000u

/* Prints a word: each change as SCAN=BITS, then how many events there were. */
static inline void trace_print(const trace_t *trace)
{
    for (uint32_t at = 0; at < SCANS; at++) {
        if (at == 0u || trace->bits[at] != trace->bits[at - 1u]) {
            printf("%lu=%lx,", (unsigned long)at, (unsigned long)trace->bits[at]);
        }
    }
    printf("events=%lu\n", (unsigned long)trace->events);
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
