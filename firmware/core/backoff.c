/*
 * backoff.c: exponential back-off with jitter; a thousand controllers must not come back in the
 * same second.
 */
#include "backoff.h"

#include "config.h"

/* 2^6 s is beyond the cap already; counting further would only overflow the shift. */
#define ATTEMPT_MAX 7u

void fw_backoff_reset(fw_backoff_t *backoff)
{
    backoff->attempt = 0;
}

/* Uniform in the upper half. */
static uint32_t jittered(uint32_t most_ms, uint32_t random)
{
    uint32_t half = most_ms / 2u;
    return half + random % (most_ms - half + 1u);
}

uint32_t fw_backoff_least_ms(uint32_t random)
{
    return jittered(FW_BACKOFF_MIN_MS, random);
}

uint32_t fw_backoff_next_ms(fw_backoff_t *backoff, uint32_t random)
{
    if (backoff->attempt < ATTEMPT_MAX) {
        backoff->attempt++;
    }
    uint32_t most = FW_BACKOFF_MIN_MS << (backoff->attempt - 1u);
    if (most > FW_BACKOFF_MAX_MS) {
        most = FW_BACKOFF_MAX_MS;
    }
    return jittered(most, random);
}

void fw_backoff_alternate(fw_backoff_t *backoff, uint8_t gateways)
{
    if (gateways > 1u) {
        backoff->gateway = (uint8_t)((backoff->gateway + 1u) % gateways);
    }
}
