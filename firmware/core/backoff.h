/*
 * backoff.h: how long to wait before dialling again, and which gateway then (docs/protocol.md
 * section 4.4).
 */
#ifndef FW_BACKOFF_H
#define FW_BACKOFF_H

#include <stdint.h>

typedef struct {
    uint8_t attempt; /* attempts since the last good session; stops growing at the cap */
    uint8_t gateway; /* the one to dial next */
} fw_backoff_t;

/* After a session that was live for FW_BACKOFF_RESET_AFTER_MS. */
void fw_backoff_reset(fw_backoff_t *backoff);

/* The wait before the next attempt: uniform in [d/2, d], d doubling from 1 s up to 60 s. */
uint32_t fw_backoff_next_ms(fw_backoff_t *backoff, uint32_t random);

/* The least such wait, of an attempt that does not count. */
uint32_t fw_backoff_least_ms(uint32_t random);

/* Takes the other gateway for the next attempt, where there are two. */
void fw_backoff_alternate(fw_backoff_t *backoff, uint8_t gateways);

#endif
