/*
 * crashes.h: how often the chip has crashed lately, kept where a reset does not reach.
 *
 * Three resets by an exception or a watchdog within a minute mean that the script, or something
 * else that starts with us, brings the chip down: it then starts without it. Power-on, a button,
 * brown-out and a commanded restart are no crashes, and begin the count anew.
 */
#ifndef FW_CRASHES_H
#define FW_CRASHES_H

#include <stdbool.h>
#include <stdint.h>

#define FW_CRASHES_WITHIN_MS 60000u

/* In RTC memory. Anything at all may lie there after power-on. */
typedef struct {
    uint32_t magic; /* what is below is ours */
    uint32_t count; /* of the times that are known: 0 to 2 */
    uint32_t at_ms[2];
    uint32_t check;
} fw_crashes_t;

/* Notes a start, by a clock that goes on over resets. True: it is the third crash within a
 * minute. */
bool fw_crashes_note(fw_crashes_t *crashes, bool is_crash, uint32_t now_ms);

#endif
