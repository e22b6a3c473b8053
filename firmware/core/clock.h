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
    uint64_t heard;       /* the gateway's time as last heard */
    uint64_t given;       /* the latest estimate given out: none is given below it */
    uint32_t heard_at_ms; /* our count when it was heard */
    bool fresh;
} fw_clock_t;

void fw_clock_init(fw_clock_t *clock);

/* The gateway has told its time. */
void fw_clock_hear(fw_clock_t *clock, uint32_t now_ms, uint64_t time);

/* The estimate; false when there is none, or when nothing was heard for 15 minutes. Must be called
 * at least once in 24 days, so that a wrapped count cannot make an old hearing look new. */
bool fw_clock_now(fw_clock_t *clock, uint32_t now_ms, uint64_t *time);

#endif
