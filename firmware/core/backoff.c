/* Exponential back-off with jitter: a thousand controllers must not come back in one second. */
#include "backoff.h"

/* 2^6 s is beyond the cap, so counting further would only overflow. */
#define ATTEMPT_MAX 7u

void fw_backoff_reset(fw_backoff_t *backoff) {
    backoff->attempt = 0;
}

uint32_t fw_backoff_next_ms(fw_backoff_t *backoff, uint32_t random) {
    if (backoff->attempt < ATTEMPT_MAX) {
        backoff->attempt++;
    }
    uint32_t most = FW_BACKOFF_MS_MIN << (backoff->attempt - 1u);
    if (most > FW_BACKOFF_MS_MAX) {
        most = FW_BACKOFF_MS_MAX;
    }
    uint32_t half = most / 2u;
    return half + random % (most - half + 1u);
}

void fw_backoff_alternate(fw_backoff_t *backoff, uint8_t gateways) {
    if (gateways > 1u) {
        backoff->gateway = (uint8_t)((backoff->gateway + 1u) % gateways);
    }
}
