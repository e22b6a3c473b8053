/*
 * relays.c: see relays.h.
 */
#include "relays.h"

#define FRAME_BEGIN 0xA0u

void fw_relays_set(fw_relays_t *relays, uint8_t relay, bool is_on)
{
    if (relay == 0u || relay > FW_RELAYS_MAX) {
        return;
    }
    uint8_t bit = (uint8_t)(1u << (relay - 1u));
    relays->on = (uint8_t)(is_on ? relays->on | bit : relays->on & ~bit);
    relays->untold |= bit;
}

bool fw_relays_next(fw_relays_t *relays, uint8_t frame[FW_RELAY_FRAME_BYTES])
{
    for (uint8_t i = 0; i < FW_RELAYS_MAX; i++) {
        uint8_t relay = (uint8_t)((relays->last + i) % FW_RELAYS_MAX + 1u);
        uint8_t bit = (uint8_t)(1u << (relay - 1u));
        if ((relays->untold & bit) == 0u) {
            continue;
        }
        relays->untold = (uint8_t)(relays->untold & ~bit);
        relays->last = relay;
        frame[0] = FRAME_BEGIN;
        frame[1] = relay;
        frame[2] = (relays->on & bit) != 0u ? 1u : 0u;
        frame[3] = (uint8_t)(frame[0] + frame[1] + frame[2]);
        return true;
    }
    return false;
}
