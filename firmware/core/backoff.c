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

uint32_t fw_backoff_next_ms(fw_backoff_t *backoff, uint32_t random)
{
    if (backoff->attempt < ATTEMPT_MAX) {
        backoff->attempt++;
    }
    uint32_t most = FW_BACKOFF_MIN_MS << (backoff->attempt - 1u);
    if (most > FW_BACKOFF_MAX_MS) {
        most = FW_BACKOFF_MAX_MS;
    }
    uint32_t half = most / 2u;
    return half + random % (most - half + 1u);
}

void fw_backoff_alternate(fw_backoff_t *backoff, uint8_t gateways)
{
    if (gateways > 1u) {
        backoff->gateway = (uint8_t)((backoff->gateway + 1u) % gateways);
    }
}
