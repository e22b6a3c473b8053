/*
 * clock.h: what the controller believes the gateway's time to be (docs/protocol.md section 8), and what
 * time it is on the wall.
 *
 * The board has no clock of its own. It hears the time in the hello reply and in ping replies, and
 * counts on from there by its monotonic millisecond count. The estimate trails the gateway by the
 * link's delay, and never runs backwards: a gateway that is behind the last one holds it still.
 *
 * Where there is no gateway somebody else may tell the time, whom nobody has proven. That is good
 * enough for schedules; no command's expiry is ever judged by it.
 *
 * Callers read the millisecond count for themselves, some once for much work. One that is older than what
 * another call gave is no step back by 49 days: the time then stays where it is.
 */
#ifndef FW_CLOCK_H
#define FW_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t base;       /* the time as last heard, and counted on */
    uint64_t given;      /* the latest estimate given out: none is given below it */
    uint32_t base_at_ms; /* our count at that time */
    uint32_t age_ms;     /* since it was heard; stays at the most that it can be */
    bool known;          /* heard since the start */
    bool is_gateways;    /* and from the gateway */
} fw_clock_t;

void fw_clock_init(fw_clock_t *clock);

/* The gateway has told its time. */
void fw_clock_hear(fw_clock_t *clock, uint32_t now_ms, uint64_t time);

/* Somebody else has told the time, in milliseconds since 1970. False: nothing has changed, for the
 * gateway was heard within 15 minutes, or it differs by less than 2 s, since such clocks tell whole
 * seconds, or it is above FW_INTEGER_MAX. */
bool fw_clock_tell(fw_clock_t *clock, uint32_t now_ms, uint64_t time);

/* The estimate by which commands expire; false when there is none, or when nothing was heard for 15
 * minutes. This or fw_clock_wall must be called at least once in 24 days, half a round of our count. */
bool fw_clock_now(fw_clock_t *clock, uint32_t now_ms, uint64_t *time);

/* The time by which schedules go: once heard it is counted on, however long ago that was, and may be put
 * back. Off by 4 s a day at worst, for a crystal of 50 ppm. */
bool fw_clock_wall(fw_clock_t *clock, uint32_t now_ms, uint64_t *time);

#endif
