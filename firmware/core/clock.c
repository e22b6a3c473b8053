/*
 * clock.c: the estimate of gateway time. See clock.h.
 */
#include "clock.h"

#include "config.h"

#define TOLD_APART_MS 2000u

void fw_clock_init(fw_clock_t *clock)
{
    *clock = (fw_clock_t){.known = false};
}

void fw_clock_hear(fw_clock_t *clock, uint32_t now_ms, uint64_t time)
{
    clock->base = time;
    clock->base_at_ms = now_ms;
    clock->age_ms = 0;
    clock->known = true;
    clock->is_gateways = true;
}

static void count_on(fw_clock_t *clock, uint32_t now_ms)
{
    uint32_t elapsed_ms = now_ms - clock->base_at_ms;
    if (elapsed_ms > INT32_MAX) {
        return; /* a count read before the last one we were given */
    }
    clock->base_at_ms = now_ms;
    clock->age_ms = elapsed_ms < UINT32_MAX - clock->age_ms ? clock->age_ms + elapsed_ms : UINT32_MAX;
    /* Beyond this it could not be written, and what bears a time would never leave again. */
    clock->base = clock->base < (uint64_t)FW_INTEGER_MAX - elapsed_ms ? clock->base + elapsed_ms
                                                                      : (uint64_t)FW_INTEGER_MAX;
}

bool fw_clock_tell(fw_clock_t *clock, uint32_t now_ms, uint64_t time)
{
    count_on(clock, now_ms);
    uint64_t apart_ms = time > clock->base ? time - clock->base : clock->base - time;
    bool is_gateways = clock->is_gateways && clock->age_ms <= FW_CLOCK_STALE_AFTER_MS;
    bool is_same = clock->known && apart_ms < TOLD_APART_MS;
    if (is_gateways || is_same || time > (uint64_t)FW_INTEGER_MAX) {
        return false;
    }
    fw_clock_hear(clock, now_ms, time);
    clock->is_gateways = false;
    return true;
}

bool fw_clock_now(fw_clock_t *clock, uint32_t now_ms, uint64_t *time)
{
    count_on(clock, now_ms);
    if (!clock->is_gateways || clock->age_ms > FW_CLOCK_STALE_AFTER_MS) {
        return false;
    }
    clock->given = clock->base > clock->given ? clock->base : clock->given;
    *time = clock->given;
    return true;
}

bool fw_clock_wall(fw_clock_t *clock, uint32_t now_ms, uint64_t *time)
{
    count_on(clock, now_ms);
    *time = clock->base;
    return clock->known;
}
