/*
 * clock.h: what the controller believes the gateway's time to be (docs/protocol.md section 8).
 *
 * The board has no clock of its own. It hears the time in the hello reply and in ping replies, and
 * counts on from there by its monotonic millisecond count. The estimate trails the gateway by the
 * link's delay, and never runs backwards: a gateway that is behind the last one holds it still.
 */
#ifndef FW_CLOCK_H
#define FW_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t base;       /* the gateway's time as last heard, and counted on */
    uint64_t given;      /* the latest estimate given out: none is given below it */
    uint32_t base_at_ms; /* our count at that time */
    uint32_t age_ms;     /* since it was heard; stays at the most that it can be */
    bool known;          /* heard since the start */
} fw_clock_t;

void fw_clock_init(fw_clock_t *clock);

/* The gateway has told its time. */
void fw_clock_hear(fw_clock_t *clock, uint32_t now_ms, uint64_t time);

/* The estimate by which commands expire; false when there is none, or when nothing was heard for 15
 * minutes. This or fw_clock_wall must be called at least once in 49 days, for our count goes round. */
bool fw_clock_now(fw_clock_t *clock, uint32_t now_ms, uint64_t *time);

/* The time by which schedules go: once heard it is counted on, however long ago that was, and may be put
 * back. Off by 4 s a day at worst, for a crystal of 50 ppm. */
bool fw_clock_wall(fw_clock_t *clock, uint32_t now_ms, uint64_t *time);

#endif
