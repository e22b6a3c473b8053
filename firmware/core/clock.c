/*
 * clock.c: the estimate of gateway time. See clock.h.
 */
#include "clock.h"

#include "config.h"

void fw_clock_init(fw_clock_t *clock)
{
    clock->heard = 0;
    clock->given = 0;
    clock->heard_at_ms = 0;
    clock->fresh = false;
}

void fw_clock_hear(fw_clock_t *clock, uint32_t now_ms, uint64_t time)
{
    clock->heard = time;
    clock->heard_at_ms = now_ms;
    clock->fresh = true;
}

bool fw_clock_now(fw_clock_t *clock, uint32_t now_ms, uint64_t *time)
{
    if (!clock->fresh) {
        return false;
    }
    uint32_t elapsed = now_ms - clock->heard_at_ms;
    if (elapsed > FW_CLOCK_STALE_AFTER_MS) {
        clock->fresh = false;
        return false;
    }
    uint64_t estimate = clock->heard + elapsed;
    if (estimate < clock->given) {
        estimate = clock->given;
    }
    /* Beyond this it could not be written, and what bears a time would never leave again. */
    if (estimate > (uint64_t)FW_INTEGER_MAX) {
        estimate = (uint64_t)FW_INTEGER_MAX;
    }
    clock->given = estimate;
    *time = estimate;
    return true;
}
